from __future__ import annotations

import http.client
import socket
import threading

import pytest

from memroll_probe import http_server
from tests.unit.probe.harness import PATH, eventually, state_with


def get(port, path=PATH, method="GET", host="127.0.0.1", **headers):
    connection = http.client.HTTPConnection(host, port, timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_the_report_and_the_gauges_are_served():
    port = state_with().serve("127.0.0.1", 0)
    assert b'"schema":"memroll-probe/1"' in get(port)[1]
    assert b"memroll_probe_rss_bytes" in get(port, f"{PATH}/metrics")[1]
    assert get(port, f"{PATH}/start", "POST")[0] == 200
    assert get(port, "/anything")[0] == 404


def test_the_token_is_required():
    port = state_with(token="secret").serve("127.0.0.1", 0)
    assert get(port)[0] == 401
    assert get(port, Authorization="Bearer secret")[0] == 200


def test_without_a_host_both_address_families_are_served():
    port = state_with().serve("", 0)
    assert get(port)[0] == 200
    if socket.has_dualstack_ipv6():
        assert get(port, host="::1")[0] == 200


def test_a_port_that_is_taken_stops_nothing(caplog):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert state_with().serve("127.0.0.1", taken.getsockname()[1]) is None
    assert "cannot listen on port" in caplog.text


def test_the_probe_s_own_port_is_taken_over_when_its_worker_ends():
    with socket.create_server(("", 0)) as first:
        port = first.getsockname()[1]
        state = state_with(port=port, interval_s=0.0)
        state.sampler.run_due_jobs()
        assert state.sampler.errors() == ["port: OSError"]
    later = state_with(port=port, interval_s=0.0)
    later.sampler.run_due_jobs()
    assert get(port)[0] == 200


def test_the_number_of_threads_for_slow_clients_is_limited():
    server = http_server._bind("127.0.0.1", 0, http_server._make_handler(state_with()))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(http_server.MAX_CONNECTIONS * 3)]
    eventually(lambda: server._slots._value == 0)
    assert not server._slots.acquire(blocking=False)
    for connection in slow:
        connection.close()
    assert get(port)[0] == 200


def test_the_port_of_the_settings_is_served_once():
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    state = state_with(port=port, interval_s=0.0)
    assert state.serve("", 0) == port
    state.sampler.run_due_jobs()
    assert state.sampler.errors() == []


@pytest.mark.parametrize("raw", [b"\x00\xff\r\n\r\n", b"GET " + b"x" * 70_000 + b" HTTP/1.0\r\n\r\n", b"GET"])
def test_invalid_http_stops_nothing(raw):
    port = state_with().serve("127.0.0.1", 0)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(raw)
    assert get(port)[0] == 200
