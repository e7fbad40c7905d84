"""The command `omniflow compare`: differences of finished studies, as tables and as a page."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import click

from omniflow.cli_parts import PATH, clear_errors, print_whole

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table

    from omniflow.report.compared import Compared

_STAR = "* p below 0.05 after correction for all methods and studies (Holm)."
_MOST = 25  # differences of configurations that are printed


@click.command()
@click.argument("studies", metavar="STUDY STUDY...", type=PATH, nargs=-1, required=True)
@click.option(
    "--methods",
    metavar="NAME or NAME=NAME",
    multiple=True,
    help="A method of both, or one of the first study and one of the others; may be given again. "
    "All that both have without it.",
)
@click.option("--combine", metavar="NAME", help="A combination of lanes; each study's first.")
@click.option("--csv", "table", type=PATH, help="Write the numbers to this file.")
@click.option("--html", "page", type=PATH, help="Write a page with figures to this file.")
@clear_errors
def compare(
    studies: tuple[Path, ...],
    methods: tuple[str, ...],
    combine: str | None,
    table: Path | None,
    page: Path | None,
) -> None:
    """Print and draw how finished studies differ from the first: spread, MSE, bias and cost.

    Each STUDY is the folder of a study, such as results/demo. Passes are compared in pairs where
    seed, samples and number of passes are the same, and apart elsewhere; it is said which.
    """
    from omniflow.api import compare as evaluate

    pairs = [_pair(text) for text in methods]
    compared = evaluate(*studies, methods=pairs, combine=combine)
    for line in _said(compared):
        click.echo(line)
    for each in _tables(compared):
        print_whole(each)
    for note in (*compared.notes, _STAR):
        click.echo(note)
    if table:
        compared.write_csv(table)
        click.echo(f"{table}: {len(compared.table)} rows.")
    if page:
        click.echo(f"{compared.report(page)}: figures.")


def _pair(text: str) -> str | tuple[str, str]:
    old, equals, new = text.partition("=")
    return (old, new) if equals else old


def _said(compared: Compared) -> Iterator[str]:
    """Yield what differs between the studies, and how they are compared."""
    yield f"Reference: {compared.reference} ({compared.folder})"
    for one in compared.others:
        yield f"\n{one.study} ({one.folder}) differs in:"
        for each in one.differences[:_MOST]:
            yield f"  {each}"
        if len(one.differences) > _MOST:
            yield f"  and {len(one.differences) - _MOST} more"
        if not one.differences:
            yield "  nothing but its name"
        yield one.tested
        yield from one.notes
        if one.left_out:
            reasons = ", ".join(f"{name} ({why})" for name, why in one.left_out.items())
            yield f"Not compared: {reasons}."
    yield ""


def _tables(compared: Compared) -> Iterator[Table]:
    """Yield a table of what every result costs and gives, then one per metric."""
    yield _table("Cost and averages", *compared.averages())
    for metric in compared.metrics:
        yield _by_observable(compared, metric, f"{metric}: ratio to {compared.reference}", _ratio)
    if "bias_rel" in set(compared.table["metric"]):
        title = f"|bias_rel|: difference to {compared.reference}, in percent"
        yield _by_observable(compared, "bias_rel", title, _difference)


def _by_observable(
    compared: Compared, metric: str, title: str, cell: Callable[[pd.Series], str]
) -> Table:
    """Return a table of observables with a column per result."""
    rows = compared.rows(metric)
    cells = rows.assign(cell=rows.apply(cell, axis=1))
    wide = cells.pivot(index="observable", columns="result", values="cell")
    wide = wide.reindex(index=rows["observable"].unique(), columns=rows["result"].unique())
    body = [[name or "all", *wide.loc[name].fillna("")] for name in wide.index]
    return _table(title, ["observable", *wide.columns], body)


def _ratio(row: pd.Series) -> str:
    from omniflow.report import formats
    from omniflow.report.compared import p_value, sure

    text = formats.pair(row["ratio"], row["ratio"] * row["log_error"])
    return f"{text}  {p_value(row['p_value'])} {'*' if sure(row['p_adjusted']) else ' '}"


def _difference(row: pd.Series) -> str:
    from omniflow.report import formats

    return formats.pair(100 * row["difference"], 100 * row["difference_error"])


def _table(title: str, header: list[str], rows: list[list[str]]) -> Table:
    from rich.table import Table

    found = Table(title=title)
    for place, column in enumerate(header):
        found.add_column(column, justify="right" if place else "left", no_wrap=True)
    for row in rows:
        found.add_row(*row)
    return found
