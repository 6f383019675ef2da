"""API of the chat server: streamed answers, uploaded documents, and its memory usage.

HISTORY=endless|bounded  whether conversations and documents are kept forever; endless leaks
"""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from starlette.applications import Starlette
from starlette.responses import JSONResponse, PlainTextResponse, Response, StreamingResponse
from starlette.routing import Route

from memroll_systems.chatchat_like.conversations import Conversations
from memroll_systems.chatchat_like.knowledge import VectorStore
from memroll_systems.gauges import metrics_response, resident_bytes

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Mapping

    from starlette.requests import Request

    from memroll_systems.chatchat_like.conversations import Turn

PASSAGES = 12
WORD_S = 0.02


class ChatServer:
    """Handlers of the chat server's requests."""

    def __init__(self, *, bounded: bool) -> None:
        self.conversations = Conversations(bounded=bounded)
        self.store = VectorStore(bounded=bounded)
        self.turns = 0

    async def upload(self, request: Request) -> Response:
        body = await request.json()
        chunks = self.store.add(str(body["name"]), str(body["text"]))
        return JSONResponse({"name": body["name"], "chunks": chunks})

    async def chat(self, request: Request) -> Response:
        body = await request.json()
        passages = self.store.search(str(body["query"]), PASSAGES)
        turn = self.conversations.add_turn(str(body["conversation_id"]), str(body["query"]), passages)
        self.turns += 1
        return StreamingResponse(_stream(turn), media_type="text/event-stream")

    async def memory(self, _: Request) -> Response:
        """Return the service's own count of the memory that it keeps."""
        turns, chunks = list(self.conversations.turns()), self.store.chunks()
        usage = {
            "rssBytes": resident_bytes(),
            "sessions": len(self.conversations),
            "turns": len(turns),
            "turnBytes": sum(len(t.prompt) + len(t.question) for t in turns),
            "documents": len(self.store),
            "documentBytes": sum(len(c.text) + c.vector.itemsize * len(c.vector) for c in chunks),
        }
        return JSONResponse(usage)

    async def health(self, _: Request) -> Response:
        return PlainTextResponse("ok\n")

    async def metrics(self, _: Request) -> Response:
        return metrics_response(
            chat_turns=self.turns, chat_sessions=len(self.conversations), chat_documents=len(self.store)
        )


async def _stream(turn: Turn) -> AsyncIterator[str]:
    """Yield the answer word by word, and a marker of its end."""
    for word in ("I", "have", "read", str(len(turn.prompt)), "characters"):
        yield f"data: {json.dumps({'text': word})}\n\n"
        await asyncio.sleep(WORD_S)
    yield "data: [DONE]\n\n"


def create(environment: Mapping[str, str]) -> Starlette:
    server = ChatServer(bounded=environment.get("HISTORY", "endless") == "bounded")
    return Starlette(
        routes=[
            Route("/chat/completions", server.chat, methods=["POST"]),
            Route("/knowledge_base/upload_temp_docs", server.upload, methods=["POST"]),
            Route("/memory", server.memory),
            Route("/healthz", server.health),
            Route("/metrics", server.metrics),
        ]
    )
