"""Exports: what a finished study gives to others, in formats that their tools read."""
