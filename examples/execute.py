"""Execute the notebooks of examples/, in place: `python examples/execute.py [NOTEBOOK ...]`.

The tests replace texts by the entry `small` of a cell's metadata: few events, short trainings.
Outputs are kept with a hash of the code that gave them; figures also go to docs/examples/.
"""

import base64
import hashlib
import re
import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

HERE = Path(__file__).parent
FIGURES = HERE.parent / "docs" / "examples"
# The beginning of an absolute path: a notebook says nothing of the machine that ran it.
PATHS = re.compile(r"(?<![\w.~*/-])/(?:home|root|tmp|work|usr|opt|mnt|Users|var|scratch)/")


def notebooks():
    """Return the paths of all notebooks."""
    return sorted(HERE.glob("*/*.ipynb"))


def code(notebook):
    """Return a hash of the code of a notebook."""
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    return hashlib.sha256("\n\0".join(cells).encode()).hexdigest()[:16]


def run(path, folder, small=False):
    """Return the notebook `path`, executed in `folder`."""
    notebook = nbformat.read(path, as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
            for old, new in cell.metadata.get("small", {}).items() if small else ():
                if old not in cell.source:
                    raise ValueError(f"{path}: no cell with small has {old!r}")
                cell.source = cell.source.replace(old, new)
    where = {"metadata": {"path": str(folder)}}
    client = NotebookClient(
        notebook,
        timeout=None,
        kernel_name="python3",
        startup_timeout=600,
        resources=where,
        record_timing=False,
        coalesce_streams=True,
    )
    client.execute()
    return notebook


def texts(notebook):
    """Yield the outputs of a notebook that are text."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            yield output.get("text", "")
            for kind, content in output.get("data", {}).items():
                if kind.startswith("text/"):
                    yield content


def figures(notebook):
    """Yield the figures of a notebook, PNG."""
    for cell in notebook.cells:
        for output in cell.get("outputs", ()):
            if "image/png" in output.get("data", {}):
                yield base64.b64decode(output["data"]["image/png"])


def main(paths):
    """Execute notebooks, all if none is named."""
    for path in map(Path, paths or notebooks()):
        notebook = run(path, path.parent)
        found = [match for text in texts(notebook) if (match := PATHS.search(text))]
        if found:
            sys.exit(f"{path}: an output holds a path of this machine: {found[0].string}")
        notebook.metadata = {"kernelspec": notebook.metadata.kernelspec, "executed": code(notebook)}
        nbformat.write(notebook, path)
        FIGURES.mkdir(exist_ok=True)
        for number, figure in enumerate(figures(notebook), 1):
            (FIGURES / f"{path.stem}-{number}.png").write_bytes(figure)


if __name__ == "__main__":
    main(sys.argv[1:])
