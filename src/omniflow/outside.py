"""What lies outside the package: objects of a user's own modules, named `module:object`.

A module beside the configuration is meant first, then an installed one. A configuration that
has been read keeps the file of the first, so that jobs find it.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import re
import sys
import uuid
from functools import cache
from importlib.machinery import SourceFileLoader
from pathlib import Path
from types import CodeType, ModuleType
from typing import Any

from omniflow.errors import ConfigError


def is_reference(name: str) -> bool:
    """Return whether a name is of the form `module:object`."""
    module, colon, item = name.rpartition(":")
    return bool(colon and module) and item.replace(".", "_").isidentifier()


def located(reference: str, root: Path | None) -> str:
    """Return a reference with the file of its module, where that lies in `root`.

    `shapes:thrust` and `shapes.py:thrust` become `<root>/shapes.py:thrust`, `pack.shapes:thrust`
    becomes `<root>/pack/shapes.py:thrust`. What is not there is left as it is: an installed module.
    """
    module, _, item = reference.rpartition(":")
    if root is None:
        return reference
    names = [module] if module.endswith(".py") else [module.replace(".", "/") + ".py"]
    if not module.endswith(".py"):
        names.append(module.replace(".", "/") + "/__init__.py")
    for name in names:
        path = root / Path(name)
        if path.is_file():
            return f"{path}:{item}"
    return reference


# Objects of this program that no module file holds, with a hash of their own.
_held: dict[str, tuple[Any, str]] = {}


def hold(item: Any) -> str:
    """Return a reference to an object of this program.

    It is `module:object` where a module file holds the object; what was defined in a notebook, or
    inside a function, is known to this process alone, and is another one each time.
    """
    module, name = getattr(item, "__module__", None), getattr(item, "__qualname__", "")
    found: Any = sys.modules.get(module) if module and module != "__main__" else None
    if getattr(found, "__file__", None) and "<" not in name:
        for part in name.split("."):
            found = getattr(found, part, None)
        if found is item:
            return f"{module}:{name}"
    for reference, (known, _) in _held.items():
        if known is item:
            return reference
    token = uuid.uuid4().hex
    reference = f"program-{token[:8]}:{re.sub(r'[^0-9A-Za-z_]', '_', name) or 'object'}"
    _held[reference] = item, token
    return reference


def is_held(reference: str) -> bool:
    """Return whether a reference names an object of this program, which `hold` has taken."""
    return reference in _held


def load(reference: str) -> Any:
    """Return the object that a reference names: `file.py:object`, or `module:object` if installed.

    Raises:
        ConfigError: the module is missing or fails when it is imported, or has no such object.
    """
    if reference in _held:
        return _held[reference][0]
    name, _, item = reference.rpartition(":")
    if name.endswith(".py"):
        text = digest(reference)  # a module that has been edited is another one
        module = _of_file(str(Path(name).resolve()), text)
    else:
        module = _installed(name)
    found: Any = module
    for part in item.split("."):
        if not hasattr(found, part):
            there = [key for key in vars(module) if not key.startswith("_")]
            raise ConfigError(
                f"{reference}: {name} has no {item!r}; it has {', '.join(there) or 'nothing'}"
            )
        found = getattr(found, part)
    return found


def digest(reference: str) -> str:
    """Return a hash of the source text of the module that a reference names.

    Of a package it is the text of all of its Python files. Nothing is imported but the packages
    above an installed module.

    Raises:
        ConfigError: the module is missing.
    """
    if reference in _held:
        return _held[reference][1]
    name = reference.rpartition(":")[0]
    path = Path(name) if name.endswith(".py") else _file(name)
    if not path.is_file():
        raise ConfigError(f"{reference}: there is no file {path}; put it there or correct the name")
    files = sorted(path.parent.rglob("*.py")) if path.name == "__init__.py" else [path]
    found = hashlib.sha256()
    for each in files:
        found.update(each.relative_to(path.parent).as_posix().encode() + b"\0" + each.read_bytes())
    return found.hexdigest()


class _AsItStands(SourceFileLoader):
    """Loader of a module's text, never of bytecode: an edit in the same second would not count."""

    def get_code(self, fullname: str) -> CodeType:
        """Return the code of the text."""
        path = self.get_filename(fullname)
        return self.source_to_code(self.get_data(path), path)


@cache
def _of_file(path: str, text: str) -> ModuleType:
    """Return the module in a file, run once in a process; modules beside it can be imported.

    Args:
        path: of the file.
        text: hash of what it holds.
    """
    file = Path(path)
    if not file.is_file():
        raise ConfigError(f"{path}: no such file; put the module there or correct its name")
    name = f"omniflow_outside_{hashlib.sha256((path + text).encode()).hexdigest()[:12]}_{file.stem}"
    spec = importlib.util.spec_from_file_location(name, file, loader=_AsItStands(name, path))
    if spec is None or spec.loader is None:
        raise ConfigError(f"{path}: is not a Python module")
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module  # dataclasses look their module up
    beside = str(file.parent)
    sys.path.insert(0, beside)
    try:
        spec.loader.exec_module(module)
    except Exception as error:
        del sys.modules[name]
        raise _broken(path, error) from error
    finally:
        sys.path.remove(beside)
    return module


def _installed(name: str) -> ModuleType:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name and (name + ".").startswith(error.name + "."):
            raise _missing(name) from error
        raise _broken(name, error) from error
    except Exception as error:
        raise _broken(name, error) from error


def _file(name: str) -> Path:
    """Return the file of an installed module."""
    try:
        spec = importlib.util.find_spec(name)
    except (ImportError, ValueError) as error:
        raise _missing(name) from error
    if spec is None or not spec.origin:
        raise _missing(name)
    return Path(spec.origin)


def _missing(name: str) -> ConfigError:
    return ConfigError(
        f"{name}: no such module, neither beside the configuration nor installed; give "
        "`module:object`, the module's file beside the YAML file"
    )


def _broken(name: str, error: Exception) -> ConfigError:
    return ConfigError(f"{name}: fails when it is imported ({type(error).__name__}: {error})")
