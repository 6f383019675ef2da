"""Settings: read from flags, environment and file, validated field by field, and documented."""

from __future__ import annotations

import re

import pytest
from pydantic.alias_generators import to_camel

from memroll.settings import Settings, SettingsError, from_environment, load, variable
from tests.texts import ROOT

PAGE = (ROOT / "docs/settings.md").read_text(encoding="utf-8")


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


def test_variables_that_kubernetes_sets_for_a_service_are_ignored():
    links = {"MEMROLL_PORT": "tcp://10.0.0.1:8080", "MEMROLL_SERVICE_HOST": "10.0.0.1"}
    assert from_environment(links) == Settings()


def test_the_environment_is_not_read_by_the_class_itself(monkeypatch):
    monkeypatch.setenv("MEMROLL_HTTP_PORT", "9090")
    assert Settings().http_port == 8080


def test_a_flag_is_used_before_a_variable_and_that_before_the_file(tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text("{maxRollsPerHour: 1, httpPort: 1001, leaseName: filed, watchNamespaces: [ai, web]}")
    environment = {
        "MEMROLL_SETTINGS_FILE": str(file),
        "MEMROLL_MAX_ROLLS_PER_HOUR": "2",
        "MEMROLL_HTTP_PORT": "1002",
    }
    loaded = load(environment, {"max_rolls_per_hour": "3"})
    read = loaded.settings
    assert (read.max_rolls_per_hour, read.http_port, read.lease_name) == (3, 1002, "filed")
    assert read.watch_namespaces == ("ai", "web")
    assert dict(loaded.origins) == {
        "max_rolls_per_hour": "--max-rolls-per-hour",
        "http_port": "MEMROLL_HTTP_PORT",
        "lease_name": f"{file}: leaseName",
        "watch_namespaces": f"{file}: watchNamespaces",
    }
    assert loaded.changes()["http_port"] == "1002 (MEMROLL_HTTP_PORT)"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("maxRollPerHour: 3", "no such setting: 'maxRollPerHour'. Did you mean 'maxRollsPerHour'?"),
        ("max_rolls_per_hour: 3", "no such setting: 'max_rolls_per_hour'. Did you mean 'maxRollsPerHour'?"),
        ("3: 3", "no such setting: '3'"),
        ("[a]", "must have a line such as maxRollsPerHour: 30"),
        ("", "must have a line such as maxRollsPerHour: 30"),
        ("a: [", "not valid YAML in line 1"),
        ("httpPort: 0", "httpPort=0: Input should be greater than or equal to 1"),
        ("watchNamespaces: {a: 1}", "watchNamespaces={'a': 1}: "),
    ],
)
def test_an_invalid_file_is_refused_with_its_name(content, message, tmp_path):
    file = tmp_path / "settings.yaml"
    file.write_text(content)
    with pytest.raises(SettingsError, match=re.escape(f"{file}: ")) as caught:
        load({}, {"settings_file": str(file)})
    assert message in str(caught.value)


def test_a_missing_file_is_an_error(tmp_path):
    with pytest.raises(SettingsError, match="No such file"):
        load({"MEMROLL_SETTINGS_FILE": str(tmp_path / "none")})


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
    with pytest.raises(SettingsError, match=f"MEMROLL_{name}='{value}': "):
        from_environment({f"MEMROLL_{name}": value})


@pytest.mark.parametrize("name", Settings.model_fields)
def test_each_setting_is_documented_with_its_default(name):
    field = Settings.model_fields[name]
    default = field.default
    if isinstance(default, tuple):
        default = ",".join(default)
    if isinstance(default, bool):
        default = str(default).lower()
    shown = f"`{default}`" if default != "" else ""
    flag = f"--{name.replace('_', '-')}"
    assert f"| `{flag}` | `{variable(name)}` | `{to_camel(name)}` | {shown} | {field.description} |" in PAGE
