"""Formats: one look per method, and numbers as text."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

# Okabe and Ito's colours (distinguishable with every common colour vision) without black, which
# is truth and data, and without yellow, which is too faint for lines on white.
OKABE_ITO = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9")
MARKERS = "osD^vPX"
BETTER, WORSE = (0, 114, 178), (213, 94, 0)


@dataclass(frozen=True)
class Look:
    """Colour, line and marker of a method or combination in every figure and table."""

    colour: str
    dashed: bool
    marker: str


# The binned reference, which is no method: a colour and a marker that no method has.
BINNED, BINNED_LOOK = "binned (IBU)", Look("#5b2a86", True, "*")


def looks(names: list[str]) -> dict[str, Look]:
    """One look per name, in the order of the study; beyond six, colours return dashed."""
    n = len(OKABE_ITO)
    return {
        name: Look(OKABE_ITO[i % n], bool(i // n % 2), MARKERS[i % len(MARKERS)])
        for i, name in enumerate(names)
    }


def shades(look: Look, combinations: list[str]) -> dict[str, Look]:
    """Looks of a method's combinations: the first (the headline) as the method, others grey."""
    greys = ("#1c2126", "#6b7580", "#a3abb3")
    others = {
        name: Look(greys[i % len(greys)], i >= len(greys), MARKERS[(i + 2) % len(MARKERS)])
        for i, name in enumerate(combinations[1:])
    }
    return {combinations[0]: look} | others


def tint(log2_ratio: float, faint: bool = False) -> str:
    """Cell colour for a ratio to the reference: blue below 1, orange above, full at a factor 4.

    `faint` is for ratios that do not differ from 1 significantly.
    """
    if not math.isfinite(log2_ratio):
        return "#ffffff"
    strength = (0.2 if faint else 0.6) * min(1.0, abs(log2_ratio) / 2)
    base = BETTER if log2_ratio < 0 else WORSE
    return "#" + "".join(f"{round(255 + (c - 255) * strength):02x}" for c in base)


def number(value: float | None, digits: int = 3) -> str:
    """`value` with so many significant digits, an en dash where there is none."""
    if value is None or not math.isfinite(value):
        return "–"
    if value == 0:
        return "0"
    places = digits - 1 - math.floor(math.log10(abs(value)))
    if -4 <= places <= 6:
        return f"{round(value, places):,.{max(places, 0)}f}".replace(",", " ").replace("-", "−")
    mantissa, exponent = f"{value:.{digits - 1}e}".split("e")
    power = str(int(exponent)).translate(str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹"))
    return f"{mantissa}×10{power}".replace("-", "−")


def measured(value: float, error: float) -> tuple[str, str]:
    """Value and error as text: the error with two digits below 0.95·10ⁿ, the value to match."""
    if not math.isfinite(value) or not math.isfinite(error) or error <= 0:
        return number(value), ""
    places = 1 - math.floor(math.log10(error))
    if error / 10 ** math.floor(math.log10(error)) >= 3.55:  # the PDG's rounding, roughly
        places -= 1
    if not -1 <= places <= 6 or abs(value) >= 1e6:
        return number(value), number(error, 2)
    places = max(places, 0)
    return f"{value:.{places}f}".replace("-", "−"), f"{error:.{places}f}"


def pair(value: float, error: float) -> str:
    """`value ± error`, or the value alone where it has no error."""
    text, plus = measured(value, error)
    return f"{text}\u00a0±\u00a0{plus}" if plus else text


def percent(value: float, error: float = math.nan) -> str:
    """A fraction in percent, with its error where there is one."""
    text = pair(100 * value, 100 * error)
    return f"({text})\u00a0%" if "±" in text else text if text == "–" else f"{text}\u00a0%"


def count(value: float | None) -> str:
    """A whole number with thin spaces between thousands."""
    if value is None or not math.isfinite(value):
        return "–"
    return f"{round(value):,}".replace(",", "\u202f")


def cells(frame: pd.DataFrame) -> tuple[list[str], list[list[str]]]:
    """Header and rows of a table as it is, numbers with three digits, for `plain_table`."""
    whole = {name for name in frame if pd.api.types.is_integer_dtype(frame[name])}
    rows = [
        [_cell(value, name in whole) for name, value in zip(frame, row, strict=True)]
        for row in frame.astype(object).itertuples(index=False)
    ]
    return list(frame), rows


def _cell(value: object, whole: bool) -> str:
    if isinstance(value, str):
        return value or "–"
    found = None if pd.isna(value) else float(value)  # type: ignore[arg-type]
    return count(found) if whole else number(found)


def duration(seconds: float) -> str:
    """A time with two units at most: `48 s`, `12 min 5 s`, `3 h 20 min`."""
    if not math.isfinite(seconds):
        return "–"
    if seconds < 59.95:
        return f"{seconds:.1f} s" if seconds < 9.95 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(round(seconds / 60), 60)
    return f"{hours} h {minutes} min"


def listing(words: list[str]) -> str:
    """Words as in a sentence: `a`, `a and b`, `a, b and c`."""
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))
