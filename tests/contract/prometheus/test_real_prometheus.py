"""What a real Prometheus gives back is exactly what was recorded, by container instance."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memroll.clients.prometheus.client import PrometheusProvider
from memroll.clients.prometheus.config import Connection, Connections
from memroll.detection.samples import Span
from memroll.errors import PrometheusUnavailable
from tests.contract.prometheus.live import back_fill, running
from tests.contract.prometheus.recorded import T0, Past, Samples, pairs, ramp, record, within

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from memroll.detection.samples import Reading, SeriesRow
    from tests.contract.prometheus.certificates import Certificates

AT = T0 + 1800
OLD, NEW, OTHER, SIDE = "a" * 64, "b" * 64, "c" * 64, "d" * 64
HOSTILE = 'x"} or {a=~".+\\'
MAX_SAMPLES = 5000


PAST = Past()
GAP = [*ramp(T0, T0 + 600), *ramp(T0 + 900, T0 + 1800)]
BEFORE = record(PAST, "chat-1", OLD, ramp(T0, T0 + 900))
AFTER = record(PAST, "chat-1", NEW, ramp(T0 + 910.5, T0 + 1790, base=5e7))
record(PAST, "chat-2", OTHER, GAP)
TWICE = record(PAST, "chat-3", SIDE, ramp(T0, T0 + 1800), replica="one")
record(PAST, "chat-3", SIDE, TWICE, replica="two")
record(PAST, "chat.4", "", ramp(T0, T0 + 1800), node="a")
record(PAST, "chatx4", "", ramp(T0, T0 + 1800), node="a")
record(PAST, "cgroup", "", ramp(T0, T0 + 1800), id=f"/kubepods.slice/cri-containerd-{'e' * 64}.scope")
record(PAST, "chat-1", OLD, ramp(T0, T0 + 1800, base=7.0), namespace="other")
record(PAST, "chat-1", "", ramp(T0, T0 + 1800, base=7.0), container="")
record(PAST, "chat-1", "f" * 64, ramp(T0, T0 + 1800, base=7.0), container="POD")
HOSTILE_PAST = record(PAST, HOSTILE, "", ramp(T0, T0 + 1800), namespace=HOSTILE)
record(PAST, "odd", "1" * 64, [(T0 + 1000, float("nan")), (T0 + 1010, float("inf")), (T0 + 1020, 5.0)])
record(PAST, "dense", "2" * 64, ramp(T0, T0 + 1800, 0.25))


@pytest.fixture(scope="module")
def address(program: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    folder = tmp_path_factory.mktemp("prometheus")
    back_fill(PAST, folder)
    with running(program, folder, f"--query.max-samples={MAX_SAMPLES}") as found:
        yield found


@pytest.fixture
def provider(address: str) -> Iterator[PrometheusProvider]:
    connection = Connection(url=f"http://{address}")
    made = PrometheusProvider(Connections(connections={"default": connection}))
    yield made
    made.close()


async def read(provider: PrometheusProvider, *pods: str, window_s: float = 1800, at_s: float = AT) -> Reading:
    return await provider.read("default", "ai", pods, Span(window_s, None), at_s)


def rss(row: SeriesRow | None) -> Samples:
    assert row is not None
    assert (row.working_set.times_s == row.rss.times_s).all()
    assert (row.working_set.values == row.rss.values + 4096).all()
    return pairs(row.rss)


async def test_a_restart_gives_two_instances(provider: PrometheusProvider) -> None:
    reading = await read(provider, "chat-1")
    assert {r.container_id for r in reading.rows} == {OLD, NEW}
    assert rss(reading.row_for("chat-1", "chat", OLD, T0)) == BEFORE[1:], "the first instant is outside the window"
    assert rss(reading.row_for("chat-1", "chat", NEW, T0 + 905)) == AFTER
    assert reading.row_for("chat-1", "chat", "9" * 64, T0) is None


async def test_gaps_stay_gaps(provider: PrometheusProvider) -> None:
    reading = await read(provider, "chat-2", "chat-1")
    assert rss(reading.row_for("chat-2", "chat", OTHER, T0)) == GAP[1:]


@pytest.mark.parametrize(("window_s", "at_s"), [(600, AT), (90.5, T0 + 1000.125), (0.25, T0 + 15.25), (60, T0 + 750)])
async def test_the_window_is_half_open(provider: PrometheusProvider, window_s: float, at_s: float) -> None:
    row = (await read(provider, "chat-2", window_s=window_s, at_s=at_s)).row_for("chat-2", "chat", OTHER, T0)
    expected = within(GAP, at_s - window_s, at_s)
    assert (rss(row) if row else []) == expected


async def test_what_two_replicas_saw_counts_once(provider: PrometheusProvider) -> None:
    reading = await read(provider, "chat-3")
    assert [rss(row) for row in reading.rows] == [TWICE[1:]]


async def test_a_dot_in_a_name_is_a_dot(provider: PrometheusProvider) -> None:
    assert {r.pod for r in (await read(provider, "chat.4")).rows} == {"chat.4"}


async def test_the_cgroup_tells_the_id_too(provider: PrometheusProvider) -> None:
    assert (await read(provider, "cgroup")).row_for("cgroup", "chat", "e" * 64, T0) is not None


async def test_without_ids_the_samples_since_the_start_count(provider: PrometheusProvider) -> None:
    row = (await read(provider, "chat.4")).row_for("chat.4", "chat", "9" * 64, T0 + 1000)
    assert rss(row) == within(ramp(T0, T0 + 1800), T0 + 1000, AT)


async def test_hostile_names_are_names(provider: PrometheusProvider) -> None:
    found = await provider.read("default", HOSTILE, [HOSTILE], Span(1800, None), AT)
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
        assert (await provider.read("default", name, [name], Span(1800, None), AT)).rows == ()


async def test_only_finite_samples(provider: PrometheusProvider) -> None:
    assert rss((await read(provider, "odd")).rows[0]) == [(T0 + 1020, 5.0)]


async def test_nothing_known_is_an_empty_reading(provider: PrometheusProvider) -> None:
    assert (await read(provider, "nobody")).rows == ()
    assert (await read(provider, "chat-1", at_s=AT + 1e8)).rows == ()


async def test_a_query_over_prometheus_own_limit(provider: PrometheusProvider) -> None:
    with pytest.raises(PrometheusUnavailable, match="too many samples") as caught:
        await read(provider, "dense")
    assert caught.value.reason == "BadQuery"


async def test_ping(provider: PrometheusProvider) -> None:
    await provider.ping("default")


async def test_a_wrong_path(address: str) -> None:
    wrong = Connections(connections={"default": Connection(url=f"http://{address}/elsewhere")})
    with pytest.raises(PrometheusUnavailable, match=r"BadResponse: .* HTTP 404: check the url's path"):
        await PrometheusProvider(wrong).ping("default")


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
        provider = PrometheusProvider(connections)
        await provider.ping("known")
        with pytest.raises(PrometheusUnavailable, match=r"certFile|client certificate"):
            await provider.ping("stranger")
        provider.close()
