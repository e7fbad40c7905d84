"""Records: weights of a result beside what tells events apart in the user's own files."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from omniflow.config import load
from omniflow.errors import InputError, OutputError
from omniflow.events.ids import places
from omniflow.files import atomic_path

if TYPE_CHECKING:
    import pandas as pd

    from omniflow.api.study import Study
    from omniflow.sources.mapped import Mapped

_FORMATS = (".root", ".parquet", ".csv")
_TREE = "weights"


def frame(
    study: Study,
    method: str | None = None,
    combine: str | None = None,
    iteration: int | None = None,
) -> pd.DataFrame:
    """Return the weights of a result, a row per event, with the id columns of its files.

    Rows are in the order of the records in these files where ids are made of several columns, else
    by id. Columns are those of `id`, or `record`, the number of the record over all files; then
    `weight`, the mean over passes, and with several passes `weight_pass_<n>`.

    Args:
        study: that has been run.
        method: as of `Study.weights_of`.
        combine: as of `Study.weights_of`.
        iteration: as of `Study.weights_of`.

    Raises:
        InputError: there is no such result; or the files that ids are made of are not there any
            more, or hold other events.
    """
    import pandas as pd

    role = study._simulation_of(method or study.methods[0])
    event_id = np.asarray(study.events(role).event_id)
    columns, found = _ids(study, role, event_id)
    rows = places(event_id, found)
    if rows is None or len(found) != len(event_id):
        raise InputError(
            f"{study.folder}: the files of its sample {role} hold other events now than when it "
            "was run; give the files as they were"
        )
    named: dict[str, np.ndarray] = dict(columns)
    each = study.ensemble_of(method, combine, iteration)
    named["weight"] = study.weights_of(method, combine, None, iteration)[rows]
    if len(each) > 1:
        named |= {f"weight_pass_{n}": weights[rows] for n, weights in enumerate(each, 1)}
    return pd.DataFrame(named)


def write(table: pd.DataFrame, path: str | Path) -> None:
    """Write weights as ROOT (tree `weights`), Parquet or CSV, as the name of the file says.

    Args:
        table: of `frame`.
        path: of the new file.

    Raises:
        OutputError: the name ends otherwise, or the file cannot be written.
    """
    kind = Path(path).suffix
    if kind not in _FORMATS:
        raise OutputError(f"{path}: the name has to end with {', '.join(_FORMATS)}")
    with atomic_path(path) as temporary:
        if kind == ".root":
            import uproot

            with uproot.recreate(temporary) as file:
                arrays = {name: table[name].to_numpy() for name in table.columns}
                file.mktree(_TREE, {n: values.dtype for n, values in arrays.items()})
                file[_TREE].extend(arrays)
        elif kind == ".parquet":
            table.to_parquet(temporary, index=False)
        else:
            table.to_csv(temporary, index=False)


def _ids(study: Study, role: str, event_id: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return the columns of ids, and the ids (n,) of the same rows."""
    from omniflow.sources.mapped import Mapped

    settings: Any = study.plan.samples[role].model_dump()
    texts: list[str] = list(settings.get("id") or ())
    if len(texts) > 1:
        source = load_sample(study, role)
        if isinstance(source, Mapped):
            return _of_files(source, event_id)
    name = _name(texts[0]) if len(texts) == 1 else "event_id" if "id" not in settings else "record"
    return {name: event_id}, event_id


def load_sample(study: Study, role: str) -> Any:
    """Return a sample of a study as its configuration names it, for what reads its files."""
    from omniflow.unfolding.plan import Plan

    return Plan(load(study.plan.path("config")), study.folder).samples[role]


def _of_files(source: Mapped, event_id: np.ndarray) -> tuple[dict[str, np.ndarray], np.ndarray]:
    """Return id columns and ids of the records of files that are among ids, each once."""
    from omniflow.sources import mapping

    names = source.names(weights=False)
    parts: list[list[np.ndarray]] = []  # the id, then the columns that make it
    wanted, earlier = np.sort(event_id), np.zeros(0, np.uint64)
    # Particle level comes first, as where levels are joined.
    for files, table in dict.fromkeys(map(source.table_of, source.levels[::-1])):
        for rows in mapping.records(source, files, table, names):
            found = mapping.ids(source, rows)
            known = wanted[np.minimum(np.searchsorted(wanted, found), len(wanted) - 1)] == found
            fresh = known & ~np.isin(found, earlier)
            columns = [rows.per_event(text, "id") for text in source.id]
            parts.append([each[fresh] for each in (found, *columns)])
        earlier = np.concatenate([part[0] for part in parts])
    whole = [np.concatenate(each) for each in zip(*parts, strict=True)]
    return dict(zip(_keys(source.id), whole[1:], strict=True)), whole[0]


def _keys(texts: Sequence[str]) -> list[str]:
    """Return names of columns of the expressions of ids, which are mostly their names."""
    names = [_name(text) for text in texts]
    return [n if names.count(n) == 1 else f"{n}_{at}" for at, n in enumerate(names)]


def _name(text: str) -> str:
    """Return an expression as the name of a column: `first(Event.Number)` as Event_Number."""
    inner = re.fullmatch(r"(?:column|first)\((.*)\)", text)
    return re.sub(r"\W+", "_", inner[1] if inner else text).strip("_") or "id"
