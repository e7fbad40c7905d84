"""Command that writes a file of jets: `python -m omniflow.physics.zjets OUTPUT --tune 14`."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import numpy as np

from omniflow.errors import OmniflowError
from omniflow.files import atomic_path
from omniflow.physics.zjets.sample import make_sample


@click.command()
@click.argument("output", type=click.Path(path_type=Path))
@click.option("--events", type=click.IntRange(min=1), default=10_000, show_default=True)
@click.option("--seed", type=click.IntRange(1, 900_000_000), default=1, show_default=True)
@click.option("--tune", type=int, default=14, show_default=True, help="Pythia's Tune:pp.")
@click.option(
    *("--setting", "settings"),
    multiple=True,
    metavar="'KEY = VALUE'",
    help="A further setting of Pythia; may be given again.",
)
def main(output: Path, events: int, seed: int, tune: int, settings: tuple[str, ...]) -> None:
    """Write leading jets of Z + jets to OUTPUT, an npz file as those of OmniFold's public set."""
    try:
        arrays = make_sample(events, seed, tune, settings)
    except OmniflowError as error:
        click.echo(f"{type(error).__name__}: {error}", err=True)
        sys.exit(1)
    with atomic_path(output) as path:
        np.savez_compressed(path, **arrays)
    click.echo(f"{output}: {len(arrays['gen_mults'])} jets")


if __name__ == "__main__":
    main()
