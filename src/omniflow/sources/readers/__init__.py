"""Readers of tables: one module per format of files."""
