"""Permissions that memroll was installed with, as the chart's values and the RBAC rules grant them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Permissions:
    """Actions that the installation permits.

    `controller.context` builds it from the settings; the gates and strategies check it.
    """

    acting: bool = True
    """Evicting pods."""
    surge: bool = True
    """Patching pods, to release them from their ReplicaSet."""
    restart: bool = True
    """Restarting workloads."""
    logs: bool = True
    """Reading the logs of pods, as evidence."""
    http: bool = True
    """Requesting memory reports from pods, as evidence."""
    nodes: bool = True
    """Listing nodes, for the memory that they can allocate."""


ALL_PERMISSIONS = Permissions()
