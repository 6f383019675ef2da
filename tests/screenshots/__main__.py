"""Write the screenshots of the docs: `hack/screenshots`, which needs Chromium.

Argument: a folder for both pages in each theme and width, to look at, instead of the two pictures of the docs. With
`--dashboard URL` before it, the folder gets the chart's dashboard instead, with the data of this Prometheus.
"""

from __future__ import annotations

import asyncio
import io
import os
import shutil
import sys
import tempfile
from pathlib import Path

from PIL import Image

from memroll.backtest import html_report, policy
from memroll.backtest.baselines.rules import RULE_NAMES
from memroll.backtest.runner import BacktestJob, run
from memroll.report import html
from tests.report_pages import leak_report
from tests.screenshots import dashboard_page
from tests.screenshots.browser import OVERFLOW, View, open_tab
from tests.screenshots.traces import shop
from tests.texts import ROOT

BROWSERS = ("chromium", "chromium-browser", "google-chrome")
COLOURS = 128
"""Number of colours of a picture in the docs: enough for text and few curves, and below 200 KB."""
DOCS = {"backtest": View(1120, until="section details"), "leaks": View(1120, until="figure", dark=True)}
"""View of each page in the docs: one in each theme."""
VIEWS = {
    "wide-light": View(1280),
    "wide-dark": View(1280, dark=True),
    "phone-light": View(390, scale=2, phone=True),
    "phone-dark": View(390, scale=2, phone=True, dark=True),
}


def pages() -> dict[str, str]:
    """Return both pages by name, of generated data."""
    replayed = policy.default_policy()
    results = run(BacktestJob(shop(), replayed, RULE_NAMES), os.cpu_count() or 1, lambda _: None)
    return {
        "backtest": html_report.render_page(results, replayed, rules=RULE_NAMES, plots=200),
        "leaks": html.render_page(leak_report()),
    }


def compressed(picture: bytes) -> bytes:
    """Return a PNG with few colours."""
    made = io.BytesIO()
    Image.open(io.BytesIO(picture)).convert("RGB").quantize(COLOURS).save(made, "PNG", optimize=True)
    return made.getvalue()


def find_browser() -> str:
    browser = next(filter(None, map(shutil.which, BROWSERS)), None)
    if browser is None:
        sys.exit(f"none of these is installed: {', '.join(BROWSERS)} (Debian: apt-get install chromium)")
    return browser


async def show_dashboard(url: str, folder: Path) -> None:
    browser, page = find_browser(), folder / "dashboard.html"
    _write(page, dashboard_page.render(url).encode())
    async with open_tab(browser) as tab:
        for name, view in {"light": View(1280), "dark": View(1280, dark=True)}.items():
            _write(folder / f"dashboard-{name}.png", compressed(await tab.picture(page.resolve(), view)))


async def main(folder: Path | None) -> None:
    browser = find_browser()
    with tempfile.TemporaryDirectory() as scratch:
        files = {name: Path(scratch) / f"{name}.html" for name in ("backtest", "leaks")}
        for name, content in pages().items():
            files[name].write_text(content, encoding="utf-8")
        async with open_tab(browser) as tab:
            for name, file in files.items():
                if folder is None:
                    picture = compressed(await tab.picture(file, DOCS[name]))
                    _write(ROOT / f"docs/images/{name}.png", picture)
                    continue
                for view_name, view in VIEWS.items():
                    _write(folder / f"{name}-{view_name}.png", await tab.picture(file, view))
                    if await tab.evaluate(OVERFLOW):
                        sys.exit(f"{name}, {view_name}: the page is wider than its window")


def _write(file: Path, content: bytes) -> None:
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    print(f"{file}: {len(content) / 1024:.0f} KiB")  # noqa: T201 - a command-line tool prints


if __name__ == "__main__":
    if sys.argv[1:2] == ["--dashboard"]:
        asyncio.run(show_dashboard(sys.argv[2], Path(sys.argv[3])))
    else:
        asyncio.run(main(Path(sys.argv[1]) if len(sys.argv) > 1 else None))
