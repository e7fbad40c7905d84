"""Classifiers: point-edge transformer, deep sets and MLP behind one interface."""
