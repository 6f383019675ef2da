"""Chromium without a window, driven by its DevTools protocol: width, colour scheme, and the picture of a page.

Its own flag for screenshots has neither a width below 500 pixels nor a colour scheme.
"""

from __future__ import annotations

import asyncio
import base64
import tempfile
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import TYPE_CHECKING, Any

import aiohttp

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterator
    from pathlib import Path

START_TIMEOUT_S = 60.0
FLAGS = ("--headless=new", "--no-sandbox", "--hide-scrollbars", "--remote-debugging-port=0", "--disable-gpu")
MAX_MESSAGE_BYTES = 256 * 2**20
OVERFLOW = "document.scrollingElement.scrollWidth - document.scrollingElement.clientWidth"
"""JavaScript for the number of pixels by which a page is wider than its window."""
BOTTOM = "Math.ceil((document.querySelector('%s' || 'html')).getBoundingClientRect().bottom) + 16"
"""JavaScript for the height of a picture in pixels: down to an element, and a margin."""
WINDOW_HEIGHT = 900
"""Height of the window in pixels. A picture may be higher."""
LOADED = """new Promise(done => {
  const drawn = () => requestAnimationFrame(() => requestAnimationFrame(done));
  document.readyState === "complete" ? drawn() : addEventListener("load", drawn);
})"""
"""JavaScript that waits until a page is loaded and drawn."""


@dataclass(frozen=True)
class View:
    """Window of a screenshot."""

    width: int
    until: str = ""
    """CSS selector of the element that the picture ends with; empty for the whole page."""
    dark: bool = False
    scale: float = 1.0
    phone: bool = False


@dataclass
class Tab:
    """Tab of the browser."""

    socket: aiohttp.ClientWebSocketResponse
    numbers: Iterator[int] = field(default_factory=lambda: count(1))

    async def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        number = next(self.numbers)
        await self.socket.send_json({"id": number, "method": method, "params": parameters})
        while True:
            answer: dict[str, Any] = await self.socket.receive_json()
            if answer.get("id") == number:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result

    async def evaluate(self, expression: str) -> Any:
        found = await self.call("Runtime.evaluate", expression=expression, awaitPromise=True, returnByValue=True)
        return found["result"].get("value")

    async def show(self, page: Path, view: View) -> None:
        """Load a page and wait until it is drawn."""
        await self.call(
            "Emulation.setDeviceMetricsOverride",
            width=view.width,
            height=WINDOW_HEIGHT,
            deviceScaleFactor=view.scale,
            mobile=view.phone,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if view.dark else "light"}
        await self.call("Emulation.setEmulatedMedia", features=[scheme])
        await self.call("Page.navigate", url=page.as_uri())
        await self.evaluate(LOADED)

    async def picture(self, page: Path, view: View) -> bytes:
        """Return a page as PNG."""
        await self.show(page, view)
        clip = {"x": 0, "y": 0, "width": view.width, "height": await self.evaluate(BOTTOM % view.until), "scale": 1}
        shot = await self.call("Page.captureScreenshot", captureBeyondViewport=True, clip=clip)
        return base64.b64decode(shot["data"])


@asynccontextmanager
async def open_tab(chromium: str) -> AsyncIterator[Tab]:
    """Start the browser and yield its tab."""
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        browser = await asyncio.create_subprocess_exec(
            chromium, *FLAGS, f"--user-data-dir={profile}", "about:blank", stderr=asyncio.subprocess.PIPE
        )
        try:
            async with asyncio.timeout(START_TIMEOUT_S):
                port = await _port(browser)
            async with aiohttp.ClientSession() as session:
                async with session.get(f"http://127.0.0.1:{port}/json/list") as listed:
                    target = next(t for t in await listed.json() if t["type"] == "page")
                url = target["webSocketDebuggerUrl"]
                async with session.ws_connect(url, max_msg_size=MAX_MESSAGE_BYTES) as socket:
                    yield Tab(socket)
        finally:
            browser.terminate()
            await browser.wait()


async def _port(browser: asyncio.subprocess.Process) -> int:
    """Return the port that the browser reports when it is ready."""
    assert browser.stderr is not None
    async for line in browser.stderr:
        _, found, address = line.decode(errors="replace").partition("DevTools listening on ws://127.0.0.1:")
        if found:
            return int(address.partition("/")[0])
    raise RuntimeError("Chromium ended without opening its port")
