"""Adapters to the API server, to Prometheus and to a pod's own memory report."""
