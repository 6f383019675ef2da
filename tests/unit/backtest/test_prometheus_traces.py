"""Traces from Prometheus, against a real server with back-filled days."""

from __future__ import annotations

import json

import numpy as np
import pytest

from memroll.backtest import policy, prometheus_traces
from memroll.cli import run
from memroll.errors import PrometheusUnavailableError, TerminalError
from tests.contract.prometheus.sample_history import T0, SampleHistory
from tests.contract.prometheus.stores import PROMETHEUS_2, VICTORIA_METRICS

HOUR = 3600.0
NOW_S = T0 + 60 * HOUR
MIB = 2**20
LIMIT = 512 * MIB
WEB, DB, FREE = "web-7d9f8b6c5d-x2x4z", "db-0", "free-0"
FIRST, SECOND, ONLY = "a" * 64, "b" * 64, "c" * 64
KILLED_S = T0 + 38 * HOUR


def of_container(pod, container_id):
    return {"namespace": "ai", "pod": pod, "container": "app", "name": container_id}


def memory(past, pod, container_id, start_s, end_s, per_hour_mib=0.0):
    times = np.arange(start_s, end_s + 1, 60.0)
    values = (130 + per_hour_mib * (times - start_s) / HOUR) * MIB
    for metric in ("container_memory_rss", "container_memory_working_set_bytes"):
        past.add(metric, of_container(pod, container_id), list(zip(times.tolist(), values.tolist(), strict=True)))


def status(past, metric, pod, start_s, value, **labels):
    samples = [(float(t), value) for t in np.arange(start_s, NOW_S, 120.0)]
    past.add(metric, {"namespace": "ai", "pod": pod, "container": "app", **labels}, samples)


@pytest.fixture(scope="module", params=[PROMETHEUS_2, VICTORIA_METRICS], ids=lambda store: store.name)
def url(request, tmp_path_factory):
    """Serve a pod whose first container instance leaks into its limit, idle pods, and a pod in another namespace."""
    past = SampleHistory()
    memory(past, WEB, FIRST, T0 + 60, KILLED_S, per_hour_mib=10)
    memory(past, WEB, SECOND, KILLED_S + 60, NOW_S)
    memory(past, DB, ONLY, T0 + 60, NOW_S - HOUR)
    memory(past, FREE, "e" * 64, NOW_S - 2 * HOUR, NOW_S)
    status(past, "container_spec_memory_limit_bytes", FREE, NOW_S - 2 * HOUR, 0)
    past.add("container_memory_rss", {**of_container("x-0", "d" * 64), "namespace": "other"}, [(NOW_S - 60, 1.0)])
    status(past, "kube_pod_container_resource_limits", WEB, T0, LIMIT, resource="memory", unit="byte")
    status(past, "kube_pod_container_resource_limits", WEB, T0, 2e12, resource="cpu", unit="core")
    status(past, "container_spec_memory_limit_bytes", DB, T0, 256 * MIB)
    status(past, "kube_pod_container_status_last_terminated_reason", WEB, KILLED_S + 60, 1, reason="OOMKilled")
    status(past, "kube_pod_container_status_last_terminated_reason", DB, T0, 0, reason="OOMKilled")
    with request.param.serving(past, tmp_path_factory.mktemp("store")) as address:
        yield f"http://{address}"


def read(url, policy_=None, **scope):
    wanted = prometheus_traces.HistoryScope(url, **{"namespace": "ai", "lookback_s": 59 * HOUR, **scope})
    return prometheus_traces.read(wanted, policy_ or policy.default_policy(), NOW_S, lambda _: None)


def test_each_instance_is_read_whole_with_its_limit_and_its_end(url):
    db, free, first, second = read(url)
    assert [t.name for t in (db, first, second)] == ["db-0/app", f"{WEB}/app/aaaaaaaa", f"{WEB}/app/bbbbbbbb"]
    assert [t.workload for t in (db, first, second)] == ["db/app", "web/app", "web/app"]
    assert [t.history.limit_bytes for t in (db, free, first, second)] == [256 * MIB, None, LIMIT, LIMIT]
    assert [t.oom_s for t in (db, free, first, second)] == [None, None, pytest.approx(KILLED_S, abs=60), None]
    assert (second.start_s, second.end_s) == (pytest.approx(KILLED_S + 60, abs=60), pytest.approx(NOW_S, abs=60))
    for trace in (db, first, second):
        assert np.diff(trace.history.rss.times_s).max() <= 120, "no gap where two days meet"
        assert np.diff(trace.history.rss.times_s).min() > 0
    assert first.history.rss.values.max() == pytest.approx((130 + 380) * MIB, rel=0.001)


def test_the_history_is_as_long_as_requested(url):
    for trace in read(url, lookback_s=10 * HOUR):
        assert trace.start_s >= NOW_S - 10 * HOUR


def test_a_prefix_narrows_it_and_is_no_pattern(url):
    assert {t.workload for t in read(url, workload="web-")} == {"web/app"}
    with pytest.raises(TerminalError, match=r"pods named we\.\* in namespace ai"):
        read(url, workload="we.")


def test_no_history_is_an_error(url):
    with pytest.raises(TerminalError, match=r"has no container_memory_rss of nowhere: check -n and --since"):
        read(url, namespace="nowhere")


def test_progress_ends_at_the_whole(url):
    calls = []
    prometheus_traces.read(
        prometheus_traces.HistoryScope(url, "ai", 59 * HOUR), policy.default_policy(), NOW_S, calls.append
    )
    assert calls == [11 * HOUR, 35 * HOUR, 59 * HOUR]


def test_the_command_replays_it(url, monkeypatch, capsys):
    monkeypatch.setattr("memroll.clock.now", lambda: _At(NOW_S))
    arguments = ["--prometheus", url, "-n", "ai", "--since", "59h", "--output", "json", "--jobs", "1"]
    assert run(["memroll", "backtest", *arguments]) == 0
    by_name = {t["name"]: t for t in json.loads(capsys.readouterr().out)["traces"]}
    leaking = by_name[f"{WEB}/app/aaaaaaaa"]
    assert T0 < leaking["first_roll_s"] < leaking["oom_s"]
    assert by_name["db-0/app"]["first_roll_s"] is None


def test_the_operator_s_connections_file_is_used(url, tmp_path, monkeypatch, capsys):
    monkeypatch.setattr("memroll.clock.now", lambda: _At(NOW_S))
    file = tmp_path / "connections.yaml"
    (tmp_path / "token").write_text("s3cret-token")
    credentials = f"authorization: {{credentialsFile: '{tmp_path}/token'}}"
    file.write_text(f"connections: {{eu: {{url: '{url}', {credentials}}}}}")
    options = ["-n", "ai", "--since", "59h", "-o", "json", "--jobs", "1", "--rules", "none"]
    assert run(["memroll", "backtest", "--connections", str(file), "--connection", "eu", *options]) == 0
    assert len(json.loads(capsys.readouterr().out)["traces"]) > 1
    assert run(["memroll", "backtest", "--connections", str(file), *options]) == 2
    assert "'default'" in capsys.readouterr().err


class _At:
    def __init__(self, seconds):
        self.timestamp = lambda: seconds


def backtest(*arguments):
    return run(["memroll", "backtest", *arguments])


def test_an_unreachable_server_ends_with_1(capsys):
    assert backtest("--prometheus", "http://127.0.0.1:9", "-n", "ai") == 1
    assert "127.0.0.1:9 refused the connection" in capsys.readouterr().err
    with pytest.raises(PrometheusUnavailableError):
        read("http://127.0.0.1:9")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--prometheus", "http://127.0.0.1:9"], "--prometheus needs -n NAME"),
        (["--prometheus", "127.0.0.1:9", "-n", "ai"], "--prometheus must start with http:// or https://"),
        (["--prometheus", "http://me:secret@host", "-n", "ai"], "must not hold a user or password"),
    ],
)
def test_a_wrong_address_ends_with_2_and_repeats_no_secret(arguments, words, capsys):
    assert backtest(*arguments) == 2
    printed = capsys.readouterr().err
    assert words in printed
    assert "secret" not in printed


@pytest.mark.parametrize("since", ["0d", "366d", "1w", "-3d", "0s"])
def test_a_wrong_time_back_is_refused(since, capsys):
    assert backtest("--prometheus", "http://h", "-n", "ai", f"--since={since}") == 2
    assert repr(since) in capsys.readouterr().err
