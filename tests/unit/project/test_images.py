"""Images of the docs are small, and each one is shown on a page."""

from __future__ import annotations

import re

import pytest

from tests.texts import ROOT

IMAGES = sorted((ROOT / "docs/images").glob("*"))
MAX_BYTES = 200_000


def test_there_are_images():
    assert IMAGES


@pytest.mark.parametrize("image", IMAGES, ids=lambda image: image.name)
def test_an_image_is_small_and_shown_with_a_description(image):
    assert image.stat().st_size < MAX_BYTES
    pages = "".join(page.read_text(encoding="utf-8") for page in (ROOT / "docs").glob("*.md"))
    assert re.search(rf"!\[[^\]]{{20,}}\]\(images/{re.escape(image.name)}\)", pages)
