"""What the commands of `omniflow` have in common: paths, and errors without a traceback."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import wraps
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from omniflow.errors import OmniflowError

if TYPE_CHECKING:
    from rich.table import Table


class _Path(click.Path):
    """A path in which `~` and variables are expanded; what is there as it is written is taken."""

    def convert(self, value: Any, *context: Any) -> Any:
        from omniflow.config.paths import expanded

        if not Path(value).exists():
            try:
                value = expanded(str(value))
            except ValueError as error:
                self.fail(f"{value}: {error}", *context)
        return super().convert(value, *context)


PATH = _Path(path_type=Path)


def clear_errors(function: Callable) -> Callable:
    """End with status 1 and the message alone when the user can mend the error."""

    @wraps(function)
    def wrapper(*args: object, **kwargs: object) -> None:
        try:
            function(*args, **kwargs)
        except OmniflowError as error:
            click.echo(f"{type(error).__name__}: {error}", err=True)
            sys.exit(1)

    return wrapper


def print_whole(table: Table) -> None:
    """Print a table as wide as it is: a number that is cut is worse than a line that wraps."""
    from rich.console import Console

    needed = Console(width=1000).measure(table).maximum
    Console(width=max(needed, Console().width)).print(table)
