"""Vector store in memory for documents that users upload for one chat, and that are never removed."""

from __future__ import annotations

import hashlib
from array import array
from collections import OrderedDict
from dataclasses import dataclass

DIMENSIONS = 256
CHUNK_CHARS = 4096
MAX_DOCUMENTS = 5


@dataclass(frozen=True, slots=True)
class Chunk:
    text: str
    vector: array[float]


def embed(text: str) -> array[float]:
    """Return a vector that depends on the text only; it has no meaning, unlike that of a model."""
    numbers = hashlib.shake_128(text.encode()).digest(DIMENSIONS)
    return array("f", (number / 255 for number in numbers))


class VectorStore:
    """Documents by name, in chunks. If bounded, the oldest documents are discarded."""

    def __init__(self, *, bounded: bool) -> None:
        self._documents: OrderedDict[str, list[Chunk]] = OrderedDict()
        self._max_documents = MAX_DOCUMENTS if bounded else None

    def __len__(self) -> int:
        return len(self._documents)

    def chunks(self) -> list[Chunk]:
        return [chunk for chunks in self._documents.values() for chunk in chunks]

    def add(self, name: str, text: str) -> int:
        """Store a document; return its number of chunks."""
        parts = [text[start : start + CHUNK_CHARS] for start in range(0, len(text), CHUNK_CHARS)]
        self._documents[name] = [Chunk(part, embed(part)) for part in parts]
        if self._max_documents is not None and len(self._documents) > self._max_documents:
            self._documents.popitem(last=False)
        return len(parts)

    def search(self, question: str, count: int) -> list[str]:
        """Return the texts of the newest document's chunks that are most similar to a question."""
        vector = embed(question)
        newest = next(reversed(self._documents.values()), [])
        nearest = sorted(newest, key=lambda chunk: -_similarity(vector, chunk.vector))
        return [chunk.text for chunk in nearest[:count]]


def _similarity(one: array[float], other: array[float]) -> float:
    return sum(a * b for a, b in zip(one, other, strict=True))
