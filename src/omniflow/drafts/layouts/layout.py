"""Layout: how a common layout of files is recognised, and what is written for it."""

from __future__ import annotations

from abc import ABC, abstractmethod
from typing import ClassVar

from omniflow.drafts.content import Content
from omniflow.drafts.draft import Sample


class Layout(ABC):
    """A layout of files.

    A module of this folder holds one or more classes below it; nothing else has to name them.

    Attributes:
        title: what comments call it.
        rank: those of a lower one are asked first, because they are more special.
        patterns: whether its source takes patterns of files (`*`).
    """

    title: ClassVar[str]
    rank: ClassVar[int] = 1
    patterns: ClassVar[bool] = True

    @abstractmethod
    def recognises(self, content: Content) -> bool:
        """Return whether a file, by names of its tables and columns, is of this layout."""

    @abstractmethod
    def has_truth(self, content: Content) -> bool:
        """Return whether a file of this layout has a particle level."""

    @abstractmethod
    def sample(self, content: Content) -> Sample:
        """Return the sample that a file makes: levels, weight, id, and what is to be said.

        `completion.complete` adds what the values tell.
        """
