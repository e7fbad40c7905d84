"""Part of docs/formats.md on tables, generated from their declarations.

`python -m omniflow.tables.document`, run in the project's root, writes it between two marks; a test
compares it with the declarations.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from omniflow.config.document import command
from omniflow.errors import ConfigError
from omniflow.tables.catalogue import FILES, SECTIONS
from omniflow.tables.table import Column, File, Table, When

PAGE_FILE = Path("docs", "formats.md")
BEGIN = (
    "<!-- Generated from src/omniflow/tables/ by `python -m omniflow.tables.document`, up to the "
    "next mark; do not edit. -->"
)
END = "<!-- Generated up to here. -->"

_INTRODUCTION = """\
CSV in UTF-8 with a header. A number is empty where there is none, and so is text; whole numbers
are never, unless their type says so. Readers (`omniflow.tables`, which the report and
`omniflow.read` use) refuse a file with other columns, cells of another type, or two rows of one
key."""


def part() -> str:
    """Return the part of the page on tables: all files, then one section per module."""
    blocks = ["## Tables", _INTRODUCTION, _overview()]
    for module, files in SECTIONS.items():
        blocks += [f"### {module.TITLE}", *([module.NOTES] if module.NOTES else [])]
        for file in files:
            blocks += _described(file)
    return "\n\n".join([BEGIN, *blocks, END])


def page(text: str) -> str:
    """Return the text of the page with the part on tables as it should be.

    Raises:
        ConfigError: the page has no marks around it.
    """
    before, begin, rest = text.partition(BEGIN)
    _, end, after = rest.partition(END)
    if not (begin and end):
        raise ConfigError(f"{PAGE_FILE}: has no place for tables between {BEGIN!r} and {END!r}")
    return before + part() + after


def write(root: str | Path = ".") -> None:
    """Write the part of the page under the project's root, atomically.

    Raises:
        ConfigError: `root` is not the root of the project, or the page has no place for it.
    """
    from omniflow.files import write_text

    path = Path(root) / PAGE_FILE
    if not path.is_file():
        raise ConfigError(f"{Path(root).resolve()}: has no {PAGE_FILE}; run this in the root")
    write_text(page(path.read_text(encoding="utf-8")), path)


def _overview() -> str:
    rows = ["| file | content | there |", "|---|---|---|"]
    rows += [f"| `{file.name}` | {file.meaning} | {file.when} |" for file in FILES]
    return "\n".join(rows)


def _described(file: File) -> Iterator[str]:
    """Yield what is to be said of a file, in paragraphs."""
    if not isinstance(file, Table) and not file.notes:
        return
    yield f"#### `{file.name}`"
    said = [f"{file.meaning[0].upper()}{file.meaning[1:]}."]
    if file.when is not When.ALWAYS:
        said.append(f"Only {file.when}.")
    if isinstance(file, Table) and file.key:
        said.append(f"One row per {', '.join(f'`{name}`' for name in file.key)}.")
    yield " ".join(said)
    if file.notes:
        yield file.notes
    if isinstance(file, Table):
        yield "\n".join(["| column | type | meaning |", "|---|---|---|", *map(_row, file.columns)])


def _row(column: Column) -> str:
    unit = f" ({column.unit})" if column.unit else ""
    return f"| `{column.name}` | {column.type}{unit} | {column.meaning} |"


def main(arguments: list[str] | None = None) -> None:
    """Write the part of the page, from the command line."""
    command("Write the part of docs/formats.md on tables.", write, arguments)


if __name__ == "__main__":
    main()
