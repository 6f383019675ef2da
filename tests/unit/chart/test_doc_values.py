"""The values of the chart in the docs' examples: Helm renders the chart with each of them."""

from __future__ import annotations

import pytest
import yaml

from tests.doc_blocks import blocks, is_shortened
from tests.unit.chart.rendering import CHART, KUBERNETES, NAMESPACE, RELEASE

VALUES = frozenset(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))) - {"evidence"}
"""Names of the chart's values, without the one that is a section of a policy as well."""


def examples() -> list[tuple[str, str]]:
    """Return the blocks that contain nothing but values of the chart."""
    found = [(page, text, yaml.safe_load(text)) for page, text in blocks("yaml") if is_single(text)]
    return [(page, text) for page, text, content in found if isinstance(content, dict) and set(content) <= VALUES]


def is_single(text: str) -> bool:
    return not is_shortened(text) and "\n---\n" not in text


def test_examples_are_found():
    assert len(examples()) > 4


@pytest.mark.parametrize(("page", "text"), examples())
def test_helm_renders_the_chart_with_an_example(helm, tmp_path, page, text):
    required, file = tmp_path / "required.yaml", tmp_path / "values.yaml"
    required.write_text("prometheus: {connections: {default: {url: http://prometheus}}}", encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    options = ["-n", NAMESPACE, "--kube-version", KUBERNETES, "-f", str(required), "-f", str(file)]
    assert helm.run("template", RELEASE, str(CHART), *options)
