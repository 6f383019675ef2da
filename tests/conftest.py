"""How properties are tested: an example may take its time, for the machine may be busy with something else."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("memroll", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("memroll")
