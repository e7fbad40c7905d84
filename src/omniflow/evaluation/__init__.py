"""Evaluation: observables, histograms, metrics and tables."""
