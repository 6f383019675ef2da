"""Snapshots of pods and workloads as frozen values: no I/O, no client library."""
