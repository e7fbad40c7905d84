"""What lies outside of the package: objects that a configuration names as `module:object`.

A module is looked for beside the configuration first, then among installed ones. In a validated
configuration the first kind stands with the path of its file, so that jobs find it wherever they
run.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
from collections.abc import Iterable
from pathlib import Path
from types import ModuleType

from omniflow.errors import ConfigError

_NAME = r"[^\W\d]\w*"
_MODULE = re.compile(rf"{_NAME}(\.{_NAME})*")
_OBJECT = re.compile(rf"{_NAME}(\.{_NAME})*")
_FORM = "write `module:object`, or `path/to/module.py:object`"


def located(reference: str, roots: Iterable[Path] = ()) -> str:
    """Return a reference with its module's file in full, where there is such a file.

    Whether there is such a module at all is not asked: who reads results need not have it.

    Args:
        reference: `module:object` or `path/to/module.py:object`.
        roots: folders in which modules and relative paths are looked for, the first one first;
            none: the current folder.

    Raises:
        ConfigError: not of this form.
    """
    _, name = _parts(reference)
    file = next((file for file in _candidates(reference, roots) if file.is_file()), None)
    return reference if file is None else f"{file}:{name}"


def load(reference: str, roots: Iterable[Path] = ()) -> object:
    """Return the object that a reference names; its module is imported.

    Args:
        reference, roots: as in `located`.

    Raises:
        ConfigError: there is no such module or object, or the module cannot be imported.
    """
    roots = tuple(roots)
    place, name = _parts(located(reference, roots))
    _refuse_missing(reference, roots)
    try:
        found: object = _from_file(Path(place)) if place.endswith(".py") else _installed(place)
    except Exception as error:
        raise ConfigError(
            f"{place}: cannot be imported ({type(error).__name__}: {error}); mend it, or install "
            "what it needs"
        ) from error
    for part in name.split("."):
        if not hasattr(found, part):
            public = [each for each in vars(found) if not each.startswith("_")]
            raise ConfigError(
                f"{place}: has no object {name!r}; it has {', '.join(public) or 'none'}"
            )
        found = getattr(found, part)
    return found


def text(reference: str, roots: Iterable[Path] = ()) -> str:
    """Return the text of the file behind a reference, without importing it.

    Empty for modules of this package, whose versions are those of the files that they write, and
    for modules without text.

    Args:
        reference, roots: as in `located`.

    Raises:
        ConfigError: there is no such module, or its file cannot be read.
    """
    roots = tuple(roots)
    place, _ = _parts(located(reference, roots))
    _refuse_missing(reference, roots)
    file: str | None = place
    if not place.endswith(".py"):
        if place.partition(".")[0] == "omniflow":
            return ""
        try:
            spec = importlib.util.find_spec(place)
        except ImportError:
            return ""
        file = spec.origin if spec is not None and spec.has_location else None
    if file is None or not file.endswith(".py"):
        return ""
    try:
        return Path(file).read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{file}: cannot be read ({error})") from None


def _candidates(reference: str, roots: Iterable[Path]) -> list[Path]:
    """Return where the file of a module is looked for."""
    module, _ = _parts(reference)
    folders = [Path(root).absolute() for root in roots] or [Path.cwd()]
    if module.endswith(".py"):
        return [folder / module for folder in folders]
    stems = [folder.joinpath(*module.split(".")) for folder in folders]
    return [file for s in stems for file in (s.with_name(s.name + ".py"), s / "__init__.py")]


def _refuse_missing(reference: str, roots: tuple[Path, ...]) -> None:
    module, _ = _parts(reference)
    looked = _candidates(reference, roots)
    is_file = module.endswith(".py")
    if any(file.is_file() for file in looked) or (not is_file and _is_installed(module)):
        return
    installed = "" if is_file else ", and among installed ones"
    raise ConfigError(
        f"{reference}: there is no such module (looked for {', '.join(map(str, looked))}"
        f"{installed}); correct the name, or put the file beside the configuration"
    )


def _parts(reference: str) -> tuple[str, str]:
    """Return module (or file) and object of a reference."""
    module, _, name = reference.rpartition(":")
    is_module = module.endswith(".py") or _MODULE.fullmatch(module)
    if not is_module or not _OBJECT.fullmatch(name):
        raise ConfigError(f"{reference!r} names no object; {_FORM}")
    return module, name


def _is_installed(module: str) -> bool:
    top = module.partition(".")[0]
    try:
        return top in sys.modules or importlib.util.find_spec(top) is not None
    except (ImportError, ValueError):
        return False


def _installed(module: str) -> ModuleType:
    return importlib.import_module(module)


def _from_file(file: Path) -> ModuleType:
    """Import a file, anew when its text has changed.

    Its name among imported modules holds a hash, so that it hides no module and modules of the same
    name in other folders are others. What lies beside it can be imported by it.
    """
    digest = hashlib.sha256(str(file).encode() + b"\0" + file.read_bytes()).hexdigest()[:16]
    stem = file.parent.name if file.name == "__init__.py" else file.stem
    name = f"{stem}_{digest}"
    if name in sys.modules:
        return sys.modules[name]
    spec = importlib.util.spec_from_file_location(name, file)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look for their module here
    folder = str(file.parent.parent if file.name == "__init__.py" else file.parent)
    sys.path.insert(0, folder)
    try:
        spec.loader.exec_module(module)
    except BaseException:
        del sys.modules[name]
        raise
    finally:
        sys.path.remove(folder)
    return module
