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

SOURCES = Path(__file__).parents[1] / "native"
# Multiplication and addition in one step, vector square roots (no errno), the widest vectors. No
# -ffast-math: sums keep their order, so that two runs agree bit by bit.
FLAGS = (
    *("-std=c++17", "-O2", "-ftree-vectorize", "-ffp-contract=fast", "-fno-math-errno"),
    *("-DNDEBUG", "-shared", "-fPIC", "-fvisibility=hidden", "-pthread"),
)
PROCESSOR = (
    ("-march=native", "-mprefer-vector-width=512")
    if platform.machine() in ("x86_64", "AMD64")
    else ("-mcpu=native",)
)


class CompilerError(OmniflowError):
    """The native engine cannot be built or used here; the message says why."""


@functools.cache
def library(double: bool = False) -> ctypes.CDLL:
    """Return the compiled engine in single (or, for tests, double) precision.

    It is kept in the user's cache folder under a name that holds source, flags and processor, so
    that a home folder shared by different machines serves each its own. To build it a folder must
    be writable, to load it none. Flags in the environment's OMNIFLOW_CXXFLAGS come last.

    Raises:
        CompilerError: no compiler, or the compiler's own message.
    """
    flags = (*FLAGS, *PROCESSOR, f"-DOMNIFLOW_FLOAT={'double' if double else 'float'}")
    flags += tuple(shlex.split(os.environ.get("OMNIFLOW_CXXFLAGS", "")))
    name, folders = f"native-{_key(flags)}.so", _folders()
    # Compiled before, maybe where this machine cannot write.
    built = (folder / name for folder in folders if (folder / name).is_file())
    path = next(built, None) or _writable(folders) / name
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
    raise CompilerError(f"none of {', '.join(map(str, folders))} can be written to.")


def _build(path: Path, flags: tuple[str, ...]) -> None:
    compiler = os.environ.get("CXX") or shutil.which("c++") or shutil.which("g++")
    if compiler is None:
        raise CompilerError("no C++ compiler is installed (c++ or g++, or name one by CXX).")
    # In a folder of its own, since another job may be building too where locks do not work.
    with tempfile.TemporaryDirectory(prefix=".tmp-", dir=path.parent) as folder:
        whole = Path(folder) / path.name
        with atomic_path(whole) as temporary:
            sources = [str(path) for path in sorted(SOURCES.glob("*.cpp"))]
            command = [compiler, *flags, *sources, "-o", str(temporary)]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                raise CompilerError(f"{' '.join(command)} failed:\n{done.stderr.strip()[-2000:]}")
        os.replace(whole, path)


def _key(flags: tuple[str, ...]) -> str:
    cpu = Path("/proc/cpuinfo")
    lines = cpu.read_text(encoding="utf-8").splitlines() if cpu.is_file() else []
    known = sorted({line for line in lines if line.startswith(("model name", "flags", "Features"))})
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
