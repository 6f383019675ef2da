"""Snapshots of pods and workloads as frozen values."""
