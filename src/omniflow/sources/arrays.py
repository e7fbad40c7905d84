"""Files of named arrays: what their sources have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Self

from pydantic import BeforeValidator, Field, model_validator

from omniflow.expressions import parse
from omniflow.sources.mapped import Mapped

if TYPE_CHECKING:
    from omniflow.sources.readers.arrays import Layout


class ArrayFiles(Mapped):
    """Files of arrays with names, whose first axis is the event."""

    padded: Annotated[
        tuple[str, ...],
        BeforeValidator(lambda value: [value] if isinstance(value, str) else value),
    ] = Field(
        (),
        description="Arrays (events, particles) that hold one number per particle, padded. Arrays "
        "(events, particles, values) always are padded, and give columns `<name>_<number>`.",
    )
    padding: float | None = Field(
        0.0,
        description="Value of padding, beside NaN; null: NaN alone. A place is padding where all "
        "values of the arrays are that a level's particles are made of.",
    )
    counts: dict[str, str] = Field(
        {},
        description="Flat arrays of particles, each with the column of their numbers per event, or "
        "of the offsets of events in it.",
    )

    @model_validator(mode="after")
    def _arrays_are_used(self) -> Self:
        used = {name.replace("/", ".") for name in self.names(*self.levels)}
        for key in ("padded", "counts"):
            for name in map(_dotted, getattr(self, key)):
                inside = (f"{name}.", f"{name}_", f"{name}[")
                if not any(one == name or one.startswith(inside) for one in used):
                    raise ValueError(
                        f"{key}: no expression names {name!r}; correct it or leave it out"
                    )
        return self

    def layout(self) -> Layout:
        """Return what the readers of files need to know."""
        from omniflow.sources.readers.arrays import Layout

        together = []
        for level in self.levels:
            texts = [column.expression for column in level.particles.values()]
            texts += [level.keep] if level.keep is not None else []
            together.append(
                frozenset(name for text in texts for name in parse(text, indices=True).names)
            )
        return Layout(
            used=self.names(*self.levels),
            together=tuple(together),
            padded=frozenset(map(_dotted, self.padded)),
            padding=self.padding,
            counts={_dotted(name): column for name, column in self.counts.items()},
        )


def _dotted(name: str) -> str:
    """Return the name of an array as columns have it."""
    return name.strip("/").replace("/", ".")
