"""Identity of an object in a record in memory: the fields that every kind of object has."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class ObjectRecord:
    """One object of the API server, by its metadata."""

    namespace: str
    name: str
    uid: str
    resource_version: str
    generation: int
    deleting: bool

    @property
    def has_ended(self) -> bool:
        """True if nothing is left to be done for the object."""
        return False
