from __future__ import annotations

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from memroll_demo import memory
from memroll_demo.cluster import DemoCluster
from memroll_demo.memory import ContainerLifetime

MIB = 2**20


def samples(pod: str, container: str, *mib: float, at_s: float = 0.0) -> dict[str, Any]:
    values = [[at_s + 60.0 * minute, str(value * MIB)] for minute, value in enumerate(mib)]
    return {"metric": {"pod": pod, "name": container}, "values": values}


ROWS = {
    "container_memory_rss": [
        samples("langflow-1-1-1-84f-a", "c1", 300, 700, 740, 780, 820),
        samples("langflow-1-1-1-84f-b", "c2", 300, 700, at_s=240),
        samples("langflow-1-13-0-77d-c", "c3", 800),
    ],
    "container_memory_working_set_bytes": [
        samples("langflow-1-1-1-84f-a", "c1", 310, 720, 750, 790, 850),
        samples("langflow-1-1-1-84f-b", "c2", 310, 720, at_s=240),
    ],
    "container_spec_memory_limit_bytes": [samples("langflow-1-1-1-84f-a", "c1", 1024, 1024)],
}


@pytest.fixture
def prometheus():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            (query,) = parse_qs(urlsplit(self.path).query)["query"]
            queries.append(query)
            content = json.dumps({"data": {"result": ROWS[query.partition("{")[0]]}}).encode()
            self.send_response(200)
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_: Any) -> None:
            pass

    queries: list[str] = []
    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}", queries
        server.shutdown()


def test_a_lifetime_is_read_from_the_first_sample_to_the_last(prometheus):
    url, queries = prometheus
    found = memory.read_lifetimes(DemoCluster("", url, "", "", "", local=True), "trial", 600)
    assert [lifetime.pod for lifetime in found] == ["langflow-1-1-1-84f-a", "langflow-1-1-1-84f-b"]
    assert found[0].to_dict() == {
        "service": "langflow-1-1-1",
        "pod": "langflow-1-1-1-84f-a",
        "minutes": 4.0,
        "rss_mib_first": 300,
        "rss_mib_last": 820,
        "working_set_mib_highest": 850,
        "limit_mib": 1024,
        "growth_mib_per_minute": 40.0,
    }
    assert all('namespace="trial"' in query and query.endswith("[600s]") for query in queries)


def lifetime(service: str, pod: str, mib: dict[float, tuple[float, float]], limit_mib: float) -> ContainerLifetime:
    """Return a lifetime from RSS and working set in MiB, by time."""
    rss = [(at_s, rss_mib * MIB) for at_s, (rss_mib, _) in mib.items()]
    working_set = [(at_s, working_set_mib * MIB) for at_s, (_, working_set_mib) in mib.items()]
    return ContainerLifetime(service, pod, rss, working_set, limit_mib * MIB)


LIFETIMES = [
    lifetime("old", "old-1-a", {0: (300, 320), 600: (900, 950)}, limit_mib=1024),
    lifetime("old", "old-1-b", {570: (300, 310), 900: (500, 510)}, limit_mib=0),
    lifetime("new", "new-1-c", {0: (800, 810), 900: (830, 840)}, limit_mib=1536),
]


def test_the_table_has_a_line_for_each_container():
    assert [re.split(r"\s{2,}", line.strip()) for line in memory.format_table(LIFETIMES).splitlines()] == [
        ["container of", "minutes", "RSS, MiB", "highest", "limit", "MiB a minute"],
        ["old-1-a", "10.0", "300 to 900", "950", "1024", "0.0"],
        ["old-1-b", "5.5", "300 to 500", "510", "0", "0.0"],
        ["new-1-c", "15.0", "800 to 830", "840", "1536", "0.0"],
    ]
    assert memory.format_table([]).startswith("container of")


def test_the_plot_names_each_service_and_is_reproducible(tmp_path):
    for name in ("a.svg", "sub/a.svg"):
        memory.draw(tmp_path / name, LIFETIMES)
    drawn = (tmp_path / "a.svg").read_text(encoding="utf-8")
    assert drawn == (tmp_path / "sub/a.svg").read_text(encoding="utf-8")
    assert re.findall(r">(old|new)<", drawn) == ["old", "new"]


def test_without_a_sample_nothing_is_drawn(tmp_path):
    memory.draw(tmp_path / "a.svg", [])
    assert list(tmp_path.iterdir()) == []
