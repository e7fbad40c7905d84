"""Configuration: strict models of the YAML file, loading and documentation."""

from omniflow.config.load import dump, load, validate
from omniflow.config.schema import Config
from omniflow.config.text import read

__all__ = ["Config", "dump", "load", "read", "validate"]
