"""Physics: event generator, parametrised detector, jets (optional dependencies)."""
