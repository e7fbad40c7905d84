"""Objects of this program, by a reference."""

import pytest

from omniflow import outside
from omniflow.errors import ConfigError


def of_a_module():
    """A function that a module file holds."""


class Holder:
    """A class with something inside."""

    def inside(self):
        """A function of a class."""


def test_what_a_module_holds_is_named_by_it():
    assert outside.hold(of_a_module) == f"{__name__}:of_a_module"
    assert outside.load(outside.hold(of_a_module)) is of_a_module
    assert outside.hold(Holder.inside) == f"{__name__}:Holder.inside"


def test_what_only_the_program_knows_is_held(monkeypatch):
    def local():
        """A function that can be found by no name."""

    reference = outside.hold(local)
    assert outside.is_reference(reference)
    assert outside.load(reference) is local
    assert outside.hold(local) == reference
    assert outside.located(reference, None) == reference
    other = outside.hold(lambda: None)
    assert other != reference
    assert outside.digest(other) != outside.digest(reference)
    monkeypatch.setattr(outside, "_held", {})
    with pytest.raises(ConfigError, match="no such module"):
        outside.load(reference)


def test_a_name_that_means_something_else_now_is_held(monkeypatch):
    held = of_a_module
    monkeypatch.setitem(globals(), "of_a_module", print)
    assert outside.load(outside.hold(held)) is held
