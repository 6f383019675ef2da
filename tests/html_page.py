"""Parser of the HTML pages, for tests: well-formed, self-contained, and its links, classes and text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path

import memroll.pages

VOID = {"meta", "link", "br", "img", "hr", "wbr"}
BLOCKS = {"td", "th", "li", "p", "div", "h1", "h2", "h3", "h4", "summary", "b"}
LOADING_TAGS = {"script", "img", "link", "iframe", "object", "embed", "image", "form", "base", "audio", "video", "use"}
REFERENCES = {"src", "href", "xlink:href", "data", "action", "srcset", "poster", "formaction"}
STYLE = (Path(memroll.pages.__file__).parent / "templates/style.css").read_text(encoding="utf-8")


class Page(HTMLParser):
    """Parsed page. Parsing fails on tags that do not match."""

    def __init__(self, content: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.references: list[str] = []
        self.handlers: list[str] = []
        self.ids: list[str] = []
        self.classes: set[str] = set()
        self.labels: list[str] = []
        self.words = ""
        """Text of the page, without its style."""
        self.headings: list[str] = []
        self.feed(content)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        for name, value in attrs:
            self.references += [value or ""] if name in REFERENCES else []
            self.handlers += [name] if name.startswith("on") else []
            self.ids += [value or ""] if name == "id" else []
            self.labels += [value or ""] if name == "aria-label" else []
            self.classes |= set((value or "").split()) if name == "class" else set()
        if tag in ("h2", "h3"):
            self.headings.append("")
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in VOID:
            self.open.pop()

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag
        self.words += " " if tag in BLOCKS else ""

    def handle_data(self, data: str) -> None:
        if "style" in self.open:
            return
        self.words += data
        if {"h2", "h3"} & set(self.open):
            self.headings[-1] += data

    @property
    def text(self) -> str:
        """Words of the page with single blanks."""
        return " ".join(self.words.split())


def checked(content: str) -> Page:
    """Return the parsed page; fail if it is not self-contained, or has broken links or classes without a style."""
    page = Page(content)
    assert not LOADING_TAGS & set(page.tags)
    assert page.handlers == []
    assert [r for r in page.references if not r.startswith("#")] == []
    assert {r.removeprefix("#") for r in page.references} <= set(page.ids)
    assert len(page.ids) == len(set(page.ids))
    assert "url(" not in content
    assert "@import" not in content
    assert "default-src 'none'" in content
    assert not set(content) & set("\x1b\u202e\r\x00")
    styled = set(re.findall(r"\.([a-z][\w-]*)", STYLE))
    assert page.classes - styled == set()
    return page
