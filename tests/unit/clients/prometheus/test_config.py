from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from memroll.clients.prometheus.config import Connection, Connections, load
from memroll.errors import TerminalError

if TYPE_CHECKING:
    from pathlib import Path

FULL = """
connections:
  default:
    url: https://prometheus.monitoring:9090/prometheus/
    method: GET
    authorization: {credentialsFile: /etc/memroll/prometheus/token}
    tls: {caFile: /ca.pem, certFile: /tls.crt, keyFile: /tls.key, serverName: prometheus, insecureSkipVerify: false}
    headers: {X-Scope-OrgID: tenant-1}
    queryParams: {namespace: ai}
    matchLabels: {cluster: prod-eu, _shard: "1"}
    timeoutSeconds: 12.5
  other:
    url: http://127.0.0.1:9090
    basicAuth: {username: reader, passwordFile: /etc/memroll/prometheus/password}
"""


def loaded(folder: Path, text: str) -> Connections:
    (folder / "connections.yaml").write_text(text)
    return load(folder / "connections.yaml")


def test_reads_every_field(tmp_path: Path) -> None:
    connections = loaded(tmp_path, FULL)
    found = connections.get("default")
    assert found.url == "https://prometheus.monitoring:9090/prometheus"
    assert found.host == "prometheus.monitoring:9090"
    assert [str(f) for f in found.files()] == ["/etc/memroll/prometheus/token", "/ca.pem", "/tls.crt", "/tls.key"]
    assert (found.headers, found.query_params) == ({"X-Scope-OrgID": "tenant-1"}, {"namespace": "ai"})
    assert found.match_labels == {"cluster": "prod-eu", "_shard": "1"}
    assert (found.timeout_seconds, found.method) == (12.5, "GET")
    assert [str(f) for f in connections.get("other").files()] == ["/etc/memroll/prometheus/password"]


def test_defaults_are_the_safe_ones() -> None:
    found = Connection(url="https://p")
    assert (found.tls.insecure_skip_verify, found.authorization, found.timeout_seconds) == (False, None, 20.0)
    assert found.method == "POST", "a URL ends up in the logs of every proxy"


@pytest.mark.parametrize("text", ["", "connections: {}", "# nothing yet"])
def test_no_connections_are_no_error_until_one_is_used(tmp_path: Path, text: str) -> None:
    with pytest.raises(
        TerminalError, match="ConnectionNotFound: there is no connection 'default'; connections are: none"
    ):
        loaded(tmp_path, text).get("default")


def test_the_error_for_an_unknown_name_lists_the_known_ones(tmp_path: Path) -> None:
    with pytest.raises(TerminalError) as caught:
        loaded(tmp_path, FULL).get("thanos")
    assert str(caught.value) == "ConnectionNotFound: there is no connection 'thanos'; connections are: default, other"


FIELDS = [
    pytest.param("authorization: {credentialsFile: /t}, basicAuth: {username: u, passwordFile: /p}, url: 'http://p'",
                 "authorization and basicAuth exclude each other: give one", id="two ways to authenticate"),
    pytest.param("url: 'http://me:s3cr3t@p'", "url: must not hold a user or password", id="a password in the url"),
    pytest.param("url: 'ftp://p'", "url: must start with http:// or https://", id="another scheme"),
    pytest.param("url: 'http://p/?token=s3cr3t'", "url: must not hold a query", id="a query"),
    pytest.param("url: 'http://p/#s3cr3t'", "url: must not hold a query or fragment", id="a fragment"),
    pytest.param("url: 'http://p:s3cr3t'", "url: is not a URL with a valid host and port", id="a port of letters"),
    pytest.param("url: 'http://p:99999'", "url: is not a URL with a valid host and port", id="a port too high"),
    pytest.param("url: 'http://[s3cr3t'", "url: is not a URL with a valid host and port", id="an incomplete address"),
    pytest.param("url: 'http://:9090'", "url: is not a URL with a valid host and port", id="no host"),
    pytest.param('url: "http://p\\n.s3cr3t"', "url: must not hold blanks", id="a line break"),
    pytest.param("{}", "url: Field required", id="no url"),
    pytest.param("url: 'http://p', password: s3cr3t", "password: Extra inputs are not permitted", id="unknown field"),
    pytest.param("url: 'https://p', tls: {certFile: /c}", "certFile and keyFile belong together", id="one of a pair"),
    pytest.param("url: 'http://p', tls: {caFile: /c}", "tls needs a url that starts with https://", id="tls unused"),
    pytest.param("url: 'https://p', tls: {caFile: /c, insecureSkipVerify: true}", "makes caFile and serverName void",
                 id="contradicting verification"),
    pytest.param("url: 'http://p', headers: {authorization: s3cr3t}", "is not free", id="a header for credentials"),
    pytest.param("url: 'http://p', headers: {X-A: \"a\\r\\nX-B: s3cr3t\"}", "headers.X-A: String should match pattern",
                 id="a line break in a header"),
    pytest.param("url: 'http://p', queryParams: {query: s3cr3t}", "the parameter query is set by memroll itself",
                 id="another query"),
    pytest.param("url: 'http://p', matchLabels: {a-b: s3cr3t}", "matchLabels.a-b.[key]: String should match pattern",
                 id="no label name"),
    pytest.param("url: 'http://p', matchLabels: {namespace: s3cr3t}", "the label namespace is matched by memroll",
                 id="the label of the namespace"),
    pytest.param("url: 'http://p', matchLabels: {__name__: s3cr3t}", "the label __name__ is matched by memroll",
                 id="the name of the metric"),
    pytest.param("url: 'http://p', matchLabels: {cluster: ''}", "matchLabels.cluster: String should match pattern",
                 id="a label without a value"),
    pytest.param('url: "http://p", matchLabels: {cluster: "s3cr3t\\n"}', "matchLabels.cluster: String should match",
                 id="a line break in a label"),
    pytest.param("url: 'http://p', matchLabels: {cluster: 1}", "matchLabels.cluster: Input should be a valid string",
                 id="a number as a label"),
    pytest.param("url: 'http://p', method: s3cr3t", "method: Input should be 'GET' or 'POST'", id="another method"),
    pytest.param("url: 'http://p', queryParams: {stats: s3cr3t}", "the parameter stats is set by", id="statistics"),
    pytest.param("url: 'http://p', queryParams: {latency_offset: s3cr3t}", "the parameter latency_offset is set by",
                 id="another offset"),
    pytest.param("url: 'http://p', timeoutSeconds: .inf", "timeoutSeconds: Input should be", id="no timeout"),
    pytest.param("url: 'http://p', timeoutSeconds: 0", "timeoutSeconds: Input should be greater", id="timeout of 0"),
]  # fmt: skip


@pytest.mark.parametrize(("fields", "text"), FIELDS)
def test_the_error_names_the_field_and_not_its_value(tmp_path: Path, fields: str, text: str) -> None:
    with pytest.raises(TerminalError) as caught:
        loaded(tmp_path, f"connections: {{default: {{{fields.removeprefix('{}')}}}}}")
    assert caught.value.reason == "ConnectionInvalid"
    assert text in caught.value.message
    assert "connections.default" in caught.value.message
    assert "s3cr3t" not in caught.value.message


FILES = [
    pytest.param("connections: [s3cr3t", "not valid YAML in line 1", id="broken YAML"),
    pytest.param("- s3cr3t", "file: Input should be a valid dictionary", id="a list"),
    pytest.param("s3cr3t", "file: Input should be a valid dictionary", id="a word"),
    pytest.param("a: !!python/object:os.system s3cr3t", "not valid YAML in line 1", id="a tag that runs code"),
    pytest.param("connections: {No Such Name: {url: 'http://p'}}", "No Such Name", id="a name no policy can hold"),
    pytest.param("\x00", "not valid YAML in UTF-8", id="bytes"),
]


@pytest.mark.parametrize(("content", "text"), FILES)
def test_the_error_names_the_file_and_not_its_content(tmp_path: Path, content: str, text: str) -> None:
    with pytest.raises(TerminalError) as caught:
        loaded(tmp_path, content)
    assert caught.value.reason == "ConnectionInvalid"
    assert str(tmp_path / "connections.yaml") in caught.value.message
    assert text in caught.value.message
    assert "s3cr3t" not in caught.value.message


def test_many_errors_are_counted(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match=r"and 2 more$"):
        loaded(tmp_path, "connections: {" + ", ".join(f"c{n}: {{}}" for n in range(7)) + "}")


def test_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(TerminalError, match="No such file or directory"):
        load(tmp_path / "none.yaml")
