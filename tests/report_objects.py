"""Objects of a cluster after some weeks with two leaking services, for tests of the report."""

from __future__ import annotations

import json
import re
from datetime import datetime, timedelta
from typing import Any

from tests.builders import MIB, policy_json, roll_json

CHAT = {"apiVersion": "apps/v1", "kind": "Deployment", "name": "chat"}
AGENT = {"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "agent"}


def entry(workload: str, revision: str, image: str, per_hour_mib: float, **changes: Any) -> dict[str, Any]:
    defaults = {
        "workload": workload,
        "revision": revision,
        "container": workload.partition("/")[2],
        "image": image,
        "growthBytesPerHour": int(per_hour_mib * MIB),
        "firstSeen": "2026-02-10T08:00:00Z",
        "lastSeen": "2026-02-28T07:30:00Z",
    }
    return defaults | changes


LINES = [
    {"at": "app/cache.py:42", "bytes": 118 * MIB},
    {"at": "app/sessions.py:17", "bytes": 21 * MIB},
    {"at": "langchain/memory/buffer.py:88", "bytes": 6 * MIB},
]
LEDGER = [
    entry(
        "Deployment/chat", "7d4b9c5f6", "registry.example/chat:4.2", 58.4, rolls=4, oomKills=2, oomKillsSince=0,
        lines=LINES, growthBytesPerRequest=14_300, freedBytes=3_350 * MIB, firstSeen="2026-02-20T09:12:00Z",
        lastSeen="2026-03-01T11:59:00Z", firstRolled="2026-02-21T02:00:00Z",
    ),
    entry("Deployment/chat", "5c6f88d7b", "registry.example/chat:4.1", 19.5, rolls=1, freedBytes=700 * MIB),
    entry("StatefulSet/agent", "agent-6f5", "registry.example/agent:1.9", 6.1, oomKills=1, nodePressureEvictions=2),
]  # fmt: skip
EVIDENCE = {
    "capturedAt": "2026-03-01T02:14:09Z",
    "tookSeconds": 0.412,
    "series": {
        "container": "chat",
        "limitBytes": 1024 * MIB,
        "begin": "2026-02-28T11:40:00Z",
        "points": [[900 * n, int((205 + 13.4 * n + 9 * (n % 5)) * MIB)] for n in range(59)],
    },
    "containers": [{"container": "chat", "image": "registry.example/chat:4.2", "restarts": 0}],
    "logs": [{"container": "chat", "lines": ["INFO session 812 kept", "INFO login user=[redacted]"], "redacted": 1}],
    "probe": {
        "uptimeSeconds": 52_000,
        "rssBytes": 941 * MIB,
        "requestsTotal": 62_000,
        "growth": [
            {"file": "app/cache.py", "line": 42, "bytes": 118 * MIB, "blocks": 9120, "totalBytes": 131 * MIB},
            {"file": "app/sessions.py", "line": 17, "bytes": 21 * MIB, "blocks": 811},
        ],
        "types": [
            {
                "type": "app.cache.Entry", "count": 9120, "growth": 8800, "collections": 6,
                "referrers": ["dict of module app.cache 'CACHE'"],
            }
        ],
    },
}  # fmt: skip


def policies() -> list[dict[str, Any]]:
    created = policy_json({"mode": "Enforce", "selector": {"matchLabels": {"team": "ai"}}}, name="ai", namespace="ai")
    return [created | {"status": {"ledger": LEDGER}}]


def rolls() -> list[dict[str, Any]]:
    trigger = {"container": "chat", "usageBytes": 990 * MIB, "image": "registry.example/chat:4.2"}
    created = roll_json(
        "Succeeded",
        spec={
            "podName": "chat-7d4b9c5f6-x2x4z",
            "policy": "ai",
            "reason": "chat: 990.0 MiB of 1024.0 MiB (97%), +58.4 MiB per hour, limit in 34m",
            "trigger": trigger | {"growthBytesPerHour": int(58.4 * MIB)},
        },
        workload=CHAT,
        release={"hashLabel": "pod-template-hash", "templateHash": "7d4b9c5f6"},
        times={"announced": "2026-03-01T02:14:08Z", "finished": "2026-03-01T02:14:41Z"},
        evidence=EVIDENCE,
        effect={
            "beforeBytes": 990 * MIB,
            "afterBytes": 201 * MIB,
            "result": "LeakPersists",
            "message": "freed 789.0 MiB of 990.0 MiB; +57.9 MiB per hour at the age of 6h30m, as before",
            "comparedAt": "2026-03-01T08:45:00Z",
        },
    )
    created["metadata"] |= {"namespace": "ai", "name": "chat-7d4b9c5f6-x2x4z-1f2e3d4c"}
    return [created]


def shift_times(obj: dict[str, Any], offset: timedelta) -> dict[str, Any]:
    """Return an object with all its times shifted, for code that reads the clock."""

    def later(found: re.Match[str]) -> str:
        return (datetime.fromisoformat(found[0]) + offset).strftime("%Y-%m-%dT%H:%M:%SZ")

    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ", later, json.dumps(obj))
    created: dict[str, Any] = json.loads(text)
    return created
