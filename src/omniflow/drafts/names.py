"""Names: what the name of a column tells of it: its level, and whether it is a weight or an id."""

from __future__ import annotations

import keyword
import re
from collections import Counter
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
DATA = {"data", "measured", "measurement"}  # words in names of files and tables of data
# What files of both levels, or parts of them, are called too.
_OF_FILES = {"mc", "part", "particle", "generator", "generated"}
# Letters that stand for levels behind names, where every name with one has a partner.
_LETTERS = (
    *(("_r", "_t"), ("_r", "_g"), ("_d", "_p"), ("_d", "_t"), ("_d", "_g"), ("_m", "_t")),
    ("_s", "_g"),
)
_LEVELS = ("detector", "particle")
_EDGE = "_./: -()[]"
_WORD = re.compile(r"[A-Z]{2,}(?=[A-Z][a-z])|[A-Z]?[a-z]+|[A-Z]+")
_JOINED = ("reco", "rec", "truth", "true", "gen", "det")
_OBJECTS = {
    *("jet", "jets", "part", "parts", "particle", "particles", "track", "tracks", "met", "mu"),
    *("muon", "muons", "el", "ele", "electron", "electrons", "tau", "cand", "cands", "pt", "eta"),
    *("phi", "mass", "weight", "lepton", "leptons", "lep", "photon", "photons", "hadron", "top"),
    *("w", "z", "higgs", "nu", "neutrino", "id", "e", "p", "m", "x", "y", "q"),
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
    "p": ("p", "mom", "momentum"),
    "charge": ("charge", "q", "ch"),
    "pdg": ("pdg", "pdgid", "pid"),
}
_QUANTITY = {word: name for name, words in QUANTITIES.items() for word in words}

_WEIGHT = re.compile(
    r"(?:^|[_.:/])(?:w|wt|wgt|evtwt|weights?)(?=$|[_.:/\d\[])|weight(?!ed)|^scale1fb$",
    re.IGNORECASE,
)
_WEIGHTS = re.compile(r"(?:event_?)?(?:weights?|wgts?)", re.IGNORECASE)  # of a group
_NOMINAL = ("nominal", "genweight", "mceventweight", "weightmc", "mcweight", "eventweight")
_VARIED = ("up", "down", "syst", "sys", "bootstrap", "ensemble", "replica", "pdf", "lhe", "ps")
_EXPERIMENT = ("experiment", "exp")
_RUN = ("run", "runnumber", "runno", "runnr", "runid")
_SUBRUN = ("subrun", "subrunnumber", "subrunno")
_LUMI = ("luminosityblock", "lumi", "lumiblock", "lumisection", "ls", "lb")
_EVENT = (
    *("event", "eventnumber", "evt", "evtnumber", "eventid", "evtid", "eventno", "eventnr"),
    *("evnum", "evtnum", "eventnum", "evid", "id", "entry", "index", "number", "uid"),
)
_PART = ("subevent", "candidate", "candidateid", "ncandidate", "icand")
# Columns that say what something is, and are no quantities.
_LABELS = {"id", "pdg", "pdgid", "pdgcode", "pid", "bkgcat", "motherid", "mcmatch", "processid"}
_KINDS = (_EXPERIMENT, _RUN, _SUBRUN, _LUMI, _EVENT, _PART)  # in the order of ids
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
    found = list(words(name))
    for level, known in (("detector", DETECTOR_WORDS), ("particle", PARTICLE_WORDS)):
        here = {*known, "sim"} if simulated == level else set(known)
        at = [(start, stop) for start, stop, word in found if word in here]
        if at:
            start, stop = max(at, key=lambda span: span[1] - span[0])
            return Marked(name, _without(name, start, stop), level)
    return Marked(name, name, "")


def table_level(name: str, others: Collection[str]) -> str:
    """Return the level that the name of a table or file says, also beside others (`t`, `tgen`)."""
    for word in PARTICLE_WORDS:
        if ({name.removesuffix(word), name.removeprefix(word)} - {name}) & {*others}:
            return "particle"
    return marked(name).level


def file_level(name: str) -> str:
    """Return the level that the name of a file or tree of one level says; `mc` says none."""
    found = {word for _, _, word in words(name)}
    if found & {*DETECTOR_WORDS}:
        return "detector"
    return "particle" if found & ({*PARTICLE_WORDS} - _OF_FILES) else ""


def words(name: str) -> Iterator[tuple[int, int, str]]:
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
    true = {plain(each.base) for each in found if each.level == "particle"}
    return [
        Marked(each.name, each.base, "detector")
        if not each.level and plain(each.base) in true
        else each
        for each in found
    ]


def _by_letters(found: list[Marked]) -> list[Marked]:
    names = {each.name for each in found}
    both = (*_LETTERS, *((one.upper(), other.upper()) for one, other in _LETTERS))
    for measured, true in both:
        bases = {n.removesuffix(true) for n in names if n.endswith(true)}
        pairs = {base for base in bases if base + measured in names}
        if pairs and pairs == bases:
            by_name = {base + measured: (base, "detector") for base in pairs}
            by_name |= {base + true: (base, "particle") for base in pairs}
            return [Marked(e.name, *by_name.get(e.name, (e.base, e.level))) for e in found]
    return found


def by_last_words(found: Sequence[Marked]) -> list[Marked]:
    """Return names with pairs made, by their last words, of what is alone at its level.

    `selmu_mom` and `truelepton_mom` become `mom` of either level. Of several with one last word
    those are taken whose beginning has most of such words; where that does not tell, none is.
    """
    bases = {level: {plain(e.base) for e in found if e.level == level} for level in _LEVELS}
    alone = {
        "particle": [
            e for e in found if e.level == "particle" and plain(e.base) not in bases["detector"]
        ],
        "detector": [
            e for e in found if e.level != "particle" and plain(e.base) not in bases["particle"]
        ],
    }
    ends = {e.name: re.split(r"[_./: ]", e.base)[-1] for e in found}
    words = [{ends[e.name].lower() for e in each} for each in alone.values()]
    changed = {}
    for level, each in alone.items():
        each = [e for e in each if ends[e.name].lower() in words[0] & words[1]]
        starts = Counter(e.base[: -len(ends[e.name])] for e in each)
        best: dict[str, list[tuple[int, str]]] = {}
        for e in each:
            score = starts[e.base[: -len(ends[e.name])]]
            best.setdefault(ends[e.name].lower(), []).append((score, e.name))
        for word, scored in best.items():
            most = [name for score, name in scored if score == max(scored)[0]]
            changed[level, word] = most[0] if len(most) == 1 else ""
    renamed = {
        name: Marked(name, ends[name], level)
        for (level, word), name in changed.items()
        if name and changed["particle", word] and changed["detector", word]
    }
    return [renamed.get(e.name, e) for e in found]


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
    *groups, last = re.split(r"[./]", name)
    if is_number(name) or _known(last, *_KINDS):
        return False
    return _WEIGHT.search(last) is not None or any(map(_WEIGHTS.fullmatch, groups))


def is_number(name: str) -> bool:
    """Return whether a column is called like a number of objects (`nJet`, `jet_n`, `Jet_size`)."""
    last = re.split(r"[./]", name)[-1]
    return re.match(r"n_?[A-Z]", last) is not None or last.lower().endswith(("_size", "_n"))


def is_index(name: str) -> bool:
    """Return whether a column is what pandas keeps the index of a frame in."""
    return re.fullmatch(r"__index_level_\d+__|__null_dask_index__", name) is not None


def is_label(base: str) -> bool:
    """Return whether a column says what something is (`K_ID`, `mcPDG`), and is no quantity."""
    last = re.split(r"[_./: ]", base)[-1]
    return last.lower() in _LABELS or last.endswith(("PDG", "pdgId", "PID"))


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
    names = list(names)
    found = {known: name for known in _KINDS if (name := next(iter(_ordered(names, known)), None))}
    return list(found.values()) if _EVENT in found else []


def _ordered(names: Iterable[str], known: tuple[str, ...]) -> list[str]:
    """Return names that are called like one kind of number of events, the best first."""
    words = {name: plain(re.split(r"[./:]", name)[-1]) for name in names}
    there = {name: known.index(word) for name, word in words.items() if word in known}
    return sorted(there, key=lambda name: there[name])


def _known(name: str, *kinds: tuple[str, ...]) -> bool:
    return plain(re.split(r"[./:]", name)[-1]) in {word for kind in kinds for word in kind}


def is_counter(name: str) -> bool:
    """Return whether a column is called like what numbers records, and tells no physics."""
    return is_index(name) or _known(name, *_KINDS)


def flag_level(found: Marked) -> str:
    """Return the level that a flag of this name selects; nothing if it is called like none."""
    words = set(re.findall(r"[A-Z]?[a-z]+|[A-Z]+", found.base))
    words = {word.lower() for word in words}
    if not words & _FLAG and found.base:
        return ""
    return found.level or ("particle" if words & _TRUE_FLAG else "detector")
