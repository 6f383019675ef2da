"""Settings of Hypothesis: no deadline for an example, because the machine may be busy."""

from __future__ import annotations

from hypothesis import HealthCheck, settings

settings.register_profile("memroll", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("memroll")
