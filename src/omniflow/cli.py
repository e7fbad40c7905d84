"""The `omniflow` command."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

import click

import omniflow
from omniflow import cli_compare, cli_export
from omniflow.cli_parts import PATH, print_whole
from omniflow.cli_parts import clear_errors as _clear_errors

if TYPE_CHECKING:
    import pandas as pd
    from rich.table import Table


CONFIG = click.argument("config", type=PATH, nargs=-1, required=True)
SETTINGS = click.option(
    *("-C", "--config", "settings"),
    metavar="KEY=VALUE",
    multiple=True,
    help="A setting on top of the files, as of Snakemake's --config; may be given again.",
)


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(omniflow.__version__, prog_name="omniflow")
def main() -> None:
    """Unbinned unfolding with ensembles of classifiers.

    `omniflow run CONFIG` runs a study, with Snakemake.
    """


@main.command()
@CONFIG
@SETTINGS
@_clear_errors
def check(config: tuple[Path, ...], settings: tuple[str, ...]) -> None:
    """Validate CONFIG and print it with all defaults filled in.

    Of several files each is put on top of those before, as by Snakemake's --configfile. Names of
    columns are compared with what samples hold, as far as files are there; missing ones are named.
    """
    from omniflow.config import dump, load
    from omniflow.stages import conversion, preflight
    from omniflow.unfolding.plan import Plan

    plan = Plan(load(*config, settings=settings))
    preflight.refuse(plan, ", ".join(map(str, config)))
    conversion.refuse_outdated(plan)
    click.echo(dump(plan.config), nl=False)
    for line in [*preflight.missing(plan), *preflight.untrainable(plan)]:
        click.echo(f"Note: {line}", err=True)


class _Run(click.Command):
    """A command that leaves what follows `--` to another."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        at = args.index("--") if "--" in args else len(args)
        super().parse_args(ctx, args[:at])
        ctx.args = args[at + 1 :]
        return ctx.args


@main.command(cls=_Run, options_metavar="[OPTIONS]", epilog="After --: arguments of Snakemake.")
@CONFIG
@SETTINGS
@click.option(
    "--profile",
    metavar="local|slurm|PATH",
    default="local",
    show_default=True,
    help="This machine, a Slurm cluster, or a profile of your own.",
)
@click.option(
    "--cores", type=click.IntRange(min=1), help="Cores to use at most; all by the profile local."
)
@click.pass_context
@_clear_errors
def run(
    context: click.Context,
    config: tuple[Path, ...],
    settings: tuple[str, ...],
    profile: str,
    cores: int | None,
) -> None:
    """Run the study of CONFIG, from its files to the report, with Snakemake.

    The same command goes on with a study that was interrupted. Paths are those of the working
    folder, as with Snakemake itself. What follows -- goes to Snakemake, for instance

        omniflow run study.yaml -- --dry-run
    """
    from omniflow import workflow
    from omniflow.config.text import combined

    combined(config, settings)  # of a file that cannot be read Snakemake would show a traceback
    workflow.start(workflow.command(config, settings, profile, cores, context.args))


@main.command()
@CONFIG
@SETTINGS
@click.option(
    "--workers",
    type=click.IntRange(min=1),
    help="GPUs, or processes without GPUs, that train at the same time.",
)
@click.option(
    "--rate",
    type=click.FloatRange(min=0, min_open=True),
    help="Events per second that one training gets through, instead of what was measured.",
)
@_clear_errors
def plan(
    config: tuple[Path, ...], settings: tuple[str, ...], workers: int | None, rate: float | None
) -> None:
    """Print what CONFIG will run: networks, jobs, hours of training, wall time, disk and files.

    Times are upper bounds: patience may end trainings before their last epoch. What has run already
    is counted too.
    """
    from rich.console import Console

    from omniflow import forecast
    from omniflow.config import load
    from omniflow.unfolding.plan import Plan

    console = Console()
    for part in forecast.forecast(Plan(load(*config, settings=settings)), workers, rate):
        console.print(part)


@main.command()
@click.argument("files", type=PATH, nargs=-1)
@click.option("--data", type=PATH, multiple=True, help="A file of data; may be given again.")
@click.option(
    "--simulation", type=PATH, multiple=True, help="A file of simulation; may be given again."
)
@click.option("--output", type=PATH, default="my.yaml", show_default=True, help="The new file.")
@click.option("--name", help="Name of the study, instead of that of the new file.")
@click.option("--force", is_flag=True, help="Write over a file that is there.")
@_clear_errors
def init(
    files: tuple[Path, ...],
    data: tuple[Path, ...],
    simulation: tuple[Path, ...],
    output: Path,
    name: str | None,
    force: bool,
) -> None:
    """Write a configuration for FILES (ROOT, Parquet, HDF5, npz), with comments.

    Roles are told by what files hold: those without particle level are data. What files do not tell
    is marked TODO.
    """
    from omniflow.drafts.init import write

    for line in write(
        [str(each) for each in files],
        [str(each) for each in data],
        [str(each) for each in simulation],
        output,
        name or "",
        over=force,
    ):
        click.echo(line)


@main.command()
@CONFIG
@SETTINGS
@click.option("--samples", multiple=True, help="Role of a sample, such as data; all without it.")
@_clear_errors
def convert(config: tuple[Path, ...], settings: tuple[str, ...], samples: tuple[str, ...]) -> None:
    """Write the event stores of CONFIG and nothing else.

    A study goes on from them. Stores of the same settings and files stay.
    """
    from omniflow.config import load
    from omniflow.stages import conversion, preflight
    from omniflow.unfolding.plan import Plan

    plan = Plan(load(*config, settings=settings))
    preflight.refuse(plan, ", ".join(map(str, config)))
    conversion.convert(plan, samples, lambda text: click.echo(text, err=True))


@main.command()
@click.argument("file", type=PATH)
@click.option(
    "--events",
    type=click.IntRange(min=1),
    help="Look at the first so many records of a file, or of each sample of a configuration.",
)
@_clear_errors
def inspect(file: Path, events: int | None) -> None:
    """Print what is in FILE, and what is to be said of it, the worst first.

    FILE is an event store, a file that a source reads (ROOT, Parquet, HDF5, npz), or a
    configuration (YAML), whose samples are read as a study would, and whose data and simulation are
    compared at detector level. Files are read as `omniflow init` maps them.
    """
    from rich.console import Console

    from omniflow.config import load
    from omniflow.drafts.reading import as_drafted
    from omniflow.sources import agreement
    from omniflow.sources.inspect import describe, of_samples, render
    from omniflow.unfolding.plan import Plan

    console = Console()
    if file.suffix in (".yaml", ".yml"):
        plan = Plan(load(file))
        described = {}
        for found in of_samples(plan.samples, events, plan.config.diagnostics.weights):
            console.print(render(found))
            described[found.name] = found
        scale = plan.config.unfolding.scale
        if (compared := agreement.compare(described["data"], described["simulation"], scale)).rows:
            console.print(agreement.render(compared))
        return
    console.print(render(describe(file)))
    if (drafted := as_drafted(str(file), events)) is not None:
        console.print(render(drafted))


@main.command()
@CONFIG
@SETTINGS
@click.option(
    "--records",
    type=click.IntRange(min=1),
    default=20_000,
    show_default=True,
    help="Records of each sample at most.",
)
@click.option("--full", is_flag=True, help="Run the study as it is, with all records and passes.")
@click.option("--seed", type=click.IntRange(min=0), default=1, show_default=True)
@click.option("--folder", type=PATH, help="Keep both runs there, instead of a temporary folder.")
@_clear_errors
def leakage(
    config: tuple[Path, ...],
    settings: tuple[str, ...],
    records: int,
    full: bool,
    seed: int,
    folder: Path | None,
) -> None:
    """Show that no weight of CONFIG depends on the truth of its pseudo-data.

    Trains twice, the second time with the particle level of the data permuted over its events, and
    compares all weights bit by bit. By default with few records, one pass, and few iterations,
    epochs, lanes and members: a leak takes no more. Ends with status 1 if a weight differs.
    """
    from contextlib import nullcontext
    from tempfile import TemporaryDirectory

    from omniflow.api import leakage as api
    from omniflow.config import load

    study = load(*config, settings=settings)
    study = study if full else api.reduced(study, records)
    with nullcontext(folder) if folder else TemporaryDirectory(prefix="omniflow-") as place:
        found = api.check(study, Path(place), seed, lambda text: click.echo(text, err=True))
    for line in found.words():
        click.echo(line)
    if not found.clean:
        sys.exit(1)


@main.command()
@click.argument("study", type=PATH)
@click.option("--to", "path", type=PATH, required=True, help="New file: .root, .parquet or .csv.")
@click.option("--method", help="A method, or one with other inputs (data-3.parallel); the first.")
@click.option("--combine", help="A combination of its lanes; the first.")
@click.option("--iteration", type=click.IntRange(min=1), help="The last one without it.")
@_clear_errors
def weights(
    study: Path, path: Path, method: str | None, combine: str | None, iteration: int | None
) -> None:
    """Write the weights of the folder STUDY with run, event or whatever tells its events apart.

    One row per simulated event, to be joined to the files that were unfolded with; events that are
    not unfolded have weight 0. ROOT files have the tree `weights`.
    """
    from omniflow.api import read, records

    table = records.frame(read(study), method, combine, iteration)
    records.write(table, path)
    click.echo(f"{path}: {len(table):,} events with the columns {', '.join(table.columns)}.")


@main.command()
@click.argument("study", type=PATH)
@_clear_errors
def closure(study: Path) -> None:
    """Print how close every method of the folder STUDY comes to the known truth, by iteration."""
    from rich.console import Console

    from omniflow.errors import InputError
    from omniflow.evaluation.closure import IMPROVEMENT
    from omniflow.evaluation.closure import closure as evaluate
    from omniflow.evaluation.metrics import FLOORS
    from omniflow.tables.results import SUMMARY

    path = study / "summary.csv"
    if not path.is_file():
        raise InputError(f"{path}: no such file; give the folder of a finished study.")
    summary = SUMMARY.read(path)
    console = Console()
    for method, how in summary[["method", "combine"]].drop_duplicates().itertuples(index=False):
        rows = evaluate(summary, method, how)
        title = f"{method} ({how}): distance to truth x 1000 after iteration n"
        print_whole(_distances(rows, title))
        last = rows[rows.iteration == rows.iteration.max()]
        console.print(
            f"{last.better.sum()} of {len(last)} come closer to truth; {last.closes.sum()} close: "
            f"within {FLOORS:g} times the statistical floor, or {IMPROVEMENT:g} times closer.\n"
        )


def _distances(rows: pd.DataFrame, title: str) -> Table:
    """Return a table of the rows of `closure`: observables, with a column per iteration."""
    from rich.table import Table

    table = Table(title=title)
    wide = rows.pivot(index="observable", columns="iteration", values="td")
    last = rows[rows.iteration == rows.iteration.max()]
    table.add_column("observable", no_wrap=True)
    for column in ("prior", *(f"n={n}" for n in wide), "floor", "prior/last", "closes"):
        table.add_column(column, justify="right", no_wrap=True)
    for row in last.itertuples():
        table.add_row(
            row.observable,
            f"{row.td_prior:.3f}",
            *(f"{td:.3f}" for td in wide.loc[row.observable]),
            f"{row.td_floor:.3f}",
            f"{row.improvement:.1f}",
            "yes" if row.closes else "no",
        )
    medians = rows.groupby("iteration").improvement.median()
    table.add_section()
    table.add_row("median prior/result", "", *(f"{m:.1f}" for m in medians), "", "", "")
    return table


for _command in (
    *(cli_compare.compare, cli_export.export),
    *(cli_export.histogram, cli_export.import_release),
):
    main.add_command(_command)
