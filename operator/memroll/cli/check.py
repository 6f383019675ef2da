"""Command `memroll check`: the preflight of a cluster and its Prometheus. `helm test` runs it, too."""

from __future__ import annotations

import asyncio
from collections import defaultdict
from typing import TYPE_CHECKING

import click

from memroll import clock
from memroll.api.decode import decode_valid
from memroll.api.policy import DEFAULT_CONNECTION, MemoryPolicy
from memroll.cli import connection, errors
from memroll.cli.command import ClusterOptions, cluster_options, output_option
from memroll.cli.command import command as define
from memroll.cli.output import PLAIN_FORMATS, write_document, write_text
from memroll.cli.prometheus_options import OperatorOptions, operator_options, read_connections
from memroll.clients.kube.cluster import KubeCluster
from memroll.clients.kube.kubeconfig import POD_NAMESPACE_FILE
from memroll.errors import MemrollError
from memroll.inspection.checks import CheckItem, CheckState, from_error, skipped
from memroll.inspection.cluster_checks import ClusterPreflight
from memroll.inspection.prometheus_checks import WatchedScope, check_connection, query_connection
from memroll.rendering import Marked, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from memroll.clients.kube.api_client import KubeApi
    from memroll.rendering import Row

HEADER: Row = ("CHECK", "RESULT", "MESSAGE")
SEVERITIES = {
    CheckState.OK: Severity.GOOD,
    CheckState.WARNING: Severity.WARNING,
    CheckState.FAILED: Severity.BAD,
    CheckState.SKIPPED: Severity.QUIET,
}


@define(
    "check",
    examples=[
        "check",
        "check -n ai --prometheus http://localhost:9090",
        "check --as system:serviceaccount:memroll-system:memroll",
    ],
)
@click.option("-n", "--namespace", metavar="NAME", default="", help="namespace of the policies (default: all)")
@click.option("--operator-namespace", metavar="NAME", help="namespace of memroll (default: memroll-system)")
@click.option("--skip-prometheus", is_flag=True, help="check the cluster only")
@output_option(*PLAIN_FORMATS)
@operator_options
@cluster_options
def command(
    namespace: str,
    operator_namespace: str | None,
    output: str,
    operator: OperatorOptions,
    cluster: ClusterOptions,
    *,
    skip_prometheus: bool,
) -> int:
    """Check what memroll needs: cluster, CRDs, operator, rights, Prometheus with its series and labels, clocks."""
    settings = operator.settings
    if operator_namespace:
        settings = settings.model_copy(update={"namespace": operator_namespace})
    options = OperatorOptions(settings, operator.prometheus)
    items = asyncio.run(_check(namespace, options, cluster, with_prometheus=not skip_prometheus))
    if output in ("json", "yaml"):
        write_document([{"check": i.name, "state": i.state.value, "message": i.message} for i in items], output)
    else:
        write_text([HEADER, *((i.name, Marked(i.state, SEVERITIES[i.state]), i.message) for i in items)])
    return errors.FAILED if any(item.state is CheckState.FAILED for item in items) else errors.DONE


async def _check(
    namespace: str, operator: OperatorOptions, options: ClusterOptions, *, with_prometheus: bool
) -> list[CheckItem]:
    async with connection.open_api(options) as api:
        preflight = ClusterPreflight(api, operator.settings, namespace, clock.now, _is_operator(options))
        items = list(await preflight.run())
        if with_prometheus:
            scopes = await _watched_scopes(api, preflight.namespaces)
            items += await asyncio.to_thread(_check_prometheus, operator, scopes)
    return items


def _is_operator(options: ClusterOptions) -> bool:
    """Return whether the requests are those of a ServiceAccount, whose rights are the operator's."""
    if options.user is not None:
        return options.user.startswith("system:serviceaccount:")
    return options.kubeconfig is None and options.context is None and POD_NAMESPACE_FILE.exists()


async def _watched_scopes(api: KubeApi, namespaces: Sequence[str]) -> dict[str, WatchedScope]:
    """Return what the policies of each connection watch; the default connection if no policy can be read."""
    try:
        raws = await KubeCluster(api).list_policies(namespaces)
    except MemrollError:
        raws = ()
    grouped: dict[str, list[MemoryPolicy]] = defaultdict(list)
    for policy in decode_valid(raws, MemoryPolicy.read):
        grouped[policy.spec.prometheus].append(policy)
    scopes = {
        name: WatchedScope(
            tuple(sorted({p.namespace for p in policies if not p.spec.suspend})),
            min(p.spec.growth.window.total_seconds() for p in policies),
        )
        for name, policies in grouped.items()
    }
    return scopes or {DEFAULT_CONNECTION: WatchedScope()}


def _check_prometheus(operator: OperatorOptions, scopes: Mapping[str, WatchedScope]) -> list[CheckItem]:
    try:
        connections = read_connections(operator, scopes)
    except errors.InvalidArgumentError as error:
        return [skipped("Prometheus", error.message)]
    except MemrollError as error:
        return [from_error("Prometheus", error)]
    items: list[CheckItem] = []
    for name, scope in scopes.items():
        try:
            found = connections.get(name)
            with query_connection(found) as query:
                items += check_connection(name, query, found.match_labels, scope, lambda: clock.now().timestamp())
        except MemrollError as error:
            items.append(from_error(f"Prometheus {name}", error))
    return items
