"""Adds the cluster's own packet filter rule, and removes the chains that a Kubernetes node leaves behind."""

import re
import shutil

from localcluster.run import run, succeeds

_FORWARD = "MEMROLL-FORWARD"
_OWN_CHAINS = re.compile(rf"^({_FORWARD}$|KUBE-|CNI-HOSTPORT-|CNI-DN-|CNI-SN-)")
_FAMILIES = ("iptables", "ip6tables")


def accept_pod_traffic(bridge: str) -> None:
    """Accept traffic between pods, also on a machine that drops forwarded packets, as one with Docker does."""
    rule = f"-A {_FORWARD} -i {bridge} -o {bridge} -j ACCEPT"
    run(["iptables-restore", "--noflush"], stdin=f"*filter\n:{_FORWARD} - [0:0]\n{rule}\nCOMMIT\n")
    jump = ["FORWARD", "--jump", _FORWARD]
    if not succeeds(["iptables", "--check", *jump]):
        run(["iptables", "--insert", *jump])


def remove_chains() -> bool:
    """Remove the cluster's chains and return whether there were any."""
    removed = [_remove_family_chains(family) for family in _FAMILIES if shutil.which(f"{family}-save")]
    return any(removed)


def removal_script(saved: str) -> str:
    """Return the input of `iptables-restore --noflush` that removes the cluster's part of an `iptables-save` output."""
    lines: list[str] = []
    for table, body in _tables(saved):
        chains = [line.split()[0][1:] for line in body if line.startswith(":")]
        own = [chain for chain in chains if _OWN_CHAINS.match(chain)]
        if own:
            jumps = [f"-D {line[3:]}" for line in body if _is_jump(line)]
            flushes = [f":{chain} - [0:0]" for chain in own]
            lines += [f"*{table}", *flushes, *jumps, *(f"-X {chain}" for chain in own), "COMMIT"]
    return "".join(f"{line}\n" for line in lines)


def _remove_family_chains(family: str) -> bool:
    script = removal_script(run([f"{family}-save"]))
    if script:
        run([f"{family}-restore", "--noflush"], stdin=script)
    return bool(script)


def _tables(saved: str) -> list[tuple[str, list[str]]]:
    tables: list[tuple[str, list[str]]] = []
    for line in saved.splitlines():
        if line.startswith("*"):
            tables.append((line[1:].strip(), []))
        elif tables:
            tables[-1][1].append(line)
    return tables


def _is_jump(line: str) -> bool:
    """Return whether a rule of a foreign chain leads into one of the cluster's."""
    found = re.match(r"-A (\S+) .*-[jg] (\S+)", line)
    return found is not None and not _OWN_CHAINS.match(found.group(1)) and _OWN_CHAINS.match(found.group(2)) is not None
