from __future__ import annotations

import http.client
import json
import threading
import urllib.error
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from memroll_real import chatchat, langflow
from memroll_real.json_client import JsonConnection, UnexpectedResponseError


class Server(ThreadingHTTPServer):
    """Server with responses by method and path, set by a test; records requests and their connections."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Any] = {}
        self.requests: list[tuple[str, Any]] = []
        self.peers: list[int] = []
        self.headers: list[dict[str, str]] = []
        self.cuts = False

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def do_GET(self) -> None:
        self._answer(None)

    def do_POST(self) -> None:
        self._answer(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))

    def _answer(self, body: Any) -> None:
        server, request = self.server, f"{self.command} {self.path.partition('?')[0]}"
        server.requests.append((request, body))
        server.peers.append(self.client_address[1])
        server.headers.append(dict(self.headers))
        if server.cuts:
            self.close_connection = True
            return
        answer = server.answers.get(request)
        content = json.dumps(answer(body) if callable(answer) else answer).encode()
        self.send_response(200 if request in server.answers else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server():
    with Server() as opened:
        threading.Thread(target=opened.serve_forever, args=(0.01,), daemon=True).start()
        yield opened
        opened.shutdown()


def test_requests_of_one_client_share_a_connection(server):
    server.answers["GET /a"] = 1
    for _ in range(2):
        with JsonConnection(server.url) as connection:
            assert [connection.request("/a") for _ in range(3)] == [1, 1, 1]
    assert [len(set(server.peers[part])) for part in (slice(3), slice(3, 6), slice(6))] == [1, 1, 2]


def test_an_error_status_is_an_error(server):
    with JsonConnection(server.url) as connection, pytest.raises(urllib.error.HTTPError) as refused:
        connection.request("/nothing")
    assert refused.value.code == 404


def test_a_connection_closed_by_the_server_is_an_error(server):
    server.cuts = True
    with JsonConnection(server.url) as connection, pytest.raises(http.client.RemoteDisconnected):
        connection.request("/a")


def component(outputs, **fields):
    template = {name: {"input_types": ["Message"], "type": "str"} for name in fields}
    return {"outputs": [{"name": name, "types": ["Message"]} for name in outputs], "template": template | fields}


def components(prompt="Prompt"):
    return {
        "inputs": {"ChatInput": component(["message"])},
        "helpers": {"Memory": component(["messages", "messages_text"])},
        "prompts": {prompt: component(["prompt"], template={"value": ""})},
        "outputs": {"ChatOutput": component(["message"], input_value={"input_types": ["Message"], "type": "other"})},
    }


def replied(text, session):
    return {"session_id": session, "outputs": [{"outputs": [{"results": {"message": {"text": text}}}]}]}


@pytest.fixture
def flows(server):
    """Return a server that responds like LangFlow, and records its requests."""
    server.answers |= {
        "GET /api/v1/auto_login": {"access_token": "t0ken"},
        "GET /api/v1/all": components(),
        "POST /api/v1/api_key/": {"api_key": "k3y"},
        "POST /api/v1/flows/": {"id": "f1"},
        "POST /api/v1/run/f1": lambda body: replied(f"History: {body['input_value']}", body["session_id"]),
    }
    return server


def test_a_chat_is_created_once_and_then_used(flows):
    for _ in range(2):
        langflow.visit(f"{flows.url}/")
    requests = [path for path, _ in flows.requests]
    assert requests[:4] == ["GET /api/v1/auto_login", "GET /api/v1/all", "POST /api/v1/api_key/", "POST /api/v1/flows/"]
    assert requests[4:] == ["POST /api/v1/run/f1"] * 2 * langflow.QUESTIONS
    assert {h.get("Authorization") for h in flows.headers[1:4]} == {"Bearer t0ken"}
    assert {h.get("x-api-key") for h in flows.headers[4:]} == {"k3y"}
    sessions = [body["session_id"] for _, body in flows.requests[4:]]
    assert sessions == sorted(sessions)
    assert len(set(sessions)) == len(set(flows.peers)) == 2, "a session is a connection"


@pytest.mark.parametrize("prompt", ["Prompt", "Prompt Template"])
def test_the_flow_connects_question_and_history_to_the_answer(prompt):
    templates = {name: c for kind in components(prompt).values() for name, c in kind.items()}
    built = langflow.build_flow(templates)
    assert [(e["source"], e["data"]["targetHandle"]["fieldName"], e["target"]) for e in built["edges"]] == [
        ("Memory", "history", prompt),
        ("ChatInput", "question", prompt),
        (prompt, "input_value", "ChatOutput"),
    ]
    for edge in built["edges"]:
        assert json.loads(edge["sourceHandle"].replace("œ", '"')) == edge["data"]["sourceHandle"]
    (node,) = [n for n in built["nodes"] if n["id"] == prompt]
    assert node["data"]["node"]["template"]["template"]["value"] == langflow.PROMPT
    assert "history" not in templates[prompt]["template"], "the templates are not modified"


WRONG: list[Any] = [
    pytest.param(lambda body: replied("something else", body["session_id"]), id="to another question"),
    pytest.param(lambda body: replied(body["input_value"], "another"), id="in another session"),
    pytest.param(lambda _: {"session_id": "s", "outputs": []}, id="without a message"),
    pytest.param(lambda _: {"detail": "no"}, id="of another kind"),
]


@pytest.mark.parametrize("answer", WRONG)
def test_an_answer_to_another_question_is_an_error(flows, answer):
    flows.answers["POST /api/v1/run/f1"] = answer
    with pytest.raises(UnexpectedResponseError):
        langflow.visit(flows.url)


def test_the_next_visit_retries_a_failed_creation(flows):
    templates = flows.answers.pop("GET /api/v1/all")
    with pytest.raises(urllib.error.HTTPError):
        langflow.visit(flows.url)
    flows.answers["GET /api/v1/all"] = templates
    langflow.visit(flows.url)
    assert flows.requests[-1][0] == "POST /api/v1/run/f1"


@pytest.fixture
def chats(server):
    server.answers |= {
        "GET /tools": {"code": 200, "data": {"calculate": {}}},
        "GET /knowledge_base/list_knowledge_bases": {"code": 200, "data": []},
        "POST /server/get_prompt_template": {"code": 200, "data": "{{context}}"},
    }
    return server


def test_a_visit_sends_all_requests_that_need_no_model(chats):
    chatchat.visit(chats.url)
    assert [request for request, _ in chats.requests] == list(chats.answers)
    assert len(set(chats.peers)) == 1


@pytest.mark.parametrize("answer", [{"code": 500, "msg": "no tools"}, {"code": 200, "data": {}}, {}])
def test_a_response_with_an_error_code_is_an_error(chats, answer):
    chats.answers["GET /tools"] = answer
    with pytest.raises(UnexpectedResponseError):
        chatchat.visit(chats.url)
