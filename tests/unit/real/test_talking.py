from __future__ import annotations

import json
import threading
import urllib.error
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from memroll_real import chatchat, langflow, talking
from memroll_real.talking import WrongAnswer, ask


class Server(ThreadingHTTPServer):
    """Answers by method and path as a test says, and notes who asked what over which connection."""

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.answers: dict[str, Any] = {}
        self.asked: list[tuple[str, Any]] = []
        self.peers: list[int] = []
        self.headers: list[dict[str, str]] = []
        self.closes = False

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
        server, what = self.server, f"{self.command} {self.path.partition('?')[0]}"
        server.asked.append((what, body))
        server.peers.append(self.client_address[1])
        server.headers.append(dict(self.headers))
        answer = server.answers.get(what)
        content = json.dumps(answer(body) if callable(answer) else answer).encode()
        self.send_response(200 if what in server.answers else 404)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)
        self.close_connection = self.close_connection or server.closes

    def log_message(self, *_: Any) -> None:
        pass


@pytest.fixture
def server():
    with Server() as opened:
        threading.Thread(target=opened.serve_forever, args=(0.01,), daemon=True).start()
        yield opened
        opened.shutdown()


def test_a_kept_connection_is_used_again_and_another_is_not(server):
    server.answers["GET /a"] = 1
    assert [ask(f"{server.url}/a", keep=True) for _ in range(3)] == [1, 1, 1]
    assert len(set(server.peers)) == 1
    assert [ask(f"{server.url}/a") for _ in range(2)] == [1, 1]
    assert len(set(server.peers)) == 3


@pytest.mark.parametrize("why", ["closed by the server", "idle for too long"])
def test_a_connection_that_is_no_good_any_more_is_opened_again(server, monkeypatch, why):
    server.answers["GET /a"] = 1
    server.closes = why == "closed by the server"
    if not server.closes:
        monkeypatch.setattr(talking, "REUSED_WITHIN_S", -1.0)
    ask(f"{server.url}/a", keep=True)
    if server.closes:
        (_, connection), *_ = talking._KEPT._idle[f"127.0.0.1:{server.server_address[1]}"]
        connection.sock.settimeout(5)
        assert connection.sock.recv(1, 2) == b"", "the server has closed it"  # 2: MSG_PEEK
    assert ask(f"{server.url}/a", keep=True) == 1
    assert len(set(server.peers)) == 2


def test_a_status_of_failure_is_one(server):
    with pytest.raises(urllib.error.HTTPError) as refused:
        ask(f"{server.url}/nothing", keep=True)
    assert refused.value.code == 404


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
    """Return a server that answers as LangFlow does, and says what it was asked."""
    server.answers |= {
        "GET /api/v1/auto_login": {"access_token": "t0ken"},
        "GET /api/v1/all": components(),
        "POST /api/v1/api_key/": {"api_key": "k3y"},
        "POST /api/v1/flows/": {"id": "f1"},
        "POST /api/v1/run/f1": lambda body: replied(f"History: {body['input_value']}", body["session_id"]),
    }
    return server


def test_a_chat_is_set_up_once_and_then_talked_to(flows):
    for _ in range(4):
        langflow.visit(f"{flows.url}/")
    what = [path for path, _ in flows.asked]
    assert what[:4] == ["GET /api/v1/auto_login", "GET /api/v1/all", "POST /api/v1/api_key/", "POST /api/v1/flows/"]
    assert what[4:] == ["POST /api/v1/run/f1"] * 4
    assert {h.get("x-api-key") for h in flows.headers[4:]} == {"k3y"}
    sessions = [body["session_id"] for _, body in flows.asked[4:]]
    assert len(set(sessions)) == 2, "a user comes back"
    assert 1 < len(set(flows.peers[4:])) < 4, "kept connections and others"


@pytest.mark.parametrize("prompt", ["Prompt", "Prompt Template"])
def test_the_flow_leads_from_the_question_and_the_history_to_the_answer(prompt):
    known = {name: c for kind in components(prompt).values() for name, c in kind.items()}
    built = langflow.flow(known)
    assert [(e["source"], e["data"]["targetHandle"]["fieldName"], e["target"]) for e in built["edges"]] == [
        ("Memory", "history", prompt),
        ("ChatInput", "question", prompt),
        (prompt, "input_value", "ChatOutput"),
    ]
    for edge in built["edges"]:
        assert json.loads(edge["sourceHandle"].replace("œ", '"')) == edge["data"]["sourceHandle"]
    (node,) = [n for n in built["nodes"] if n["id"] == prompt]
    assert node["data"]["node"]["template"]["template"]["value"] == langflow.PROMPT
    assert "history" not in known[prompt]["template"], "the templates are not changed"


WRONG: list[Any] = [
    pytest.param(lambda body: replied("something else", body["session_id"]), id="to another question"),
    pytest.param(lambda body: replied(body["input_value"], "another"), id="in another session"),
    pytest.param(lambda _: {"session_id": "s", "outputs": []}, id="without a message"),
    pytest.param(lambda _: {"detail": "no"}, id="of another kind"),
]


@pytest.mark.parametrize("answer", WRONG)
def test_an_answer_that_is_not_the_one_to_the_question_is_a_failure(flows, answer):
    flows.answers["POST /api/v1/run/f1"] = answer
    with pytest.raises(WrongAnswer):
        langflow.visit(flows.url)


def test_a_set_up_that_failed_is_tried_again_by_the_next_visit(flows):
    templates = flows.answers.pop("GET /api/v1/all")
    with pytest.raises(urllib.error.HTTPError):
        langflow.visit(flows.url)
    flows.answers["GET /api/v1/all"] = templates
    langflow.visit(flows.url)
    assert flows.asked[-1][0] == "POST /api/v1/run/f1"


@pytest.fixture
def chats(server):
    server.answers |= {
        "GET /tools": {"code": 200, "data": {"calculate": {}}},
        "POST /tools/call": lambda body: {"code": 200, "data": str(eval(body["tool_input"]["text"]))},
        "GET /knowledge_base/list_knowledge_bases": {"code": 200, "data": []},
        "POST /server/get_prompt_template": {"code": 200, "data": "{{context}}"},
    }
    return server


def test_every_kind_of_visit_takes_its_turn_over_both_kinds_of_connection(chats):
    for _ in range(4 * len(chatchat.VISITS)):
        chatchat.visit(chats.url)
    by_kind: dict[str, set[str]] = {}
    for (what, _), headers in zip(chats.asked, chats.headers, strict=True):
        by_kind.setdefault(what, set()).add(headers.get("Connection", "kept"))
    assert by_kind == {what: {"close", "kept"} for what in chats.answers}


@pytest.mark.parametrize("answer", [{"code": 500, "msg": "no tool named 'calculate'"}, {"code": 200, "data": "41"}, {}])
def test_an_answer_that_says_it_is_none_is_a_failure(chats, answer):
    chats.answers["POST /tools/call"] = answer
    with pytest.raises(WrongAnswer):
        chatchat.calculate(chats.url, 6)
