"""Commands of `omniflow` that give results to others, and read what others gave."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from omniflow.cli_parts import PATH, clear_errors

if TYPE_CHECKING:
    from omniflow.export.bundle.more import About, Limits

_ABOUT = (
    click.option("--about", type=PATH, help="YAML file: title, authors, licence, citation, doi..."),
    click.option("--licence", help="Under which others may use the weights, such as CC-BY-4.0."),
    click.option("--citation", help="What others should cite."),
)
_LIMITS = (
    click.option(
        "--effective",
        type=click.FloatRange(min=0),
        default=5_000,
        show_default=True,
        help="Effective events that a bin needs; those with fewer are named.",
    ),
    click.option(
        "--data-error",
        type=click.FloatRange(min=0, min_open=True),
        default=0.15,
        show_default=True,
        help="Relative error by the statistics of the data from which on a bin is named.",
    ),
)
_FORCE = click.option("--force", is_flag=True, help="Write over a bundle that is there.")


def _with(*options: Callable) -> Callable:
    def add(command: Callable) -> Callable:
        for option in reversed(options):
            command = option(command)
        return command

    return add


@click.command()
@click.argument("study", type=PATH)
@click.option("--method", help="Name of the method; by default the first of the study.")
@click.option("--combine", help="Combination of its lanes; by default the first.")
@click.option(
    "--as",
    "form",
    type=click.Choice(["bundle", "hepdata", "pyhf", "root"]),
    default="bundle",
    show_default=True,
    help="What is written.",
)
@click.option("--output", type=PATH, help="The new folder; by default one in STUDY.")
@click.option("--settings", type=PATH, help="YAML: texts of hepdata, the model of pyhf.")
@_with(*_ABOUT, *_LIMITS)
@click.option(
    "--leave-out",
    type=click.Choice(["lanes", "members"]),
    multiple=True,
    help="Columns of single networks that the bundle is to be without.",
)
@_FORCE
@click.pass_context
@clear_errors
def export(
    context: click.Context,
    study: Path,
    method: str | None,
    combine: str | None,
    form: str,
    output: Path | None,
    settings: Path | None,
    leave_out: tuple[str, ...],
    force: bool,
    effective: float,
    data_error: float,
    **about: Any,
) -> None:
    """Write a method of the finished STUDY in a form that others use.

    A bundle is a folder: events with weights for everything that was varied, what they mean,
    covariances and networks; `omniflow histogram` reads it. The other forms are of binned results:
    a submission to HEPData, workspaces of pyhf, histograms of ROOT. Lines below the files say which
    errors the study lacks, and what is a placeholder.
    """
    import omniflow
    from omniflow.export import command
    from omniflow.export.bundle import write

    if form == "bundle":
        _refuse(context, form, "settings")
        written = write(
            omniflow.read(study),
            method,
            combine,
            output,
            about=_about(**about),
            limits=_limits(effective, data_error),
            leave_out=leave_out,
            over=force,
        )
        _say(written.folder, written.notes)
        return
    _refuse(context, form, *about, "effective", "data_error", "leave_out", "force")
    for line in command.write(study, method, combine, form, output, settings):
        click.echo(line)


def _refuse(context: click.Context, form: str, *names: str) -> None:
    """Refuse options that a form has not.

    Raises:
        InputError: one of them is given.
    """
    from omniflow.errors import InputError

    for name in names:
        if context.get_parameter_source(name) is not ParameterSource.DEFAULT:
            option = name.replace("_", "-")
            raise InputError(f"--{option} is not for --as {form}; leave it out")


@click.command(name="import-release")
@click.argument("file", type=PATH)
@click.option("--output", type=PATH, required=True, help="The new folder.")
@click.option(
    "--other",
    "others",
    metavar="NAME=FILE",
    multiple=True,
    help="Weights of another sample, a variation with other events; may be given again.",
)
@click.option("--key", default="df", show_default=True, help="Of the table in the file.")
@_with(*_ABOUT)
@_FORCE
@clear_errors
def import_release(
    file: Path, output: Path, others: tuple[str, ...], key: str, force: bool, **about: Any
) -> None:
    """Write FILE, of the public ATLAS Z + jets release (pandas HDF5), as a bundle.

    Columns named weights_bootstrap_data_0 and so on become families with their kinds and rules.
    """
    from omniflow.errors import InputError
    from omniflow.export.bundle import release

    named = {}
    for each in others:
        name, equals, path = each.partition("=")
        if not equals:
            raise InputError(f"--other {each}: give NAME=FILE, such as sherpa=multifold_sherpa.h5")
        named[name] = Path(path)
    written = release.write(file, output, others=named, key=key, about=_about(**about), over=force)
    _say(written.folder, written.notes)


@click.command()
@click.argument("bundle", type=PATH)
@click.argument("expressions", nargs=-1, required=True, metavar="EXPRESSION...")
@click.option(
    "--bins",
    multiple=True,
    metavar="EDGES|N:LOW:HIGH",
    help="Such as 0,10,20 or 20:0:100; once for all expressions, or once for each of them. By "
    "default the bins of the authors.",
)
@click.option("--where", help="Count events with this condition alone, such as 'pt > 20'.")
@click.option("--normalise", is_flag=True, help="Scale each histogram to unit sum.")
@click.option(
    "--output", type=PATH, help="File: .json with everything, or .csv and .covariance.csv."
)
@clear_errors
def histogram(
    bundle: Path,
    expressions: tuple[str, ...],
    bins: tuple[str, ...],
    where: str | None,
    normalise: bool,
    output: Path | None,
) -> None:
    """Print histograms of what is in BUNDLE, with errors; write their full covariance.

    An EXPRESSION is an observable, or a formula over observables and event columns. Several give
    one covariance of all bins.
    """
    import omniflow

    edges = _edges(bins, len(expressions))
    found = omniflow.read_bundle(bundle).histogram(
        list(expressions), edges, where=where, normalise=normalise
    )
    for warning in found.warnings:
        click.echo(f"Warning: {warning}", err=True)
    if output is None:
        click.echo(found.table().to_string(index=False, float_format=lambda value: f"{value:.6g}"))
        return
    for path in found.write(output):
        click.echo(path)


def _edges(texts: tuple[str, ...], count: int) -> list[list[float]] | None:
    """Return the edges for each of so many expressions.

    Raises:
        InputError: a text is neither edges nor N:LOW:HIGH, or their number is another.
    """
    from omniflow.errors import InputError

    if not texts:
        return None
    if len(texts) not in (1, count):
        raise InputError(
            f"--bins: is given {len(texts)} times for {count} expressions; give it once, or once "
            "for each"
        )
    found = [_parsed(text) for text in texts]
    return found * count if len(found) == 1 else found


def _parsed(text: str) -> list[float]:
    import numpy as np

    from omniflow.errors import InputError

    wrong = InputError(f"--bins {text}: give edges such as 0,10,20, or N:LOW:HIGH such as 20:0:100")
    try:
        if ":" not in text:
            return [float(each) for each in text.split(",")]
        number, low, high = text.split(":")
        if not 1 <= int(number) <= 100_000:
            raise wrong
        return np.linspace(float(low), float(high), int(number) + 1).tolist()
    except ValueError:
        raise wrong from None


def _about(about: Path | None, **given: str | None) -> About:
    from omniflow.export.bundle import about as told

    return told.read(about, {key: value for key, value in given.items() if value is not None})


def _limits(effective: float, data_error: float) -> Limits:
    from omniflow.export.bundle.more import Limits

    return Limits(effective=effective, data_error=data_error)


def _say(folder: Path, notes: tuple[str, ...]) -> None:
    size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
    click.echo(f"{folder} ({size / 1e6:.1f} MB)")
    for note in notes:
        click.echo(f"Note: {note}", err=True)
