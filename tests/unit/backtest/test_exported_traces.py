"""Traces that other tools export: responses of query_range, and CSV files of Grafana."""

from __future__ import annotations

import json
import os

import pytest

from memroll.backtest import exported_traces
from memroll.backtest.exported_traces import labels_of
from memroll.errors import TerminalError

POD = {"namespace": "ai", "pod": "chat-7d4b9c5f6-x7k2p", "container": "app", "name": "c0ffee"}
RSS, WORKING_SET = "container_memory_rss", "container_memory_working_set_bytes"
LIMITS = "kube_pod_container_resource_limits"


def series(metric: str, values, **labels):
    name = {"__name__": metric} if metric else {}
    return {"metric": {**name, **POD, **labels}, "values": values}


def response(*result) -> str:
    return json.dumps({"status": "success", "data": {"resultType": "matrix", "result": list(result)}})


def write(path, text: str):
    path.write_text(text)
    return path


SAMPLES = [[1772366400, "100"], [1772366460, "NaN"], [1772366520.5, "300"]]


def test_rss_working_set_and_limit_of_a_container_are_joined(tmp_path):
    limit = series(LIMITS, [[1772366400, "1000"]], name="", resource="memory", job="kube-state-metrics")
    cpu = series(LIMITS, [[1772366400, "2"]], name="", resource="cpu")
    file = write(
        tmp_path / "a.json", response(series(RSS, SAMPLES), series(WORKING_SET, [[1772366400, "995"]]), limit, cpu)
    )
    (trace,) = exported_traces.read(file, None)
    assert (trace.name, trace.workload) == ("chat-7d4b9c5f6-x7k2p/app", "chat")
    assert trace.history.rss.times_s.tolist() == [1772366400, 1772366520.5]
    assert trace.history.rss.values.tolist() == [100, 300]
    assert (trace.history.limit_bytes, trace.oom_s) == (1000, 1772366400)


def test_the_files_of_a_folder_are_joined(tmp_path):
    write(tmp_path / "rss.json", response(series(RSS, SAMPLES)))
    write(tmp_path / "ws.json", response(series(WORKING_SET, SAMPLES)))
    assert exported_traces.can_read(tmp_path)
    (trace,) = exported_traces.read(tmp_path, 500)
    assert (trace.history.limit_bytes, trace.oom_s) == (500, None)
    (tmp_path / "MANIFEST.csv").write_text("")
    assert not exported_traces.can_read(tmp_path), "a folder with a manifest has its own format"


def test_a_result_without_a_metric_name_is_the_memory_of_the_container(tmp_path):
    file = write(tmp_path / "a.json", response(series("", SAMPLES)))
    (trace,) = exported_traces.read(file, 1000)
    assert trace.has_memory
    assert trace.history.working_set.values.tolist() == [100, 300]


def test_only_a_working_set_has_no_rss(tmp_path):
    file = write(tmp_path / "a.json", response(series(WORKING_SET, SAMPLES)))
    (trace,) = exported_traces.read(file, 1000)
    assert (len(trace.history.rss), len(trace.history.working_set)) == (0, 2)


GRAFANA = 'Time,"{container=""app"", pod=""web-1""}",other\n'


def test_a_csv_file_of_grafana_is_read(tmp_path):
    text = f"sep=,\n{GRAFANA}2026-03-01 12:00:00,104 MiB,\n2026-03-01 12:01:00,105 MiB,5 MiB\n"
    web, other = exported_traces.read(write(tmp_path / "a.csv", text), 2**30)[::-1]
    assert (web.name, web.workload, other.name, other.workload) == ("web-1/app", "web", "other", "")
    assert web.history.rss.values.tolist() == [104 * 2**20, 105 * 2**20]
    assert other.history.rss.times_s.tolist() == [1772366460]


def test_times_of_grafana_may_be_milliseconds(tmp_path):
    text = "Time;a\n1772366400000;1\n1772366460000;2\n"
    (trace,) = exported_traces.read(write(tmp_path / "a.csv", text), None)
    assert trace.history.rss.times_s.tolist() == [1772366400, 1772366460]


@pytest.mark.parametrize(
    ("title", "labels"),
    [
        ("web", {"name": "web"}),
        ('{pod="a", container="b"}', {"pod": "a", "container": "b"}),
        ('container_memory_rss{pod="a\\"b"}', {"__name__": "container_memory_rss", "pod": 'a"b'}),
        ("{}", {}),
    ],
)
def test_the_title_of_a_column_may_have_labels(title, labels):
    assert labels_of(title) == labels


INVALID = {
    "not.json": ("{", "not JSON"),
    "vector.json": ('{"data": {"resultType": "vector", "result": []}}', "must be a response of query_range"),
    "list.json": ("[]", "must be a response of query_range"),
    "empty.json": (response(), "no series of memory: export container_memory_rss"),
    "bare.json": (response({"metric": {}}), "series 1: must have metric and values"),
    "text.json": (response(series(RSS, [[1, "x"]])), "series 1: [1, 'x'] must be a time and a number"),
    "one.json": (response(series(RSS, [5])), "series 1: 5 must be a time and a number"),
    "back.json": (response(series(RSS, [[2, "1"], [1, "1"]])), "the times of a series must increase"),
    "ms.json": (response(series(RSS, [[1772366400000, "1"]])), "the times are milliseconds"),
    "cpu.json": (response(series("container_cpu_usage_seconds_total", SAMPLES)), "is not a metric of memory"),
    "nan.json": (response(series(RSS, [[1, "NaN"]])), "has no sample that is a number of bytes"),
    "twice.json": (
        response(series(RSS, SAMPLES), series(RSS, SAMPLES, cluster="x")),
        "two series container_memory_rss",
    ),
    "time.csv": ("Time,a\nsoon,1\n", "line 2: 'soon' must be a time"),
    "value.csv": ("Time,a\n2026-03-01,12 parsecs\n", "line 2, a: '12 parsecs' must be a number of bytes"),
    "head.csv": ("Time,a\n", "must have a column of times"),
    "one.csv": ("Time\n1\n", "must have a column of times"),
    "no.csv": ("", "must have a column of times"),
}


@pytest.mark.parametrize("name", INVALID)
def test_an_invalid_file_is_named_with_what_is_expected(name, tmp_path):
    text, words = INVALID[name]
    file = write(tmp_path / name, text)
    with pytest.raises(TerminalError) as caught:
        exported_traces.read(file, None)
    assert caught.value.message.startswith(f"{tmp_path}")
    assert words in caught.value.message


@pytest.mark.parametrize(
    ("header", "cells", "names"),
    [
        ("Series;Time;Value", "{pod};{at};{memory}", ["web-1", "web-2"]),
        ("Time;pod;container;Value", "{at};{pod};app;{memory}", ["web-1/app", "web-2/app"]),
    ],
)
def test_grafana_may_export_a_row_for_each_sample(header, cells, names, tmp_path):
    rows = [
        cells.format(pod=pod, at=f"2026-03-01 12:0{minute}:00", memory=f"{100 + minute} MiB")
        for pod in ("web-2", "web-1")
        for minute in (0, 1)
    ]
    found = exported_traces.read(write(tmp_path / "a.csv", "\ufeff" + "\r\n".join([header, *rows])), 2**30)
    assert [trace.name for trace in found] == names
    assert all(list(trace.history.rss.values / 2**20) == [100, 101] for trace in found)


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("a.csv", "Time,web-1,web-2\n2026-03-01 12:00:00,1,\n", "the column 'web-2' has no sample: leave it out"),
        ("a.csv", "Time,pod,Value\n2026-03-01 12:00:00,1\n", "line 2: 2 cells, must be 3 as in line 1"),
        ("a.json", '{"status": "error", "error": "parse error"}', "the response of Prometheus is an error: parse"),
    ],
)
def test_a_file_without_the_samples_of_a_series_is_refused(name, text, words, tmp_path):
    with pytest.raises(TerminalError, match=words):
        exported_traces.read(write(tmp_path / name, text), None)


def test_a_pipe_is_a_file(tmp_path):
    os.mkfifo(tmp_path / "pipe")
    assert exported_traces.can_read(tmp_path / "pipe")
    assert not exported_traces.can_read(tmp_path / "nowhere")
