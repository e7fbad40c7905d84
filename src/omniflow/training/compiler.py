"""Compiler: builds the native engine for this processor, once, and loads it."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import functools
import hashlib
import os
import platform
import shlex
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from omniflow.errors import OmniflowError
from omniflow.files import atomic_path
from omniflow.native import BASELINE, FLAGS, NEEDED, PROCESSOR, SOURCES, command

# How a compiler is had.
REMEDY = (
    "install one (Debian, Ubuntu: apt install g++; conda: conda install -c conda-forge "
    "cxx-compiler), or name it by CXX"
)


class CompilerError(OmniflowError):
    """The native engine cannot be built or used here; the message says why."""


@functools.cache
def library(double: bool = False) -> ctypes.CDLL:
    """Return the compiled engine in single (or, for tests, double) precision.

    It is kept in the user's cache folder under a name that holds source, flags and processor, so
    that a home folder shared by different machines serves each its own. To build it a folder must
    be writable, to load it none. Without a compiler it is the package's own library for common
    processors, if the package was built with one (`engine` tells). Flags in the environment's
    OMNIFLOW_CXXFLAGS come last.

    Raises:
        CompilerError: no compiler, or the compiler's own message.
    """
    flags = _flags(double)
    path = _built(flags) or (None if double else _baseline())
    path = path or _writable(_folders()) / _name(flags)
    try:
        if not path.is_file():
            # Jobs that start together wait for the first one's build.
            with open(path.with_suffix(".lock"), "w", encoding="utf-8") as lock:
                # Without locks several may build, and the last one's library stays.
                with contextlib.suppress(OSError):
                    fcntl.flock(lock, fcntl.LOCK_EX)
                if not path.is_file():
                    _build(path, flags)
        return ctypes.CDLL(str(path))
    except OSError as error:
        raise CompilerError(f"{path}: {error}") from error


def engine() -> str:
    """Return what histories call the engine: `native`, or `native-baseline`.

    They differ by rounding, because their vectors may be of other widths.
    """
    return "native-baseline" if library(False)._name == str(BASELINE) else "native"


def require() -> None:
    """Refuse where the engine neither lies ready nor can be built; nothing is built for that.

    Raises:
        CompilerError: there is no compiler, or it does not start.
    """
    if _built(_flags()) is None and not _fits():
        _require_compiler()


def _baseline() -> Path | None:
    """Return the package's own library where it has one and there is no compiler, and say so."""
    if not _fits():
        return None
    try:
        _require_compiler()
    except CompilerError as error:
        print(f"The package's own library is used, which may be slower: {error}", file=sys.stderr)
        return BASELINE
    return None


def _fits() -> bool:
    """Return whether the package has a library of its own that this processor can run."""
    found = {word for line in _processor() for word in line.split()}
    return BASELINE.is_file() and found >= NEEDED


def _require_compiler() -> None:
    compiler = _compiler()
    try:
        done = subprocess.run([compiler, "--version"], capture_output=True, text=True, check=False)
    except OSError as error:
        raise CompilerError(f"{compiler}: {error}; {REMEDY}.") from error
    if done.returncode:
        raise CompilerError(
            f"{compiler} --version failed: {done.stderr.strip()[-500:] or 'without a word'}; "
            f"{REMEDY}."
        )


def _flags(double: bool = False) -> tuple[str, ...]:
    own = shlex.split(os.environ.get("OMNIFLOW_CXXFLAGS", ""))
    return (*FLAGS, *PROCESSOR, f"-DOMNIFLOW_FLOAT={'double' if double else 'float'}", *own)


def _name(flags: tuple[str, ...]) -> str:
    return f"native-{_key(flags)}.so"


def _built(flags: tuple[str, ...]) -> Path | None:
    """Return the library that was compiled before, maybe where this machine cannot write."""
    paths = (folder / _name(flags) for folder in _folders())
    return next((path for path in paths if path.is_file()), None)


def _folders() -> list[Path]:
    """Return where the library may lie: the user's cache folders, and one beside the sources."""
    folders = [SOURCES / "build"]
    if home := os.environ.get("HOME"):
        folders.insert(0, Path(home) / ".cache" / "omniflow")
    if cache := os.environ.get("XDG_CACHE_HOME"):
        folders.insert(0, Path(cache) / "omniflow")
    return folders


def _writable(folders: list[Path]) -> Path:
    """Return the first folder that can be written to, made if missing."""
    for folder in folders:
        with contextlib.suppress(OSError):
            folder.mkdir(parents=True, exist_ok=True)
        if folder.is_dir() and os.access(folder, os.W_OK):
            return folder
    raise CompilerError(
        f"none of {', '.join(map(str, folders))} can be written to. Set XDG_CACHE_HOME to a folder "
        "that can, or compile once where the first can: python -m omniflow.training.compiler"
    )


def _compiler() -> str:
    """Return the compiler that CXX names, or one that is installed."""
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        raise CompilerError(f"no C++ compiler is installed; {REMEDY}.")
    return compiler


def _build(path: Path, flags: tuple[str, ...]) -> None:
    compiler = _compiler()
    # In a folder of its own, since another job may be building too where locks do not work.
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=path.parent) as folder:
        whole = Path(folder) / path.name
        with atomic_path(whole) as temporary:
            words = command(compiler, flags, str(temporary))
            done = subprocess.run(words, capture_output=True, text=True, check=False)
            if done.returncode:
                raise CompilerError(f"{' '.join(words)} failed:\n{done.stderr.strip()[-2000:]}")
        os.replace(whole, path)


def _processor() -> list[str]:
    """Return the lines of /proc/cpuinfo that tell kind and abilities of the processor."""
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text(encoding="utf-8").splitlines() if cpu.is_file() else []
    return sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})


def _key(flags: tuple[str, ...]) -> str:
    known = _processor()
    files = sorted(path for path in SOURCES.iterdir() if path.suffix in (".cpp", ".h"))
    sources = [path.read_text(encoding="utf-8") for path in files]
    parts = (platform.machine(), *known, *flags, *sources)
    return hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]


if __name__ == "__main__":
    # `make` compiles with the installation, so that no job has to wait for it.
    try:
        library()
    except CompilerError as error:
        sys.exit(f"The native engine is not built, and networks will take TensorFlow: {error}")
