"""Inspection of a cluster for the commands: what the operator would do, and why. Nothing is written."""
