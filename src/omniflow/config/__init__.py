"""Configuration: strict models of the YAML file, loading and documentation."""

from omniflow.config.load import dump, load, read, validate
from omniflow.config.schema import Config

__all__ = ["Config", "dump", "load", "read", "validate"]
