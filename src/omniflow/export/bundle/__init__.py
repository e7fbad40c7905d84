"""Bundle: events with weights and what the weights mean, as a folder that others histogram.

`events.parquet` and `metadata.yaml` follow format 0.2 of the project omnifold-publication
(docs/bundle.md); what goes beyond it stands in the section `omniflow` and in files beside them.
"""

from omniflow.export.bundle.bundle import Bundle
from omniflow.export.bundle.reading import read_bundle
from omniflow.export.bundle.writing import write

__all__ = ["Bundle", "read_bundle", "write"]
