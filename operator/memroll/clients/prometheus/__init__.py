"""Adapter to Prometheus."""
