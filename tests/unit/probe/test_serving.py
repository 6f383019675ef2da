from __future__ import annotations

import http.client
import socket
import threading

import pytest

from memroll_probe import serving
from tests.unit.probe.driving import PATH, eventually, watch_with


def get(port, path=PATH, method="GET", host="127.0.0.1", **headers):
    connection = http.client.HTTPConnection(host, port, timeout=10)
    connection.request(method, path, headers=headers)
    answer = connection.getresponse()
    found = answer.status, answer.read()
    connection.close()
    return found


def test_the_report_and_the_gauges_are_served():
    port = watch_with().serve("127.0.0.1", 0)
    assert b'"schema":"memroll-probe/1"' in get(port)[1]
    assert b"memroll_probe_rss_bytes" in get(port, f"{PATH}/metrics")[1]
    assert get(port, f"{PATH}/start", "POST")[0] == 200
    assert get(port, "/anything")[0] == 404


def test_the_token_is_asked_for_here_too():
    port = watch_with(token="secret").serve("127.0.0.1", 0)
    assert get(port)[0] == 401
    assert get(port, Authorization="Bearer secret")[0] == 200


def test_without_a_host_both_address_families_are_served():
    port = watch_with().serve("", 0)
    assert get(port)[0] == 200
    if socket.has_dualstack_ipv6():
        assert get(port, host="::1")[0] == 200


def test_a_port_that_is_taken_stops_nothing(caplog):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        assert watch_with().serve("127.0.0.1", taken.getsockname()[1]) is None
    assert "cannot listen on port" in caplog.text


def test_a_port_of_its_own_is_taken_over_when_its_worker_ends():
    with socket.create_server(("", 0)) as first:
        port = first.getsockname()[1]
        watch = watch_with(port=port, interval_s=0.0)
        watch.looker.step()
        assert watch.looker.troubles() == ["port: OSError"]
    later = watch_with(port=port, interval_s=0.0)
    later.looker.step()
    assert get(port)[0] == 200


def test_slow_clients_hold_only_so_many_threads():
    server = serving._bound("127.0.0.1", 0, serving._handler(watch_with()))
    threading.Thread(target=server.serve_forever, daemon=True).start()
    port = server.server_address[1]
    slow = [socket.create_connection(("127.0.0.1", port)) for _ in range(serving.MOST_AT_ONCE * 3)]
    eventually(lambda: server._places._value == 0)
    assert not server._places.acquire(blocking=False)
    for connection in slow:
        connection.close()
    assert get(port)[0] == 200


def test_the_port_of_the_settings_is_served_once():
    with socket.create_server(("", 0)) as free:
        port = free.getsockname()[1]
    watch = watch_with(port=port, interval_s=0.0)
    assert watch.serve("", 0) == port
    watch.looker.step()
    assert watch.looker.troubles() == []


@pytest.mark.parametrize("raw", [b"\x00\xff\r\n\r\n", b"GET " + b"x" * 70_000 + b" HTTP/1.0\r\n\r\n", b"GET"])
def test_what_is_not_http_stops_nothing(raw):
    port = watch_with().serve("127.0.0.1", 0)
    with socket.create_connection(("127.0.0.1", port)) as connection:
        connection.sendall(raw)
    assert get(port)[0] == 200
