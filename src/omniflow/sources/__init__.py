"""Sources of events: one class each, which owns everything that is particular to it."""
