"""Kernel settings that the node needs or changes. Their old values are recorded, and `down` restores them."""

import json
from pathlib import Path

from localcluster import files

SYS = Path("/proc/sys")
BRIDGE_FILTER = "net/bridge/bridge-nf-call-iptables"
NEEDED = {"net/ipv4/ip_forward": "1", BRIDGE_FILTER: "1"}
# The kubelet and kube-proxy set these.
CHANGED = (
    "kernel/keys/root_maxbytes",
    "kernel/keys/root_maxkeys",
    "kernel/panic",
    "kernel/panic_on_oops",
    "net/ipv4/conf/all/route_localnet",
    "net/ipv4/vs/conn_reuse_mode",
    "vm/overcommit_memory",
    "vm/panic_on_oom",
)


def ensure(record: Path, root: Path = SYS) -> None:
    """Record the old values once, before anything changes; then set the needed ones."""
    if not record.exists():
        names = [*NEEDED, *CHANGED]
        files.write_json(record, {name: (root / name).read_text().strip() for name in names if (root / name).exists()})
    for name, value in NEEDED.items():
        _set(root / name, value)


def restore(record: Path, root: Path = SYS) -> None:
    try:
        values = json.loads(record.read_text())
    except (OSError, ValueError):
        return
    for name, value in values.items():
        _set(root / name, value)


def bridge_filtered(root: Path = SYS) -> bool:
    return (root / BRIDGE_FILTER).exists()


def _set(path: Path, value: str) -> None:
    if path.exists() and path.read_text().strip() != value:
        path.write_text(value)
