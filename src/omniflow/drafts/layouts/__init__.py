"""Layouts that `omniflow init` recognises: one module per layout, found by being here."""

from __future__ import annotations

import inspect
import pkgutil
from functools import cache
from importlib import import_module

from omniflow.drafts.content import Content
from omniflow.drafts.layouts.layout import Layout


@cache
def known() -> tuple[Layout, ...]:
    """Return all layouts, the most special ones first."""
    found: list[Layout] = []
    for module in pkgutil.iter_modules(__path__):
        loaded = import_module(f"{__name__}.{module.name}")
        found += [
            kind()
            for _, kind in inspect.getmembers(loaded, inspect.isclass)
            if issubclass(kind, Layout)
            and not inspect.isabstract(kind)
            and kind.__module__ == loaded.__name__
        ]
    return tuple(sorted(found, key=lambda layout: (layout.rank, layout.title)))


def recognised(content: Content) -> Layout:
    """Return the layout of a file; there is one for files of no known layout, too."""
    return next(layout for layout in known() if layout.recognises(content))
