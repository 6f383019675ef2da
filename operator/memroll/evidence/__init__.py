"""Asking a pod for its own report: one bounded GET, and nothing that it answers is believed."""
