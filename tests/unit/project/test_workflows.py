"""The workflows run what a developer runs, with few permissions, pinned actions and no host of a registry."""

from __future__ import annotations

import re
import tomllib

import pytest
import yaml

from tests.texts import ROOT

FILES = sorted((ROOT / ".github/workflows").glob("*.yaml"))
TEXTS = {path.stem: path.read_text(encoding="utf-8") for path in FILES}
# BaseLoader: `on` remains a string, which YAML 1.1 reads as true.
WORKFLOWS = {name: yaml.load(text, Loader=yaml.BaseLoader) for name, text in TEXTS.items()}
JOBS = {f"{name}/{job}": spec for name, workflow in WORKFLOWS.items() for job, spec in workflow["jobs"].items()}
PUBLISHER = "release/publish"
"""Only job that may write."""


def steps(job):
    return JOBS[job]["steps"]


def scripts(job):
    return [step["run"] for step in steps(job) if "run" in step]


def test_the_three_workflows_are_there():
    assert set(WORKFLOWS) == {"check", "e2e", "release"}


@pytest.mark.parametrize("name", WORKFLOWS)
def test_every_action_is_pinned_by_commit_with_its_version(name):
    used = re.findall(r"uses: (.*)", TEXTS[name])
    assert used
    assert [one for one in used if not re.fullmatch(r"[\w-]+/[\w-]+@[0-9a-f]{40} # v\d+\.\d+\.\d+", one)] == []


def test_an_action_has_the_same_commit_everywhere():
    pairs = {tuple(one.split("@")) for text in TEXTS.values() for one in re.findall(r"uses: (\S+)", text)}
    assert len(pairs) == len({action for action, _ in pairs})


@pytest.mark.parametrize("name", WORKFLOWS)
def test_nothing_is_permitted_except_for_reading_the_checkout(name):
    assert WORKFLOWS[name]["permissions"] in ({}, {"contents": "read"})


@pytest.mark.parametrize("job", JOBS)
def test_only_the_publisher_may_write_and_every_job_ends(job):
    writes = {scope for scope, access in JOBS[job].get("permissions", {}).items() if access != "read"}
    assert writes == ({"contents", "packages", "id-token", "attestations"} if job == PUBLISHER else set())
    assert int(JOBS[job]["timeout-minutes"]) <= 150


@pytest.mark.parametrize("name", WORKFLOWS)
def test_runs_of_one_ref_do_not_overlap_and_a_failed_pipe_fails(name):
    assert "${{ github.ref }}" in WORKFLOWS[name]["concurrency"]["group"]
    assert WORKFLOWS[name]["defaults"]["run"]["shell"] == "bash"


def test_a_release_is_never_cancelled_half_way():
    assert WORKFLOWS["release"]["concurrency"]["cancel-in-progress"] == "false"


@pytest.mark.parametrize("job", JOBS)
def test_a_script_has_no_expression_and_prints_no_secret(job):
    """The value of an expression becomes code: the name of a branch would be run."""
    for script in scripts(job):
        assert "${{" not in script
        assert "set -x" not in script
        assert not re.search(r"(echo|--password)[ =]\S*PASSWORD", script)


def test_secrets_are_in_one_step_of_the_publisher_only():
    holders = [(job, step["name"]) for job in JOBS for step in steps(job) if "secrets." in str(step)] + [
        job for job in JOBS if "secrets." in str(JOBS[job].get("env", ""))
    ]
    assert holders == [(PUBLISHER, "Log in to the registry")]


def test_the_publisher_runs_no_code_of_the_repository():
    assert not any("checkout" in step.get("uses", "") for step in steps(PUBLISHER))
    assert not any(re.search(r"\b(make|pip|python3?)\b", script) for script in scripts(PUBLISHER))


def test_the_checkout_keeps_no_credentials():
    checkouts = [step for job in JOBS for step in steps(job) if "actions/checkout@" in step.get("uses", "")]
    assert checkouts
    assert all(step["with"]["persist-credentials"] == "false" for step in checkouts)


@pytest.mark.parametrize("name", WORKFLOWS)
def test_no_host_is_written(name):
    assert re.findall(r"\b[\w-]+\.(?:io|com|org|net|dev|cloud)\b", TEXTS[name]) == []


def test_nothing_is_published_without_a_registry():
    assert JOBS[PUBLISHER]["if"] == "vars.REGISTRY != ''"
    assert JOBS[PUBLISHER]["env"]["REGISTRY"] == "${{ vars.REGISTRY }}"


def test_the_workflows_run_the_make_targets_of_developers():
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    commands = " ".join(script for job in JOBS for script in scripts(job) if "apt-get" not in script)
    targets = set(re.findall(r"\bmake ([a-z-]+)", commands))
    assert targets == {"check", "test", "dist"}
    assert all(f"\n{target}: " in makefile for target in targets)
    (build,) = [script for script in scripts("release/build") if "make dist" in script]
    variables = re.findall(r'"([A-Z_]+)=\$', build)
    assert {"TAG", "IMAGE", "RELEASE_URL"} <= set(variables)
    assert all(f"$({name})" in makefile for name in variables if name != "PATH")


def test_the_quick_checks_run_on_the_oldest_supported_python():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    tested = JOBS["check/check"]["strategy"]["matrix"]["python"]
    assert f">={tested[0]}" == project["requires-python"]
    assert {f"Programming Language :: Python :: {one}" for one in tested} <= set(project["classifiers"])


def test_everything_that_is_pushed_is_signed_by_digest():
    published = "\n".join(scripts(PUBLISHER))
    assert "docker://$REGISTRY/memroll:$version" in published
    assert '"oci://$REGISTRY/charts"' in published
    assert '"$REGISTRY/memroll@$IMAGE_DIGEST" "$REGISTRY/charts/memroll@$CHART_DIGEST"' in published
    assert "cosign sign-blob --yes --bundle dist/SHA256SUMS.bundle dist/SHA256SUMS" in published
    assert published.index("sha256sum --check") < published.index("skopeo copy") < published.index("gh release create")
