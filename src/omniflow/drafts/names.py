"""Names: what the name of a column tells of it: its level, and whether it is a weight or an id."""

from __future__ import annotations

import keyword
import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass

DETECTOR_WORDS = (
    *("reco", "rec", "reconstructed", "det", "detector", "detlevel", "meas", "measured"),
    *("smeared", "obs", "observed"),
)
PARTICLE_WORDS = (
    *("truth", "true", "tru", "gen", "generated", "generator", "part", "particle", "ptcl"),
    *("hadron", "mc", "genlevel", "particlelevel"),
)
# Letters that stand for levels behind names, where every name with one has a partner.
_LETTERS = (("_r", "_t"), ("_r", "_g"), ("_d", "_p"), ("_d", "_t"), ("_d", "_g"), ("_m", "_t"))
_EDGE = "_./: -()[]"
_WORD = re.compile(r"[A-Z]{2,}(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
_JOINED = ("reco", "rec", "truth", "true", "gen", "det")
_OBJECTS = {
    *("jet", "jets", "part", "parts", "particle", "particles", "track", "tracks", "met", "mu"),
    *("muon", "muons", "el", "ele", "electron", "electrons", "tau", "cand", "cands", "pt", "eta"),
    *("phi", "mass", "weight"),
}

# What columns of particles are called in files, by the name that features know them by.
QUANTITIES = {
    "pt": ("pt",),
    "eta": ("eta",),
    "phi": ("phi",),
    "y": ("y", "rap", "rapidity"),
    "mass": ("mass", "m"),
    "e": ("e", "energy", "en"),
    "px": ("px",),
    "py": ("py",),
    "pz": ("pz",),
    "charge": ("charge", "q", "ch"),
    "pdg": ("pdg", "pdgid", "pid"),
}
_QUANTITY = {word: name for name, words in QUANTITIES.items() for word in words}

_WEIGHT = re.compile(
    r"(?:^|[_.:/])(?:w|wt|wgt|evtwt|weights?)(?=$|[_.:/\d\[])|weight(?!ed)|^scale1fb$",
    re.IGNORECASE,
)
_NOMINAL = ("nominal", "genweight", "mceventweight", "weightmc", "mcweight", "eventweight")
_VARIED = ("up", "down", "syst", "sys", "bootstrap", "ensemble", "replica", "pdf", "lhe", "ps")
_RUN = ("run", "runnumber", "runno", "runnr")
_LUMI = ("luminosityblock", "lumi", "lumiblock", "lumisection", "ls", "lb")
_EVENT = (
    *("event", "eventnumber", "evt", "evtnumber", "eventid", "evtid", "eventno", "eventnr"),
    *("evnum", "evtnum", "evid", "id", "entry", "index", "number", "uid"),
)
_FLAG = {
    *("pass", "passed", "passes", "sel", "selected", "selection", "accept", "accepted"),
    *("fid", "fiducial", "ok", "good", "valid", "is", "has", "in", "acceptance", "flag"),
}
_TRUE_FLAG = {"fid", "fiducial"}


@dataclass(frozen=True)
class Marked:
    """A name without the word that says its level.

    Attributes:
        name: as the file has it.
        base: without that word; the name itself where it has none.
        level: detector, particle, or nothing.
    """

    name: str
    base: str
    level: str


def marked(name: str, simulated: str = "detector") -> Marked:
    """Return the level that a word in a name says, and the rest of the name.

    Args:
        name: of a column, array or table.
        simulated: the level of what is called `sim`, which is in use for either.
    """
    words = list(_words(name))
    for level, known in (("detector", DETECTOR_WORDS), ("particle", PARTICLE_WORDS)):
        here = {*known, "sim"} if simulated == level else set(known)
        at = [(start, stop) for start, stop, word in words if word in here]
        if at:
            start, stop = max(at, key=lambda span: span[1] - span[0])
            return Marked(name, _without(name, start, stop), level)
    return Marked(name, name, "")


def _words(name: str) -> Iterator[tuple[int, int, str]]:
    """Yield start, stop and lower case of the words of a name, however it separates them."""
    for found in _WORD.finditer(name):
        word = found[0].lower()
        # Words that are written as one: `recojet`, `genjets`.
        joined = next((w for w in _JOINED if word.startswith(w) and word[len(w) :] in _OBJECTS), "")
        stop = found.start() + len(joined) if joined else found.end()
        yield found.start(), stop, joined or word


def _without(name: str, start: int, stop: int) -> str:
    """Return a name without a word, and one separator where it stood between two."""
    before, after = name[:start].rstrip(_EDGE), name[stop:].lstrip(_EDGE)
    if not before or not after:
        return (before or after).strip(_EDGE)
    joint = name[len(before) : start] or name[stop : len(name) - len(after)]
    return f"{before}{joint[:1]}{after}"


def levels(names: Iterable[str]) -> list[Marked]:
    """Return names with their levels.

    Letters behind names stand for levels where no words do, and a name without a word is of
    detector level where another one is the same at particle level.
    """
    names = list(names)
    found = [marked(name) for name in names]
    if not any(each.level == "particle" for each in found):
        found = [marked(name, "particle") for name in names]
        # What is called `sim` is generated only beside something else that is measured.
        if not any(each.level == "detector" for each in found):
            found = [marked(name) for name in names]
    if not any(each.level == "particle" for each in found):
        found = _by_letters(found)
    true = {each.base.lower() for each in found if each.level == "particle"}
    return [
        Marked(each.name, each.base, "detector")
        if not each.level and each.base.lower() in true
        else each
        for each in found
    ]


def _by_letters(found: list[Marked]) -> list[Marked]:
    names = {each.name for each in found}
    for measured, true in _LETTERS:
        bases = {n.removesuffix(true) for n in names if n.endswith(true)}
        pairs = {base for base in bases if base + measured in names}
        if pairs and pairs == bases:
            by_name = {base + measured: (base, "detector") for base in pairs}
            by_name |= {base + true: (base, "particle") for base in pairs}
            return [Marked(e.name, *by_name.get(e.name, (e.base, e.level))) for e in found]
    return found


def beginning(texts: Sequence[str]) -> str:
    """Return the letters that all texts begin with."""
    first, last = min(texts), max(texts)
    at = next((n for n, (a, b) in enumerate(zip(first, last, strict=False)) if a != b), None)
    return first if at is None else first[:at]


def plain(name: str) -> str:
    """Return a name in lower case without what separates its words."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def quantity(name: str) -> str:
    """Return what the last word of a name is of a particle, such as `pt`; nothing if it is none."""
    last = re.split(r"[_./: ]", name)[-1]
    return _QUANTITY.get(plain(last), "")


def collection(name: str) -> str:
    """Return a name without its last word."""
    found = re.search(r"[_./:][^_./:]+$", name)
    return name[: found.start()] if found else ""


def column(name: str, taken: Collection[str] = ()) -> str:
    """Return a name that a column may have in a configuration, and that is not taken."""
    found = re.sub(r"[^A-Za-z0-9_]+", "_", name).strip("_")[:50]
    if not found or not found[0].isalpha() or keyword.iskeyword(found):
        found = f"x_{found}".rstrip("_")
    number, made = 2, found
    while made in taken:
        number, made = number + 1, f"{found}_{number}"
    return made


def expression(name: str) -> str:
    """Return how an expression writes a column of a file."""
    from omniflow.expressions.errors import written

    return written(name)


def is_weight(name: str) -> bool:
    """Return whether a column is called like a weight of events."""
    return _WEIGHT.search(name) is not None


def weights(names: Iterable[str]) -> list[str]:
    """Return the names of weights, the most likely nominal one first."""

    def order(name: str) -> tuple[int, int, int]:
        word = plain(name)
        first = next((at for at, each in enumerate(_NOMINAL) if each in word), len(_NOMINAL))
        if word in ("weight", "weights", "w", "wgt", "wt"):
            first = min(first, 1)
        varied = any(part in _VARIED for part in re.split(r"[^a-z]+", name.lower()))
        return int(varied), first, len(name)

    return sorted(filter(is_weight, names), key=order)


def ids(names: Iterable[str]) -> list[str]:
    """Return the names of columns that tell events apart: run, luminosity block, event."""
    words = {name: plain(re.split(r"[./:]", name)[-1]) for name in names}
    found = []
    for known in (_RUN, _LUMI, _EVENT):
        there = [(known.index(word), name) for name, word in words.items() if word in known]
        if there:
            found.append(min(there)[1])
    has_event = found and words[found[-1]] in _EVENT
    return found if has_event else []


def is_counter(name: str) -> bool:
    """Return whether a column is called like what numbers records, and tells no physics."""
    return plain(re.split(r"[./:]", name)[-1]) in (*_RUN, *_LUMI, *_EVENT)


def flag_level(found: Marked) -> str:
    """Return the level that a flag of this name selects; nothing if it is called like none."""
    words = set(re.findall(r"[A-Z]?[a-z]+|[A-Z]+", found.base))
    words = {word.lower() for word in words}
    if not words & _FLAG and found.base:
        return ""
    return found.level or ("particle" if words & _TRUE_FLAG else "detector")
