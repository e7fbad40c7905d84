"""Catalogue of all tables, and of other files for the reader in the folder of a study.

A table is found by being declared in one of the modules here.
"""

from __future__ import annotations

from omniflow.tables import (
    classifiers,
    comparisons,
    convergence,
    event_weights,
    identifiability,
    lanes,
    reference,
    results,
    trainings,
    uncertainties,
)
from omniflow.tables.table import File, Table

# In the order of docs/formats.md; each module has a TITLE, NOTES and its declarations.
MODULES = (
    *(results, comparisons, reference, uncertainties),
    *(trainings, lanes, event_weights, classifiers, convergence, identifiability),
)
SECTIONS = {
    module: tuple(found for found in vars(module).values() if isinstance(found, File))
    for module in MODULES
}
FILES: tuple[File, ...] = tuple(file for files in SECTIONS.values() for file in files)
TABLES: dict[str, Table] = {file.stem: file for file in FILES if isinstance(file, Table)}
