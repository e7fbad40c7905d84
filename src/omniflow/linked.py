"""Sources: other files that the content of HDF5 datasets lies in, and whether it is all there.

Virtual datasets, external storage and external links take their content from other files. HDF5
reads fill values, mostly zeros, where a virtual dataset's source is gone or where nothing was ever
written, without an error. Here such datasets are refused.
"""

from __future__ import annotations

import math
import os
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import h5py

from omniflow.errors import InputError

_MEND = "put it back, give the path of the files themselves, or write the file again"


def find(h5file: h5py.File, name: str) -> list[Path]:
    """Return the other files that the dataset `name` takes its content from, each once.

    Sources of sources are among them. Paths are absolute. No dataset, no files.

    Raises:
        InputError: a source is missing, cannot be opened, or does not have the dataset; or a part
            of the dataset was never written, or is mapped to no source.
    """
    where = f"{h5file.filename}: {name}"
    found = h5file.get(name)
    if found is None:
        _refuse_dangling(h5file, name, where)
    return list(dict.fromkeys(_of_item(found, h5file, where)))


def check(dataset: h5py.Dataset, h5file: h5py.File, name: str) -> None:
    """Refuse a dataset, found in a file by a name, whose content is not all there.

    Raises:
        InputError: as `find`.
    """
    for _ in _of_item(dataset, h5file, f"{h5file.filename}: {name}"):
        pass


def of_file(path: str | Path) -> list[Path]:
    """Return the other files that the datasets of an HDF5 file take their content from.

    Files and datasets that `find` refuses have none here; who reads them says what is wrong.
    """
    found: dict[Path, None] = {}
    # h5py raises whatever it meets in a damaged file.
    with suppress(Exception), h5py.File(path, "r", locking=False) as h5file:
        names: list[str] = []
        h5file.visititems_links(lambda name, _: names.append(name))
        for name in names:
            with suppress(InputError):
                found |= dict.fromkeys(find(h5file, name))
    return list(found)


def with_sources(files: Iterable[str | Path]) -> list[str]:
    """Return files, each followed by those that its datasets take their content from."""
    return list(dict.fromkeys(str(p) for file in files for p in (file, *of_file(file))))


def _of_item(item: Any, h5file: h5py.File, where: str) -> Iterator[Path]:
    """Yield the sources of an item that was found in `h5file`, at any depth."""
    if item is not None and item.file.filename != h5file.filename:
        yield Path(item.file.filename).absolute()
    if not isinstance(item, h5py.Dataset):
        return
    if item.is_virtual:
        yield from _virtual(item, where)
    elif item.external:
        yield from _external(item, where)
    else:
        _refuse_unwritten(item, where)


def _virtual(dataset: h5py.Dataset, where: str) -> Iterator[Path]:
    _refuse_unmapped(dataset, where)
    owner = Path(dataset.file.filename)
    maps = {(source.file_name, source.dset_name) for source in dataset.virtual_sources()}
    for file, name in sorted(maps):
        if file == ".":
            yield from _of_item(_member(dataset.file, name, where), dataset.file, where)
            continue
        for number, path in _blocks(owner, file, where):
            yield path
            with _opened(path, where) as source:
                item = _member(source, name.replace("%b", number).replace("%%", "%"), where)
                yield from _of_item(item, source, where)


def _blocks(owner: Path, file: str, where: str) -> Iterator[tuple[str, Path]]:
    """Yield the files that a name of a source stands for; %b is the number of a block."""
    if "%b" not in file:
        yield "", _existing(owner, file.replace("%%", "%"), "HDF5_VDS_PREFIX", where)
        return
    folder = _directories(owner, "HDF5_VDS_PREFIX")
    before, after = (re.escape(part.replace("%%", "%")) for part in file.split("%b", 1))
    pattern = re.compile(f"{before}(\\d+){after}")
    there = {
        int(match[1])
        for base in folder
        for path in (base / file).parent.glob("*")
        if (match := pattern.fullmatch(os.path.relpath(path, base)))
        or (match := pattern.fullmatch(str(path)))
    }
    for number in range(max(there, default=0) + 1):
        name = file.replace("%b", str(number)).replace("%%", "%")
        yield str(number), _existing(owner, name, "HDF5_VDS_PREFIX", where)


def _external(dataset: h5py.Dataset, where: str) -> Iterator[Path]:
    """Yield the raw files of a dataset in external storage."""
    owner, left = Path(dataset.file.filename), dataset.size * dataset.dtype.itemsize
    for file, offset, size in dataset.external:
        # Unlike sources of virtual datasets, relative ones are looked for in the working folder.
        prefix = os.environ.get("HDF5_EXTFILE_PREFIX", "")
        path = Path(prefix.replace("${ORIGIN}", str(owner.absolute().parent)), file).absolute()
        if not path.is_file():
            raise InputError(f"{where}: lies in {path}, which is missing; {_MEND}")
        needed = min(size, left)
        if path.stat().st_size < offset + needed:
            raise InputError(f"{where}: lies in {path}, which is too short; {_MEND}")
        left -= needed
        yield path


def _existing(owner: Path, file: str, variable: str, where: str) -> Path:
    """Return the file that HDF5 takes for the name of a source, absolute."""
    names = [Path(file), Path(Path(file).name)] if Path(file).is_absolute() else [Path(file)]
    tried = [base / name for name in names for base in _directories(owner, variable)]
    for path in tried:
        if path.is_file():
            return path.absolute()
    raise InputError(
        f"{where}: takes its content from {file}, which is missing (looked for "
        f"{', '.join(dict.fromkeys(map(str, tried)))}), where HDF5 reads zeros; {_MEND}"
    )


def _directories(owner: Path, variable: str) -> list[Path]:
    """Return where HDF5 looks for names: prefixes, the file's folder, the working folder."""
    origin = str(owner.absolute().parent)
    prefixes = [p for p in os.environ.get(variable, "").split(":") if p]
    found = [Path(prefix.replace("${ORIGIN}", origin)) for prefix in prefixes]
    return [*found, Path(origin), Path(), owner.resolve().parent]


def _opened(path: Path, where: str) -> h5py.File:
    try:
        return h5py.File(path, "r", locking=False)
    except OSError as error:
        raise InputError(
            f"{where}: takes its content from {path}, which cannot be opened ({error}); {_MEND}"
        ) from error


def _member(source: h5py.File, name: str, where: str) -> h5py.Dataset:
    """Return the dataset that a virtual one is made of."""
    found = source.get(name)
    if not isinstance(found, h5py.Dataset):
        raise InputError(
            f"{where}: takes its content from {name} in {source.filename}, which has no such "
            f"dataset, where HDF5 reads zeros; {_MEND}"
        )
    return found


def _refuse_unmapped(dataset: h5py.Dataset, where: str) -> None:
    try:
        mapped = sum(source.vspace.get_select_npoints() for source in dataset.virtual_sources())
    except RuntimeError:
        return  # a selection without limit: the dataset is as long as its sources
    if mapped < dataset.size:
        raise InputError(
            f"{where}: only {mapped:,} of its {dataset.size:,} numbers have a source, HDF5 would "
            "read zeros for the others; write the file again"
        )


def _refuse_unwritten(dataset: h5py.Dataset, where: str) -> None:
    """Refuse a dataset with parts that were never written."""
    if not dataset.size:
        return
    if dataset.chunks is None:
        unwritten = "it was" if not dataset.id.get_storage_size() else ""
    else:
        pairs = zip(dataset.shape, dataset.chunks, strict=True)
        chunks = math.prod(math.ceil(length / chunk) for length, chunk in pairs)
        # Chunks beyond the shape are removed when a dataset shrinks, so that none is counted.
        lost = chunks - dataset.id.get_num_chunks()
        unwritten = f"{lost:,} of its {chunks:,} chunks were" if lost > 0 else ""
    if unwritten:
        raise InputError(
            f"{where}: {unwritten} never written, and HDF5 would read the fill value "
            f"{dataset.fillvalue}; write the file again (as a whole, where zeros are meant)"
        )


def _refuse_dangling(h5file: h5py.File, name: str, where: str) -> None:
    """Refuse a path that leads through an external link to nowhere."""
    parts = [part for part in name.split("/") if part]
    for depth in range(1, len(parts) + 1):
        place = "/".join(parts[:depth])
        link = h5file.get(place, getlink=True)
        if isinstance(link, h5py.ExternalLink) and h5file.get(place) is None:
            raise InputError(
                f"{where}: is a link to {link.path} in {link.filename}, which is missing or does "
                f"not have it; {_MEND}"
            )
        if h5file.get(place) is None:
            return
