"""Report: one self-contained HTML page per study."""
