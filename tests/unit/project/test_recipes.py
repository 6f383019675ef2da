"""Extending memroll: tests that fail while a recipe of docs/architecture.md is incomplete."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import get_args

import pytest
from pydantic.alias_generators import to_camel

from memroll.api.roll_spec import Strategy
from memroll.clients.prometheus.config import Connection, Section
from memroll.clients.prometheus.credentials import read_credentials
from memroll.clients.prometheus.session import Limits, PrometheusSession
from memroll.detection.leak_checks import CONTEXT_CHECKS, HISTORY_CHECKS
from memroll.detection.shape_checks import SHAPE_CHECKS
from tests.texts import ROOT

AUTH_TYPES = {
    name: section
    for name, field in Connection.model_fields.items()
    for section in get_args(field.annotation)
    if isinstance(section, type) and issubclass(section, Section)
}
CHART_SCHEMA = json.loads((ROOT / "deploy/helm/memroll/values.schema.json").read_text(encoding="utf-8"))
CONNECTION_SCHEMA = CHART_SCHEMA["properties"]["prometheus"]["properties"]["connections"]["additionalProperties"]


def test_the_types_of_authentication_are_found():
    assert {"authorization", "basic_auth"} <= set(AUTH_TYPES)


@pytest.mark.parametrize("name", AUTH_TYPES)
def test_credentials_of_each_type_are_read_from_watched_files(name, tmp_path: Path):
    secret = tmp_path / "secret"
    secret.write_text("s3cret")
    fields = AUTH_TYPES[name].model_fields
    values = {n: secret if f.annotation is Path else "someone" for n, f in fields.items() if f.is_required()}
    connection = Connection.model_validate({"url": "https://prometheus", name: values})
    credentials = read_credentials(connection)
    session = PrometheusSession(connection, Limits())
    assert credentials.header or session._http.auth, "sent as a header, or by signing each request"
    assert credentials.redact("s3cret") == "***"
    assert list(connection.files()) == [secret]


def test_the_chart_accepts_the_fields_of_a_connection():
    assert set(CONNECTION_SCHEMA["properties"]) == {to_camel(name) for name in Connection.model_fields}


@pytest.mark.parametrize("name", AUTH_TYPES)
def test_the_chart_and_the_docs_have_each_type_of_authentication(name):
    fields = {to_camel(field) for field in AUTH_TYPES[name].model_fields}
    assert set(CONNECTION_SCHEMA["properties"][to_camel(name)]["properties"]) == fields
    page = (ROOT / "docs/install.md").read_text(encoding="utf-8")
    assert [word for word in (to_camel(name), *fields) if f"{word}:" not in page] == []


@pytest.mark.parametrize("strategy", Strategy)
def test_the_docs_describe_each_strategy(strategy):
    for page in ("docs/rolling.md", "docs/policy.md"):
        assert strategy.value in (ROOT / page).read_text(encoding="utf-8"), page


def test_the_docs_list_the_checks_in_the_order_of_their_evaluation():
    page = (ROOT / "docs/detection.md").read_text(encoding="utf-8")
    reasons = [check.reason.value for check in (*SHAPE_CHECKS, *CONTEXT_CHECKS, *HISTORY_CHECKS)]
    listed = re.findall(r"^\| [^|]+ \| `(\w+)` \|$", page, re.MULTILINE)
    assert [name for name in listed if name in reasons] == reasons
