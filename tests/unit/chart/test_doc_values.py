"""The values of the chart in the docs' examples: Helm renders the chart with each of them."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests.doc_blocks import blocks, is_shortened
from tests.unit.chart.rendering import CHART, KUBERNETES, NAMESPACE, RELEASE

VALUES = frozenset(yaml.safe_load((CHART / "values.yaml").read_text(encoding="utf-8"))) - {"evidence"}
"""Names of the chart's values, without the one that is a section of a policy as well."""


def examples() -> list[tuple[str, str]]:
    """Return page and values of each example for Helm, Argo CD or Flux."""
    complete = [(page, text) for page, text in blocks("yaml") if not is_shortened(text)]
    found = [(page, values_in(document)) for page, text in complete for document in yaml.safe_load_all(text)]
    return [(page, yaml.safe_dump(values)) for page, values in found if values]


def values_in(document: Any) -> dict[str, Any] | None:
    """Return the values of the chart that a document contains; None for another document."""
    match document:
        case {"kind": "Application", "spec": {"source": {"helm": {"valuesObject": values}}}}:
            return values
        case {"kind": "HelmRelease", "spec": {"values": values}}:
            return values
        case dict() if set(document) <= VALUES:
            return document
    return None


def test_examples_are_found():
    pages = [page for page, _ in examples()]
    assert len(pages) > 8
    assert pages.count("docs/gitops.md") == 2


@pytest.mark.parametrize(("page", "text"), examples())
def test_helm_renders_the_chart_with_an_example(helm, tmp_path, page, text):
    required, file = tmp_path / "required.yaml", tmp_path / "values.yaml"
    required.write_text("prometheus: {connections: {default: {url: http://prometheus}}}", encoding="utf-8")
    file.write_text(text, encoding="utf-8")
    options = ["-n", NAMESPACE, "--kube-version", KUBERNETES, "-f", str(required), "-f", str(file)]
    assert helm.run("template", RELEASE, str(CHART), *options)
