"""Unfolding: the plan of all networks, OmniFold's steps and event weights (NumPy only)."""
