"""Docstrings of public functions that take or return arrays: arguments, results and shapes."""

import ast
import re
from pathlib import Path

PACKAGE = Path(__file__).parents[1] / "src" / "omniflow"

# Annotations that stand for arrays, names of the package's own included.
ARRAY = re.compile(r"\b(ndarray|Ratios|Logits)\b")
# What says how large an array is: (n,), (K, n), (), (...), or that another docstring says so.
_SIZE = r"(?:\.\.\.|\w+(?: ?[*+-] ?\w+)*)"
SHAPE = re.compile(
    rf"\({_SIZE},(?: {_SIZE},?)*\)|\({_SIZE}(?:, {_SIZE})+\)|\((?:\.\.\.)?\)|[Aa]s of `"
)
# Of any shape, which a shape in letters does not say.
ANY_SHAPE = re.compile(r"(?i)any shapes?\b|of the shape of\b|of the same shape\b")
SECTION = re.compile(r"^(Args|Returns|Yields|Raises|Examples|Attributes):$", re.MULTILINE)

# Classes whose methods another one's docstrings describe.
INTERFACES = {
    ("models/classifiers.py", "BuiltIn"): ("models/architecture.py", "Architecture"),
    ("models/keras_model.py", "KerasModel"): ("models/architecture.py", "Architecture"),
    ("sources/readers/hdf5.py", "Hdf5Reader"): ("sources/readers/array_reader.py", "ArrayReader"),
    ("sources/readers/npz.py", "NpzReader"): ("sources/readers/array_reader.py", "ArrayReader"),
    ("training/graph.py", "Graph"): ("training/engines.py", "Engine"),
    ("training/native.py", "Native"): ("training/engines.py", "Engine"),
    ("training/optimizers.py", "SGD"): ("training/optimizers.py", "Optimizer"),
    ("training/optimizers.py", "Lion"): ("training/optimizers.py", "Optimizer"),
    ("training/optimizers.py", "Adam"): ("training/optimizers.py", "Optimizer"),
    ("training/ecd.py", "ECD"): ("training/optimizers.py", "Optimizer"),
}
# What users call, whatever it takes.
PUBLIC = {
    "api/compare.py": {"compare"},
    "api/read.py": {"read"},
    "api/run.py": {"run", "evaluate"},
    "api/study.py": {"Study"},
    "api/trained.py": {"TrainedNetwork"},
    "api/unfold.py": {"unfold"},
    "events/sample.py": {"Events", "Level"},
    "observables/observable.py": {"from_expression", "from_function", "from_jets"},
    "sources/source.py": {"Source"},
}


def _functions():
    """Yield file, class (or an empty name) and node of all public functions and methods."""
    for path in sorted(PACKAGE.rglob("*.py")):
        name = str(path.relative_to(PACKAGE))
        for node in ast.parse(path.read_text(encoding="utf-8")).body:
            if isinstance(node, ast.FunctionDef):
                yield name, "", node
            elif isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
                for inner in node.body:
                    if isinstance(inner, ast.FunctionDef):
                        yield name, node.name, inner


def _arguments(node):
    arguments = [*node.args.posonlyargs, *node.args.args, *node.args.kwonlyargs]
    return [each for each in arguments if each.arg not in ("self", "cls")]


def _text(annotation):
    return "" if annotation is None else ast.unparse(annotation)


def _is_meant(name, owner, node):
    """Return whether a function takes arguments and has to do with arrays, or users call it."""
    is_property = any("property" in ast.unparse(each) for each in node.decorator_list)
    if node.name.startswith("_") or is_property or not _arguments(node):
        return False
    texts = [_text(node.returns), *(_text(each.annotation) for each in _arguments(node))]
    used = (owner or node.name) in PUBLIC.get(name, ())
    return used or any(map(ARRAY.search, texts))


def _sections(node):
    """Return the sections of a docstring by title."""
    parts = SECTION.split(ast.get_docstring(node) or "")
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def _entries(section):
    """Return what a section says of each argument."""
    found = {}
    for entry in re.split(r"\n    (?=\S)", "\n" + section.strip("\n")):
        names, colon, text = entry.strip().partition(":")
        if colon:
            found |= {each.strip().lstrip("*"): text for each in names.split(",")}
    return found


def _has_shape(text):
    return bool(SHAPE.search(text) or ANY_SHAPE.search(text))


def _lacks(node):
    """Return what a docstring does not say."""
    sections = _sections(node)
    entries = _entries(sections.get("Args", ""))
    found = [each.arg for each in _arguments(node) if each.arg not in entries]
    found += [
        f"shape of {each.arg}"
        for each in _arguments(node)
        if ARRAY.search(_text(each.annotation))
        and each.arg in entries
        and not _has_shape(entries[each.arg])
    ]
    returns = _text(node.returns)
    given = sections.get("Returns", sections.get("Yields"))
    if returns not in ("", "None") and given is None:
        found.append("Returns")
    elif given is not None and ARRAY.search(returns) and not _has_shape(given):
        found.append("shape of what it returns")
    return found


def test_functions_of_arrays_say_what_they_take_and_return():
    """All arguments, the result, and the shape of every array."""
    meant = [each for each in _functions() if _is_meant(*each)]
    assert len(meant) > 200
    lacking = {
        f"{name}: {owner + '.' if owner else ''}{node.name}": found
        for name, owner, node in meant
        if (name, owner) not in INTERFACES and (found := _lacks(node))
    }
    assert lacking == {}


def test_interfaces_describe_the_methods_of_their_classes():
    methods = {(name, owner, node.name): node for name, owner, node in _functions()}
    described = 0
    for (name, owner, method), node in methods.items():
        if (name, owner) in INTERFACES and _is_meant(name, owner, node):
            base = methods[(*INTERFACES[name, owner], method)]
            assert [a.arg for a in _arguments(node)] == [a.arg for a in _arguments(base)]
            assert _lacks(base) == []
            described += 1
    assert described >= len(INTERFACES)


def test_a_docstring_that_lacks_something_is_found():
    """The rule itself."""
    text = '''
def f(x: np.ndarray, y: int, z: np.ndarray) -> np.ndarray:
    """Return numbers (n,).

    Args:
        x: (n,) one.
        z: another.

    Returns:
        A number each.
    """
'''
    (node,) = ast.parse(text).body
    assert _lacks(node) == ["y", "shape of z", "shape of what it returns"]
    node.body[0].value.value = "Return numbers (n,)."
    assert _lacks(node) == ["x", "y", "z", "Returns"]
