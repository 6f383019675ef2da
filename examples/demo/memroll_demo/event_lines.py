"""Format events as lines of the timeline: leaks, rolls, OOM kills and failed requests. Pure; called by observations."""

from __future__ import annotations

from typing import Any


def service_of(pod: str) -> str:
    """Return the name of a pod's Deployment."""
    return pod.rsplit("-", 2)[0]


def describe_leak(at_risk: dict[str, Any]) -> str:
    """Describe a confirmed leak; the pod is rolled only when its limit is near."""
    rate_mib = at_risk.get("growthBytesPerHour", 0) / 2**20 / 60
    remaining = at_risk.get("timeToLimitSeconds")
    until = f": full in {remaining} s, to be rolled just before" if remaining is not None else ""
    return f"{at_risk['pod']} leaks {rate_mib:.0f} MiB a minute{until}"


def describe_roll_start(roll: dict[str, Any]) -> str:
    reason = roll["spec"].get("reason", "").removeprefix("app: ")  # every container of the demo has this name
    return f"rolling {roll['spec']['podName']}: {reason}"


def describe_phase(roll: dict[str, Any]) -> str:
    """Describe a roll's phase; an empty string for phases without a line."""
    pod, status = roll["spec"]["podName"], roll["status"]
    message = status.get("message", "")
    match status["phase"]:
        case "Evicting":
            return f"replacement {status.get('replacement', {}).get('name', '')} is Ready: evicting {pod}"
        case "Succeeded":
            return f"rolled {pod}: {message}"
        case "Failed" | "Aborted":
            return f"NOT rolled {pod}: {message}"
        case _:
            return ""


def describe_oom_kill(service: str) -> str:
    return f"{service}: a container was OOM-killed"


def describe_unreachable(error: Exception) -> str:
    return f"cluster unreachable: {str(error).splitlines()[-1]}"


def describe_failed_requests(service: str, count: int) -> str:
    return f"{service}: {count} requests failed"
