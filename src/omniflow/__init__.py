"""Unbinned unfolding with ensembles of classifiers: OmniFold as a Snakemake workflow."""

__version__ = "0.1.0"
