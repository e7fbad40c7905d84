"""The `omniflow` command."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path

import click

import omniflow
from omniflow.errors import OmniflowError

CONFIG = click.argument("config", type=click.Path(path_type=Path))


def _clear_errors(function: Callable) -> Callable:
    """End with status 1 and the message alone when the user can mend the error."""

    @wraps(function)
    def wrapper(*args: object, **kwargs: object) -> None:
        try:
            function(*args, **kwargs)
        except OmniflowError as error:
            click.echo(f"{type(error).__name__}: {error}", err=True)
            sys.exit(1)

    return wrapper


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(omniflow.__version__, prog_name="omniflow")
def main() -> None:
    """Unbinned unfolding with ensembles of classifiers.

    Studies run with Snakemake: snakemake --profile profiles/local --configfile CONFIG
    """


@main.command()
@CONFIG
@_clear_errors
def check(config: Path) -> None:
    """Validate CONFIG and print it with all defaults filled in."""
    from omniflow.config import dump, load

    click.echo(dump(load(config)), nl=False)


@main.command()
@CONFIG
@_clear_errors
def plan(config: Path) -> None:
    """Print what CONFIG will run: networks, jobs, events, estimated time and disk."""
    from rich.console import Console
    from rich.table import Table

    from omniflow.config import load
    from omniflow.unfolding.estimate import estimate
    from omniflow.unfolding.plan import Plan

    study = Plan(load(config))
    size = estimate(study)
    console = Console()
    samples = Table("sample", "source", "records", title=f"Study {study.config.study.name}")
    for role, events in size.events.items():
        shown = "all in its files" if events is None else f"{events:,}"
        samples.add_row(role, study.samples[role].source, shown)
    console.print(samples)
    methods = Table("method", "chain", "lanes x members", "networks", "shared", "jobs", "time")
    for name, method in study.config.methods.items():
        found = size.methods[name]
        methods.add_row(
            name,
            study.chain_slug(method),
            f"{method.lanes} x {method.members}",
            f"{found.networks:,}",
            f"{found.shared:,}",
            f"{found.jobs:,}",
            _duration(found.seconds),
        )
    console.print(methods)
    basis = "rates measured in this study" if size.measured else "a rule of thumb for this network"
    console.print(
        f"{size.networks:,} networks in {size.jobs:,} jobs over {len(study.passes)} passes; "
        f"at most {_duration(size.seconds)} of training, one job at a time ({basis}, "
        f"every epoch run); about {size.disk / 1e9:.2g} GB of disk."
    )
    if None in size.events.values():
        console.print("Samples of unknown size count as empty in these estimates.")
    for note in study.notes:
        console.print(f"Note: {note}")


@main.command()
@click.argument("file", type=click.Path(path_type=Path))
@_clear_errors
def inspect(file: Path) -> None:
    """Print what is in an event FILE: an event store, H1 layout, or other HDF5."""
    from rich.console import Console

    from omniflow.events.inspect import describe, render

    Console().print(render(describe(file)))


@main.command()
@click.argument("study", type=click.Path(path_type=Path))
@_clear_errors
def closure(study: Path) -> None:
    """Print how close every method of the folder STUDY comes to the known truth."""
    import pandas as pd
    from rich.console import Console
    from rich.table import Table

    from omniflow.errors import InputError
    from omniflow.evaluation.closure import FLOORS, IMPROVEMENT
    from omniflow.evaluation.closure import closure as evaluate

    path = study / "summary.csv"
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the folder of a finished study.")
    summary = pd.read_csv(path)
    console = Console()
    for method, how in summary[["method", "combine"]].drop_duplicates().itertuples(index=False):
        rows = evaluate(summary, method, how)
        table = Table(title=f"{method} ({how}): distance to truth x 1000")
        for column in ("observable", "prior", "unfolded", "floor", "improvement", "closes"):
            table.add_column(column, justify="left" if column == "observable" else "right")
        for row in rows.itertuples():
            table.add_row(
                row.observable,
                f"{row.td_prior:.3f}",
                f"{row.td:.3f}",
                f"{row.td_floor:.3f}",
                f"{row.improvement:.1f}",
                "yes" if row.closes else "no",
            )
        console.print(table)
        console.print(
            f"{rows.better.sum()} of {len(rows)} come closer to truth; {rows.closes.sum()} close: "
            f"within {FLOORS:g} times the statistical floor, or {IMPROVEMENT:g} times closer after "
            "it is subtracted.\n"
        )


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h"
