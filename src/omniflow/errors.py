"""Exceptions of omniflow: each message says what is wrong, where, and what to do."""

from __future__ import annotations


class OmniflowError(Exception):
    """Base of every error that a user can cause and mend."""


class ConfigError(OmniflowError):
    """The configuration is not valid; the message lists every offending key and value."""


class InputError(OmniflowError):
    """An event file, or a file that an earlier job wrote, cannot be used as it is."""


class OutputError(OmniflowError):
    """A file cannot be written: the disk is full, the quota used up, or the folder read-only."""


class TrainingError(OmniflowError):
    """A training gave no usable network (non-finite loss, divergence, empty split)."""


class WeightError(OmniflowError):
    """Event weights that no longer make sense (NaN, zero or negative sum)."""


class CovarianceWarning(UserWarning):
    """A covariance whose inverse is not to be used: replicas or passes are too few for its bins."""


class LockError(OmniflowError):
    """Another process works on the study, or the Snakemake that a job belongs to has ended."""
