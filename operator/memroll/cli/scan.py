"""Command `memroll scan`: every leak of a cluster, without installing anything."""

from __future__ import annotations

import asyncio
import os
from contextlib import asynccontextmanager, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from memroll import clock
from memroll.api.policy import DEFAULT_CONNECTION
from memroll.backtest import policy as policies
from memroll.cli import connection, errors, scan_output
from memroll.cli.command import ClusterOptions, Count, PeriodSeconds, cluster_options, output_option, refuse_both
from memroll.cli.command import command as define
from memroll.cli.output import PLAIN_FORMATS, write_document, write_text
from memroll.cli.progress import progress
from memroll.cli.prometheus_options import as_connection
from memroll.clients.kube.cluster import KubeCluster
from memroll.clients.prometheus.client import PrometheusClient
from memroll.clients.prometheus.config import Connections
from memroll.clients.prometheus.credentials import ConnectionsFile
from memroll.inspection.prometheus_discovery import FoundPrometheus, find_prometheus
from memroll.inspection.scan import CONNECTION, ScanScope, scan_cluster
from memroll.inspection.scan_history import PastScope, read_history, replay_history

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Sequence

    from memroll.api.policy import MemoryPolicy
    from memroll.backtest.trace import Trace
    from memroll.clients.kube.api_client import KubeApi
    from memroll.clients.prometheus.session import QueryCost
    from memroll.inspection.scan_result import Finding, ScanResult


@dataclass(frozen=True, slots=True)
class ScanSource:
    """Options that select Prometheus."""

    prometheus: str | None
    connections: Path | None
    connection: str


@dataclass(frozen=True, slots=True)
class Replay:
    """Options of the replay."""

    workloads: int
    since_s: float


class SampleCount:
    """Sum of the samples that Prometheus touched, as far as it reports them."""

    def __init__(self) -> None:
        self.samples = 0
        self.queries = 0

    def observe(self, _: str, cost: QueryCost) -> None:
        self.samples += cost.samples or 0
        self.queries += 1


@define(
    "scan",
    examples=[
        "scan",
        "scan -n ai -o wide",
        "scan --write-policies policies/",
        "scan --prometheus http://localhost:9090",
    ],
)
@click.option("-n", "--namespace", metavar="NAME", help="namespace (default: all)")
@click.option("-A", "--all-namespaces", is_flag=True, hidden=True, help="all namespaces: the default")
@click.option("-l", "--selector", metavar="LABELS", default="", help="label selector of the pods")
@click.option(
    "--prometheus", metavar="URL", help="Prometheus to query (default: the one of the cluster, by its Service)"
)
@click.option(
    "--connections", type=click.Path(path_type=Path), metavar="FILE", help="the operator's file with credentials"
)
@click.option("--connection", metavar="NAME", default=DEFAULT_CONNECTION, help="with --connections (default: default)")
@click.option(
    "--policy",
    "policy_file",
    type=click.Path(path_type=Path),
    metavar="FILE",
    help="file with a MemoryPolicy to assess by (default: all defaults)",
)
@click.option("--since", type=PeriodSeconds(), metavar="3d", default="3d", help="history to replay (default: 3d)")
@click.option(
    "--replay", "replayed", type=click.IntRange(0), metavar="N", default=20, help="workloads to replay (default: 20)"
)
@click.option(
    "--jobs", type=Count(), metavar="N", default=os.cpu_count() or 1, help="processes (default: one per core)"
)
@click.option(
    "--write-policies",
    type=click.Path(path_type=Path),
    metavar="DIR",
    help="write policies in mode Observe for what leaks",
)
@click.option("--all", "show_all", is_flag=True, help="also show what is healthy or could not be assessed")
@click.option("--exit-code", is_flag=True, help="exit with 3 if anything leaks, with 4 if nothing can be assessed")
@output_option(*PLAIN_FORMATS)
@cluster_options
def command(
    selector: str, policy_file: Path | None, write_policies: Path | None, cluster: ClusterOptions, **given: Any
) -> int:
    """Find every leak of a cluster by its Prometheus, without installing anything."""
    refuse_both("-A", "argument -n", given["namespace"] is not None, given["all_namespaces"])
    source = ScanSource(given["prometheus"], given["connections"], given["connection"])
    refuse_both("--prometheus", "--connections", source.prometheus, source.connections)
    template = policies.default_policy() if policy_file is None else policies.load(policy_file)
    scope = ScanScope(template, given["namespace"] or "", selector)
    count = SampleCount()
    replay = Replay(given["replayed"], given["since"])
    result, histories = asyncio.run(_scan(cluster, source, scope, replay, count))
    result = _replayed(result, histories, template, given["jobs"])
    _show(result, result.findings if given["show_all"] else result.notable, given["output"])
    if write_policies is not None:
        _write_policies(write_policies, result)
    click.echo(f"{count.queries} queries touched {count.samples:,} samples", err=True)
    return _exit_code(result) if given["exit_code"] else errors.DONE


def _exit_code(result: ScanResult) -> int:
    if any(f.is_at_risk for f in result.findings):
        return errors.FOUND
    return errors.NO_DATA if result.not_assessed_count == result.containers else errors.DONE


async def _scan(
    options: ClusterOptions, source: ScanSource, scope: ScanScope, replay: Replay, count: SampleCount
) -> tuple[ScanResult, list[tuple[Finding, tuple[Trace, ...]]]]:
    """Return the result of the scan, and the history of the findings that are replayed."""
    async with connection.open_api(options) as api, _open_prometheus(api, source) as found:
        click.echo(f"using {found.title}", err=True)
        now = clock.now()
        client = PrometheusClient(Connections(connections={CONNECTION: found.connection}), observe=count.observe)
        with closing(client), progress("assessing pods", 100) as show:
            result = await scan_cluster(KubeCluster(api), client, scope, now, show)
        past = PastScope(found.connection, scope.policy, replay.since_s, now.timestamp(), count.observe)
        chosen = result.notable[: replay.workloads]
        histories = []
        with progress("reading history", max(1, len(chosen))) as show:
            for number, finding in enumerate(chosen, 1):
                histories.append((finding, await asyncio.to_thread(read_history, finding, past)))
                show(number)
        return result, histories


@asynccontextmanager
async def _open_prometheus(api: KubeApi, source: ScanSource) -> AsyncIterator[FoundPrometheus]:
    """Yield the given server, or the one that the cluster has."""
    if source.prometheus:
        yield FoundPrometheus(source.prometheus, as_connection(source.prometheus))
    elif source.connections:
        given = ConnectionsFile(source.connections)().get(source.connection)
        yield FoundPrometheus(f"connection {source.connection}", given)
    else:
        async with find_prometheus(api, errors.warn) as found:
            yield found


def _replayed(
    result: ScanResult, histories: Sequence[tuple[Finding, tuple[Trace, ...]]], policy: MemoryPolicy, jobs: int
) -> ScanResult:
    past = {}
    with progress("replaying", max(1, len(histories))) as show:
        for number, (finding, traces) in enumerate(histories, 1):
            if traces:
                past[finding.key] = replay_history(traces, policy, jobs)
            show(number)
    return replace(result, past=past)


def _show(result: ScanResult, shown: Sequence[Finding], output: str) -> None:
    if output in ("json", "yaml"):
        write_document(scan_output.to_document(result, shown), output)
    else:
        write_text(*scan_output.to_text(result, shown, is_wide=output == "wide"))


def _write_policies(folder: Path, result: ScanResult) -> None:
    written, skipped = scan_output.write_policies(folder, result.findings)
    click.echo(f"{folder}: {len(written)} policies; apply them with: kubectl apply -f {folder}", err=True)
    for name in skipped:
        errors.warn(f"no policy for {name}: a policy can't watch this kind of workload")
