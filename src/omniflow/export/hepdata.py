"""A submission to HEPData: tables of binned results, their errors and correlations.

Variables and tables are hepdata-lib's; files are written here, since that library writes its
archive into the working folder and makes thumbnails by a shell.
"""

from __future__ import annotations

import gzip
import io
import json
import tarfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd
import yaml

import omniflow
from omniflow.api import Study
from omniflow.errors import InputError
from omniflow.evaluation.covariance import TRAINING
from omniflow.export import thumbnails
from omniflow.export.binned import Binned, binned, correlation, error
from omniflow.export.folders import replace_export
from omniflow.export.submission import TODO, Submission
from omniflow.files import write_csv
from omniflow.unfolding.variants import ROLES

if TYPE_CHECKING:
    from hepdata_lib import Table, Uncertainty, Variable
    from matplotlib.figure import Figure

FOLDER, ARCHIVE = "submission", "submission.tar.gz"
DIGITS = 6
NAME = 64  # characters of a table's name, at most
ROWS = 150_000  # of a table: HEPData takes 10 MB per file
COVARIANCE, BINS = "covariance.csv", "bins.csv"


@dataclass(frozen=True)
class Page:
    """A table with its figure.

    Attributes:
        table: of hepdata-lib.
        figure: what it shows.
        file: name of its files, without suffix.
    """

    table: Table
    figure: Figure
    file: str


def write(
    study: Study,
    method: str | None,
    combine: str | None,
    folder: Path,
    texts: Submission | None = None,
) -> list[str]:
    """Write the submission of a method into a folder, and the archive that HEPData takes.

    Args:
        study: that has been run.
        method: by default the first.
        combine: by default the first.
        folder: new, or replaced.
        texts: what the study does not know.

    Returns:
        What was written, which components are absent, and where placeholders stand, by lines.

    Raises:
        InputError: files of the study are missing, or hepdata-lib is.
    """
    result, texts = binned(study, method, combine), texts or Submission()
    pages = list(_pages(result, texts))
    left = [] if _joint_fits(result) else [f"joint correlations: too large; see {COVARIANCE}"]
    with replace_export(folder, ARCHIVE) as temporary:
        inside = temporary / FOLDER
        inside.mkdir()
        documents = [_head(result, texts, inside)]
        documents += [_document(page, inside) for page in pages]
        (inside / "submission.yaml").write_text(
            yaml.safe_dump_all(documents, explicit_start=True, sort_keys=False), encoding="utf-8"
        )
        (temporary / ARCHIVE).write_bytes(_archive(inside))
    return [
        f"{folder / ARCHIVE}: {len(pages)} tables",
        *left,
        *(f"absent: {name}: {text}" for name, text in result.absent.items()),
        *(f"placeholder: {text}" for text in texts.placeholders()),
    ]


def _library() -> Any:
    """Return hepdata-lib, which few need."""
    try:
        import hepdata_lib
    except ImportError as found:
        raise InputError(
            f"a HEPData submission needs hepdata-lib ({found}): pip install 'omniflow[publish]'"
        ) from None
    return hepdata_lib


def _pages(result: Binned, texts: Submission) -> Iterator[Page]:
    """Yield the tables: spectra, then their correlations, then those of all bins together."""
    number = 0
    for name in result.names:
        number += 1
        one = result.of([name])
        yield Page(_spectrum(one, texts), thumbnails.spectrum(one), f"{number:03d}-{name}")
    for names in [[n] for n in result.names] + ([[*result.names]] if _joint_fits(result) else []):
        part = result.of(names)
        title = names[0] if len(names) == 1 else "all observables"
        for kind, matrix in (("statistical", part.statistical), ("total", part.total)):
            if matrix is not None:
                number += 1
                values = correlation(matrix)
                table = _correlation(part, texts, title, kind, values)
                figure = thumbnails.matrix(values, "bin" if len(names) > 1 else f"bin of {title}")
                yield Page(table, figure, f"{number:03d}-{kind}-{title.replace(' ', '-')}")


def _joint_fits(result: Binned) -> bool:
    return len(result.names) > 1 and len(result.content) ** 2 <= ROWS


def _spectrum(result: Binned, texts: Submission) -> Table:
    """Return the table of one observable: the result with its errors, and predictions."""
    (axis,) = result.axes
    said = texts.tables.get(axis.name)
    table = _table(result, texts, axis.name, axis.name)
    table.description = (said and said.description) or _caption(result)
    bins = _variable(axis.latex, list(pairwise(axis.edges)), binned=True, units=axis.unit)
    table.add_variable(bins)
    unfolded = _variable(_quantity(result), result.content.tolist(), independent=False)
    for each in _errors(result):
        unfolded.add_uncertainty(each)
    table.add_variable(unfolded)
    for name, found in result.references.items():
        beside = _variable(f"{_quantity(result)} ({name})", found.content.tolist(), False)
        beside.add_uncertainty(_uncertainty("stat", error(found.covariance).tolist()))
        table.add_variable(beside)
    return table


def _errors(result: Binned) -> Iterator[Uncertainty]:
    """Yield the components of the error, one after the other.

    Systematic ones are shifts with their signs, which keep bins correlated: `plus` for one standard
    deviation up, `minus` for one down.
    """
    labels = {role: f"stat,{role}" for role in ROLES} | {TRAINING: TRAINING}
    for name, label in labels.items():
        if name in result.blocks:
            yield _uncertainty(label, error(result.blocks[name]).tolist())
    for name, (first, *others) in result.shifts.items():
        second = others[0] if others else -first
        found = _library().Uncertainty(f"sys,{name}", is_symmetric=False)
        found.values = list(zip(second.tolist(), first.tolist(), strict=True))
        yield found


def _correlation(
    result: Binned, texts: Submission, title: str, kind: str, values: np.ndarray
) -> Table:
    """Return a table of correlations (B, B), by numbers of bins from 1."""
    observable = title if len(result.names) == 1 else None
    table = _table(result, texts, f"{kind} correlation, {title}", observable)
    ranges = (f"{n}: {r.start + 1} to {r.stop}" for n, r in result.rows.items())
    table.description = (
        f"Correlations of the {kind} errors between bins of {title}. Bins: {', '.join(ranges)}."
    )
    size = len(values)
    first, second = np.divmod(np.arange(size * size), size)
    table.add_variable(_variable("Bin i", (first + 1).tolist()))
    table.add_variable(_variable("Bin j", (second + 1).tolist()))
    table.add_variable(_variable("Correlation", values.ravel().tolist(), independent=False))
    return table


def _table(result: Binned, texts: Submission, name: str, observable: str | None) -> Table:
    """Return an empty table."""
    said = texts.tables.get(observable or "")
    table = _library().Table(name if len(name) <= NAME else f"{name[: NAME - 3]}...")
    table.location = (said and said.location) or texts.location or TODO
    keywords = {name: list(values) for name, values in texts.keywords if values}
    if said and said.observables:
        keywords["observables"] = list(said.observables)
    table.keywords = keywords
    return table


def _variable(
    name: str, values: list, independent: bool = True, binned: bool = False, units: str = ""
) -> Variable:
    found = _library().Variable(
        *(name,),
        is_independent=independent,
        is_binned=binned,
        units=units,
        values=values,
        zero_uncertainties_warning=False,
    )
    found.digits = DIGITS
    return found


def _uncertainty(label: str, values: list[float]) -> Uncertainty:
    found = _library().Uncertainty(label)
    found.values = values
    return found


def _quantity(result: Binned) -> str:
    return "Events per bin" if result.normalization == "absolute" else "Fraction of the bins"


def _caption(result: Binned) -> str:
    """Return what a table holds, and what it lacks."""
    (axis,) = result.axes
    components = ", ".join(result.blocks) or "none"
    absent = f" Not varied: {', '.join(result.absent)}." if result.absent else ""
    return (
        f"{axis.label}, unfolded to particle level, not divided by the width of bins. Components "
        f"of the error: {components}; systematic ones are signed shifts, fully correlated between "
        f"bins.{absent}"
    )


def _head(result: Binned, texts: Submission, folder: Path) -> dict[str, Any]:
    """Return the first document, about the whole submission; write the files that it names."""
    size = len(result.content)
    first, second = np.triu_indices(size)
    rows = {"bin_i": first + 1, "bin_j": second + 1}
    matrices = dict(result.blocks) | ({} if result.total is None else {"total": result.total})
    rows |= {name: matrix[first, second] for name, matrix in matrices.items()}
    write_csv(pd.DataFrame(rows), folder / COVARIANCE)
    where = [
        (row + 1, axis.name, *edges)
        for axis in result.axes
        for row, edges in enumerate(pairwise(axis.edges), result.rows[axis.name].start)
    ]
    frame = pd.DataFrame(where, columns=["bin", "observable", "low", "high"])
    write_csv(frame.assign(content=result.content), folder / BINS)
    resources = [
        {"description": "Bins of all observables, numbered", "location": BINS},
        {"description": "Covariances of all bins by component", "location": COVARIANCE},
    ]
    if texts.bundle is not None:
        described = "Unbinned result: events, weights and replicas"
        resources.append({"description": described, "location": texts.bundle})
    resources += [{"description": text, "location": to} for text, to in texts.links.items()]
    made = f"Made with omniflow {omniflow.__version__}, method {result.method}."
    found: dict[str, Any] = {
        "comment": texts.abstract or f"{TODO}: abstract. {made}",
        "additional_resources": resources,
    }
    if texts.inspire_id is not None:
        found["record_ids"] = [{"type": "inspire", "id": texts.inspire_id}]
    if texts.licence is not None:
        found["data_license"] = texts.licence.model_dump(exclude_none=True)
    return found


def _document(page: Page, folder: Path) -> dict[str, Any]:
    """Write the files of a table; return its document in submission.yaml."""
    table = page.table
    sides: dict[str, list] = {"independent_variables": [], "dependent_variables": []}
    for variable in table.variables:
        side = "independent" if variable.is_independent else "dependent"
        sides[f"{side}_variables"].append(variable.make_dict())
    data = folder / f"{page.file}.yaml"
    # Plain types, and the writer in C: matrices have thousands of rows.
    plain = json.loads(json.dumps(sides))
    dumper = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
    data.write_text(yaml.dump(plain, Dumper=dumper, sort_keys=False), encoding="utf-8")
    full, small = thumbnails.save(page.figure, folder / f"{page.file}.png")
    return {
        "name": table.name,
        "description": table.description,
        "location": table.location,
        "data_file": data.name,
        "keywords": [{"name": n, "values": values} for n, values in table.keywords.items()],
        "additional_resources": [
            {"description": "Image file", "location": full.name},
            {"description": "Thumbnail image file", "location": small.name},
        ],
    }


def _archive(folder: Path) -> bytes:
    """Return a folder's files as tar.gz, the same bytes for the same files."""
    packed = io.BytesIO()
    with (
        gzip.GzipFile(fileobj=packed, mode="wb", filename="", mtime=0) as compressed,
        tarfile.open(fileobj=compressed, mode="w") as archive,
    ):
        for path in sorted(folder.iterdir()):
            entry = tarfile.TarInfo(path.name)
            entry.size, entry.mode = path.stat().st_size, 0o644
            with path.open("rb") as content:
                archive.addfile(entry, content)
    return packed.getvalue()
