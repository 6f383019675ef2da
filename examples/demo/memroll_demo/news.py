"""What is worth a line when it happens. Each function turns what is new into words; the timeline shows it."""

from __future__ import annotations

from typing import Any


def service_of(pod: str) -> str:
    """Return the Deployment of a pod."""
    return pod.rsplit("-", 2)[0]


def leak_told(near: dict[str, Any]) -> str:
    """Tell of a leak that was recognised; its pod is left alone until the limit is near."""
    rate_mib = near.get("growthBytesPerHour", 0) / 2**20 / 60
    left = near.get("timeToLimitSeconds")
    until = f": full in {left} s, to be rolled just before" if left is not None else ""
    return f"{near['pod']} leaks {rate_mib:.0f} MiB a minute{until}"


def roll_announced(roll: dict[str, Any]) -> str:
    numbers = roll["spec"].get("reason", "").removeprefix("app: ")  # every container of the demo has this name
    return f"rolling {roll['spec']['podName']}: {numbers}"


def roll_moved(roll: dict[str, Any]) -> str:
    """Say where a roll stands now; some phases are not worth a line."""
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


def oom_killed(service: str) -> str:
    return f"{service}: a container was OOM-killed"


def blind(error: Exception) -> str:
    return f"could not look at the cluster: {str(error).splitlines()[-1]}"


def requests_lost(service: str, count: int) -> str:
    return f"{service}: {count} requests failed"
