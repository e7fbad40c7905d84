"""Stages of the workflow: each reads files that the plan names, calls the layers below, writes."""
