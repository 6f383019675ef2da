"""Security context that all containers of this repository must have.

It satisfies the restricted Pod Security Standard, and the root file system is read-only.
"""

from __future__ import annotations

RESTRICTED = {
    "runAsNonRoot": True,
    "runAsUser": 65532,
    "allowPrivilegeEscalation": False,
    "readOnlyRootFilesystem": True,
    "capabilities": {"drop": ["ALL"]},
    "seccompProfile": {"type": "RuntimeDefault"},
}
