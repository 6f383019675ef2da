"""The packet filter: one rule of our own, and the removal of the chains a Kubernetes node leaves behind."""

import re
import shutil

from localcluster.run import run, succeeds

_FORWARD = "MEMROLL-FORWARD"
_OURS = re.compile(rf"^({_FORWARD}$|KUBE-|CNI-HOSTPORT-|CNI-DN-|CNI-SN-)")
_FAMILIES = ("iptables", "ip6tables")


def accept_pod_traffic(bridge: str) -> None:
    """Let pods talk to each other on a machine that drops what it forwards, as one with Docker does."""
    rule = f"-A {_FORWARD} -i {bridge} -o {bridge} -j ACCEPT"
    run(["iptables-restore", "--noflush"], stdin=f"*filter\n:{_FORWARD} - [0:0]\n{rule}\nCOMMIT\n")
    jump = ["FORWARD", "--jump", _FORWARD]
    if not succeeds(["iptables", "--check", *jump]):
        run(["iptables", "--insert", *jump])


def clean() -> bool:
    """Remove our chains; tell whether there were any."""
    cleaned = [_clean(family) for family in _FAMILIES if shutil.which(f"{family}-save")]
    return any(cleaned)


def removal_script(saved: str) -> str:
    """Turn what `iptables-save` prints into what `iptables-restore --noflush` needs to undo our part of it."""
    lines: list[str] = []
    for table, body in _tables(saved):
        chains = [line.split()[0][1:] for line in body if line.startswith(":")]
        ours = [chain for chain in chains if _OURS.match(chain)]
        if ours:
            jumps = [f"-D {line[3:]}" for line in body if _is_jump(line)]
            flushes = [f":{chain} - [0:0]" for chain in ours]
            lines += [f"*{table}", *flushes, *jumps, *(f"-X {chain}" for chain in ours), "COMMIT"]
    return "".join(f"{line}\n" for line in lines)


def _clean(family: str) -> bool:
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
    """Recognise a rule in somebody else's chain that leads into one of ours."""
    found = re.match(r"-A (\S+) .*-[jg] (\S+)", line)
    return found is not None and not _OURS.match(found.group(1)) and _OURS.match(found.group(2)) is not None
