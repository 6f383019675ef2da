"""Outcome of a reconcile as status, conditions, Events, metrics and leak ledger."""
