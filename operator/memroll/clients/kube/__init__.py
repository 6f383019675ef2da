"""Adapters to the API server."""
