"""A real Prometheus returns exactly the recorded samples, by container instance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memroll.clients.prometheus.client import PrometheusClient
from memroll.clients.prometheus.config import Connection, Connections
from memroll.clients.prometheus.promql import RSS, WORKING_SET
from memroll.detection.samples import ReadRequest, SampleRange
from memroll.errors import PrometheusUnavailableError
from tests.contract.prometheus.real_prometheus import back_fill, running
from tests.contract.prometheus.sample_history import T0, SampleHistory, Samples, labels, pairs, ramp, record, within

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from memroll.detection.samples import QueryResult, SeriesRow
    from tests.contract.prometheus.certificates import Certificates
    from tests.contract.prometheus.stores import Store

AT = T0 + 1800
OLD, NEW, OTHER, SIDE = "a" * 64, "b" * 64, "c" * 64, "d" * 64
HOSTILE = 'x"} or {a=~".+\\'
MAX_SAMPLES = 5000


HISTORY = SampleHistory()
GAP = [*ramp(T0, T0 + 600), *ramp(T0 + 900, T0 + 1800)]
BEFORE = record(HISTORY, "chat-1", OLD, ramp(T0, T0 + 900))
AFTER = record(HISTORY, "chat-1", NEW, ramp(T0 + 910.5, T0 + 1790, base=5e7))
record(HISTORY, "chat-2", OTHER, GAP)
TWICE = record(HISTORY, "chat-3", SIDE, ramp(T0, T0 + 1800), replica="one")
record(HISTORY, "chat-3", SIDE, TWICE, replica="two")
record(HISTORY, "chat.4", "", ramp(T0, T0 + 1800), node="a")
record(HISTORY, "chatx4", "", ramp(T0, T0 + 1800), node="a")
record(HISTORY, "cgroup", "", ramp(T0, T0 + 1800), id=f"/kubepods.slice/cri-containerd-{'e' * 64}.scope")
record(HISTORY, "chat-1", OLD, ramp(T0, T0 + 1800, base=7.0), namespace="other")
record(HISTORY, "chat-1", "", ramp(T0, T0 + 1800, base=7.0), container="")
record(HISTORY, "chat-1", "f" * 64, ramp(T0, T0 + 1800, base=7.0), container="POD")
CADVISOR = record(HISTORY, "nameless", "", ramp(T0, T0 + 1790), metrics_path="/metrics/cadvisor")
RESOURCE = HISTORY.add(
    WORKING_SET, labels("nameless", "", metrics_path="/metrics/resource"), ramp(T0 + 5, T0 + 1795, base=9e7)
)
SPLIT = HISTORY.add(RSS, labels("split", "3" * 64), ramp(T0, T0 + 1790))
LONE = HISTORY.add(WORKING_SET, labels("split", "", metrics_path="/metrics/resource"), RESOURCE)
HISTORY.add(WORKING_SET, labels("windows", ""), RESOURCE)
OURS = record(HISTORY, "everywhere", "4" * 64, ramp(T0, T0 + 1790), cluster="prod-eu")
record(HISTORY, "everywhere", "5" * 64, ramp(T0, T0 + 1790, base=9e8), cluster="prod-us")
record(HISTORY, "everywhere", "6" * 64, ramp(T0, T0 + 1790, base=9e8))
HOSTILE_PAST = record(HISTORY, HOSTILE, "", ramp(T0, T0 + 1800), namespace=HOSTILE)
record(HISTORY, "odd", "1" * 64, [(T0 + 1000, float("nan")), (T0 + 1010, float("inf")), (T0 + 1020, 5.0)])


@pytest.fixture(scope="module")
def address(store: Store, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with store.serving(HISTORY, tmp_path_factory.mktemp("store")) as found:
        yield found


def client_of(address: str) -> PrometheusClient:
    return PrometheusClient(Connections(connections={"default": Connection(url=f"http://{address}")}))


@pytest.fixture
def client(address: str) -> Iterator[PrometheusClient]:
    made = client_of(address)
    yield made
    made.close()


async def read(client: PrometheusClient, *pods: str, window_s: float = 1800, at_s: float = AT) -> QueryResult:
    return await client.read("default", ReadRequest("ai", pods, SampleRange(window_s, None), at_s))


def rss(row: SeriesRow | None) -> Samples:
    assert row is not None
    assert (row.working_set.times_s == row.rss.times_s).all()
    assert (row.working_set.values == row.rss.values + 4096).all()
    return pairs(row.rss)


async def test_a_restart_gives_two_rows(client: PrometheusClient) -> None:
    reading = await read(client, "chat-1")
    assert {r.container_id for r in reading.rows} == {OLD, NEW}
    assert rss(reading.row_for("chat-1", "chat", OLD, T0)) == BEFORE[1:], "the first instant is outside the window"
    assert rss(reading.row_for("chat-1", "chat", NEW, T0 + 905)) == AFTER
    assert reading.row_for("chat-1", "chat", "9" * 64, T0) is None


async def test_gaps_are_not_filled(client: PrometheusClient) -> None:
    reading = await read(client, "chat-2", "chat-1")
    assert rss(reading.row_for("chat-2", "chat", OTHER, T0)) == GAP[1:]


@pytest.mark.parametrize(("window_s", "at_s"), [(600, AT), (90.5, T0 + 1000.125), (0.25, T0 + 15.25), (60, T0 + 750)])
async def test_the_window_is_half_open(client: PrometheusClient, window_s: float, at_s: float) -> None:
    row = (await read(client, "chat-2", window_s=window_s, at_s=at_s)).row_for("chat-2", "chat", OTHER, T0)
    expected = within(GAP, at_s - window_s, at_s)
    assert (rss(row) if row else []) == expected


async def test_samples_of_two_prometheus_replicas_count_once(client: PrometheusClient) -> None:
    reading = await read(client, "chat-3")
    assert [rss(row) for row in reading.rows] == [TWICE[1:]]


async def test_a_dot_in_a_pod_name_matches_only_a_dot(client: PrometheusClient) -> None:
    assert {r.pod for r in (await read(client, "chat.4")).rows} == {"chat.4"}


async def test_the_container_id_is_read_from_the_cgroup_as_well(client: PrometheusClient) -> None:
    assert (await read(client, "cgroup")).row_for("cgroup", "chat", "e" * 64, T0) is not None


async def test_without_container_ids_the_samples_since_the_start_count(client: PrometheusClient) -> None:
    row = (await read(client, "chat.4")).row_for("chat.4", "chat", "9" * 64, T0 + 1000)
    assert rss(row) == within(ramp(T0, T0 + 1800), T0 + 1000, AT)


async def test_a_later_working_set_of_another_endpoint_hides_no_rss(client: PrometheusClient) -> None:
    row = (await read(client, "nameless")).row_for("nameless", "chat", "9" * 64, T0)
    assert rss(row) == CADVISOR[1:]
    statistics = await client.prefilter("default", "ai", ["nameless"], (600.0,), AT)
    found = statistics.row_for("nameless", "chat", "9" * 64, T0)
    assert found is not None
    assert (found.rss_bytes, found.working_set_bytes) == (CADVISOR[-1][1], CADVISOR[-1][1] + 4096)


async def test_a_working_set_of_another_endpoint_completes_an_rss(client: PrometheusClient) -> None:
    row = (await read(client, "split")).row_for("split", "chat", "3" * 64, T0)
    assert row is not None
    assert (pairs(row.rss), pairs(row.working_set)) == (SPLIT[1:], within(LONE, SPLIT[1][0], SPLIT[-1][0]))
    statistics = await client.prefilter("default", "ai", ["split"], (600.0,), AT)
    found = statistics.row_for("split", "chat", "3" * 64, T0)
    assert found is not None
    assert (found.rss_bytes, found.working_set_bytes) == (SPLIT[-1][1], LONE[-1][1])


async def test_a_working_set_alone_is_a_row_without_an_rss(client: PrometheusClient) -> None:
    row = (await read(client, "windows")).row_for("windows", "chat", "9" * 64, T0)
    assert row is not None
    assert (pairs(row.rss), pairs(row.working_set)) == ([], RESOURCE)
    statistics = await client.prefilter("default", "ai", ["windows"], (600.0,), AT)
    found = statistics.row_for("windows", "chat", "9" * 64, T0)
    assert found is not None
    assert (found.has_rss, found.working_set_bytes) == (False, RESOURCE[-1][1])


async def test_the_labels_of_a_connection_select_one_cluster(address: str) -> None:
    url = f"http://{address}"
    connections = {
        name: Connection(url=url, match_labels=found)
        for name, found in {"eu": {"cluster": "prod-eu"}, "misspelt": {"cluster": "prod-ue"}, "all": {}}.items()
    }
    client = PrometheusClient(Connections(connections=connections))
    request = ReadRequest("ai", ["everywhere"], SampleRange(1800, None), AT)
    assert [rss(r) for r in (await client.read("eu", request)).rows] == [OURS[1:]]
    assert (await client.read("misspelt", request)).rows == ()
    assert len((await client.read("all", request)).rows) == 3
    statistics = {
        name: {r.container_id for r in (await client.prefilter(name, "ai", ["everywhere"], (600.0,), AT)).rows}
        for name in connections
    }
    assert statistics == {"eu": {"4" * 64}, "misspelt": set(), "all": {"4" * 64, "5" * 64, "6" * 64}}
    client.close()


async def test_names_with_special_characters_are_quoted(client: PrometheusClient) -> None:
    found = await client.read("default", ReadRequest(HOSTILE, [HOSTILE], SampleRange(1800, None), AT))
    assert [(r.pod, rss(r)) for r in found.rows] == [(HOSTILE, HOSTILE_PAST[1:])]
    for name in (
        "'",
        "`",
        "\n",
        "\x00",
        "\x7f",
        "é",
        "\U0001f4a3",
        "\ufffd",
        "}[1y]",
        "$1",
        "^.*$",
        "\\d",
        "a-b~c#d e&",
    ):
        assert (await client.read("default", ReadRequest(name, [name], SampleRange(1800, None), AT))).rows == ()


async def test_non_finite_samples_are_dropped(client: PrometheusClient) -> None:
    assert rss((await read(client, "odd")).rows[0]) == [(T0 + 1020, 5.0)]


async def test_unknown_pods_give_an_empty_result(client: PrometheusClient) -> None:
    assert (await read(client, "nobody")).rows == ()
    assert (await read(client, "chat-1", at_s=AT + 1e8)).rows == ()


async def test_a_query_that_exceeds_prometheus_limits(program: str, tmp_path: Path) -> None:
    """The similar option of VictoriaMetrics does not apply to raw samples, which it exports."""
    dense = SampleHistory()
    record(dense, "dense", "2" * 64, ramp(T0, T0 + 1800, 0.25))
    back_fill(dense, tmp_path)
    with running(program, tmp_path, f"--query.max-samples={MAX_SAMPLES}") as address:
        client = client_of(address)
        with pytest.raises(PrometheusUnavailableError, match="too many samples") as caught:
            await read(client, "dense")
        client.close()
    assert caught.value.reason == "BadQuery"


async def test_a_ping_of_a_store_that_answers_raises_nothing(client: PrometheusClient) -> None:
    """It raises for a wrong path and without a certificate: the tests below."""
    assert await client.ping("default") is None


async def test_get_returns_the_same_as_post(address: str, client: PrometheusClient) -> None:
    connection = Connection(url=f"http://{address}", method="GET")
    by_get = PrometheusClient(Connections(connections={"default": connection}))
    pods = ["chat-1", "chat-2", "chat-3", "chat.4", *(f"a-very-long-name-of-a-pod-{n}" for n in range(200))]
    await by_get.ping("default")
    read_by_get, read_by_post = [await read(c, *pods) for c in (by_get, client)]
    key = [(r.pod, r.container_id, pairs(r.rss)) for r in sorted(read_by_get.rows, key=lambda r: r.container_id)]
    assert key == [
        (r.pod, r.container_id, pairs(r.rss)) for r in sorted(read_by_post.rows, key=lambda r: r.container_id)
    ]
    assert len(key) == 5
    by_get.close()


@pytest.mark.parametrize("path", ["elsewhere", "select/0/prometheus"], ids=["any", "that of another store"])
async def test_a_wrong_path(address: str, store: Store, path: str) -> None:
    """VictoriaMetrics returns 400 for an unknown path, such as that of its cluster version on a single node."""
    status = 404 if store.is_prometheus else 400
    wrong = Connections(connections={"default": Connection(url=f"http://{address}/{path}")})
    with pytest.raises(PrometheusUnavailableError, match=rf"BadResponse: .* HTTP {status}: check the url's path"):
        await PrometheusClient(wrong).ping("default")


async def test_mutual_tls(program: str, tmp_path: Path, certificates: Certificates) -> None:
    web = tmp_path / "web.yml"
    web.write_text(
        "tls_server_config:\n"
        f"  cert_file: {certificates.certificate('server')}\n"
        f"  key_file: {certificates.key('server')}\n"
        f"  client_ca_file: {certificates.ca}\n"
        "  client_auth_type: RequireAndVerifyClientCert\n"
    )
    pair = {"certFile": certificates.certificate("client"), "keyFile": certificates.key("client")}
    with running(program, tmp_path, f"--web.config.file={web}") as address:
        known = {"url": f"https://{address}", "tls": {"caFile": certificates.ca, **pair}}
        stranger = {"url": f"https://{address}", "tls": {"caFile": certificates.ca}}
        connections = Connections.model_validate({"connections": {"known": known, "stranger": stranger}})
        client = PrometheusClient(connections)
        await client.ping("known")
        with pytest.raises(PrometheusUnavailableError, match=r"certFile|client certificate"):
            await client.ping("stranger")
        client.close()
