"""Settings: read from the environment, validated field by field."""

from __future__ import annotations

import pytest
from pydantic import ValidationError

from memroll.settings import Settings, from_environment


def test_settings_are_read_from_the_environment():
    read = from_environment(
        {
            "MEMROLL_WATCH_NAMESPACES": "ai, web,",
            "MEMROLL_HTTP_PORT": "9090",
            "MEMROLL_ALLOW_SURGE": "false",
            "HOME": "/x",
        }
    )
    assert (read.watch_namespaces, read.http_port, read.allow_surge) == (("ai", "web"), 9090, False)
    assert from_environment({"MEMROLL_HTTP_PORT": " "}) == Settings()


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("HTTP_PORT", "0"),
        ("LEASE_SECONDS", "soon"),
        ("LOG_FORMAT", "xml"),
        ("ALLOW_ACTING", "maybe"),
        ("MAX_ROLLS_PER_HOUR", "-1"),
        ("MAX_NAMESPACE_SHARE", "0"),
        ("NAMESPACE_QUOTA", "half"),
        ("MIN_INTERVAL", "soon"),
        ("MAX_WINDOW", "2"),
        ("PODS_PER_POLICY", "0"),
        ("POLICIES_PER_NAMESPACE", "many"),
        ("MANUAL_ROLLS_PER_HOUR", "-1"),
    ],
)
def test_an_invalid_value_is_rejected(name, value):
    with pytest.raises(ValidationError):
        from_environment({f"MEMROLL_{name}": value})
