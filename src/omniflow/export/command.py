"""What `omniflow export` calls: one writer per format."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from omniflow.api import Study, read
from omniflow.errors import InputError

Writer = Callable[[Study, str | None, str | None, Path, Path | None], list[str]]


def write(
    study: Path,
    method: str | None,
    combine: str | None,
    form: str,
    output: Path | None = None,
    settings: Path | None = None,
) -> list[str]:
    """Write the binned results of a study in a format of others.

    Args:
        study: its folder.
        method: by default the first.
        combine: by default the first.
        form: of `FORMATS`.
        output: folder; by default export/<form> in that of the study.
        settings: YAML file: texts of hepdata, the model of pyhf.

    Returns:
        What was written, what is absent, and what is a placeholder, by lines.

    Raises:
        InputError: there is no such study, method or combination, or files are missing.
        ConfigError: the settings are not valid.
    """
    folder = output or Path(study) / "export" / form
    return FORMATS[form](read(study), method, combine, folder, settings)


def _hepdata(
    study: Study, method: str | None, combine: str | None, folder: Path, settings: Path | None
) -> list[str]:
    from omniflow.export import hepdata, submission

    texts = submission.read(settings) if settings is not None else None
    return hepdata.write(study, method, combine, folder, texts)


def _pyhf(
    study: Study, method: str | None, combine: str | None, folder: Path, settings: Path | None
) -> list[str]:
    from omniflow.export import fits, model

    wanted = model.read(settings) if settings is not None else None
    return fits.write(study, method, combine, folder, wanted)


def _root(
    study: Study, method: str | None, combine: str | None, folder: Path, settings: Path | None
) -> list[str]:
    from omniflow.export import root_histograms

    if settings is not None:
        raise InputError(f"--settings {settings}: a ROOT file has none; leave it out")
    return root_histograms.write(study, method, combine, folder)


FORMATS: dict[str, Writer] = {"hepdata": _hepdata, "pyhf": _pyhf, "root": _root}
