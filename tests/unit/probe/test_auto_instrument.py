"""Adding the probe without a change of the application, with fakes of the real servers."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from memroll_probe import auto_instrument
from memroll_probe.__main__ import BOOTSTRAP, environment
from tests.unit.probe import harness

UVICORN = """
class Config:
    def __init__(self, app): self.app, self.loaded = app, False
    def load(self): self.loaded_app, self.loaded = self.app, True
"""
GUNICORN = """
class Worker:
    def __init__(self, app): self.app = app
    def load_wsgi(self): self.wsgi = self.app
"""
GUNICORN_ASGI = """
from gunicorn.workers.base import Worker
class ASGIWorker(Worker):
    def load_wsgi(self): self.asgi = self.app
"""
UVICORN_WORKER = """
from gunicorn.workers.base import Worker
class UvicornWorker(Worker): pass
"""
SERVICE = """
import json, sys
from gunicorn.workers.base import Worker
from gunicorn.workers.gasgi import ASGIWorker
from uvicorn.config import Config
from uvicorn.workers import UvicornWorker
def app(*_): pass
config, sync, native, through = Config(app), Worker(app), ASGIWorker(app), UvicornWorker(app)
config.load(); sync.load_wsgi(); native.load_wsgi(); through.load_wsgi()
found = [config.loaded_app, sync.wsgi, native.asgi, through.wsgi]
print(json.dumps([type(f).__module__ for f in found]))
"""
WRAPPED = ["memroll_probe.asgi", "memroll_probe.wsgi", "memroll_probe.asgi", "builtins"]
BARE = ["builtins"] * 4


@pytest.fixture
def servers(tmp_path):
    """Create a folder with servers that load applications where the real ones do."""
    for name, text in {
        "uvicorn/__init__.py": "",
        "uvicorn/config.py": UVICORN,
        "uvicorn/workers.py": UVICORN_WORKER,
        "gunicorn/__init__.py": "",
        "gunicorn/workers/__init__.py": "",
        "gunicorn/workers/base.py": GUNICORN,
        "gunicorn/workers/gasgi.py": GUNICORN_ASGI,
        "service.py": SERVICE,
        "shop.py": "def app(*_): pass\ndef make(): return app\nclass site: app = app\n",
    }.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run(folder, *command, switch="1"):
    env = {**harness.environment(**{"": switch}), "PATH": os.environ["PATH"]}
    env["PYTHONPATH"] = os.pathsep.join([env["PYTHONPATH"], str(folder)])
    probed = [sys.executable, "-m", "memroll_probe", "--", *command]
    return subprocess.run(probed, env=env, cwd=folder, capture_output=True, text=True, timeout=60, check=False)


def write_service(folder):
    """Write a service that prints the kinds of its applications once they are loaded."""
    kinds = SERVICE.replace(
        "type(f).__module__", "(type(f).__module__ if 'Middleware' in type(f).__name__ else 'builtins')"
    )
    (folder / "service.py").write_text(kinds, encoding="utf-8")
    return folder / "service.py"


def test_every_way_of_loading_an_application_is_probed(servers):
    assert json.loads(run(servers, sys.executable, str(write_service(servers))).stdout) == WRAPPED


def test_with_the_probe_off_the_command_runs_unchanged(servers):
    assert json.loads(run(servers, sys.executable, str(write_service(servers)), switch="0").stdout) == BARE


def test_a_python_that_the_command_starts_is_probed_too(servers):
    service = write_service(servers)
    shell = f'"{sys.executable}" "{service}"'
    assert json.loads(run(servers, "/bin/sh", "-c", shell).stdout) == WRAPPED


def test_a_spawned_worker_is_probed_too(servers):
    service = write_service(servers)
    program = (
        f"import multiprocessing as m, runpy\nif __name__ == '__main__':\n p = m.get_context('spawn').Process("
        f"target=runpy.run_path, args=({str(service)!r},)); p.start(); p.join()"
    )
    (servers / "parent.py").write_text(program, encoding="utf-8")
    assert json.loads(run(servers, sys.executable, str(servers / "parent.py")).stdout) == WRAPPED


def test_the_service_s_own_sitecustomize_still_runs(servers):
    (servers / "sitecustomize.py").write_text("print('customized')", encoding="utf-8")
    out = run(servers, sys.executable, str(write_service(servers))).stdout.splitlines()
    assert (out[0], json.loads(out[1])) == ("customized", WRAPPED)


def test_a_server_with_another_structure_runs_without_the_probe(servers):
    (servers / "uvicorn/config.py").write_text("class Other: pass", encoding="utf-8")
    done = run(servers, sys.executable, "-c", "import uvicorn.config; print('runs')")
    assert (done.returncode, done.stdout) == (0, "runs\n")
    assert "memroll_probe could not be put around" in done.stderr


@pytest.mark.parametrize(
    ("command", "status"),
    [
        pytest.param(["/bin/sh", "-c", "exit 7"], 7, id="the command's own status"),
        pytest.param(["/no/such/command"], 127, id="no such command"),
        pytest.param([], 2, id="no command"),
    ],
)
def test_the_exit_status(servers, command, status):
    assert run(servers, *command).returncode == status


def test_the_environment_is_changed_only_by_the_path():
    before = {"MEMROLL_PROBE": "1", "PYTHONPATH": "/a:/b"}
    assert environment(before) == {**before, "PYTHONPATH": f"{BOOTSTRAP}:/a:/b"}
    assert environment(environment(before)) == environment(before)
    assert environment({"PYTHONPATH": "/a"}) == {"PYTHONPATH": "/a"}


@pytest.mark.parametrize("name", ["shop:app", "shop:make()", "shop:site.app"])
def test_the_factories_load_the_application_named_by_the_environment(servers, monkeypatch, name):
    monkeypatch.syspath_prepend(servers)
    monkeypatch.setenv("MEMROLL_PROBE", "1")
    monkeypatch.setenv(auto_instrument.APP, name)
    assert auto_instrument.asgi().app.__name__ == "app"
    assert auto_instrument.wsgi().app.__name__ == "app"
    monkeypatch.setenv("MEMROLL_PROBE", "0")
    assert auto_instrument.asgi().__name__ == "app"


@pytest.mark.parametrize("name", ["", "shop", ":app"])
def test_an_invalid_application_name_is_an_error_with_the_expected_form(monkeypatch, name):
    monkeypatch.setenv(auto_instrument.APP, name)
    with pytest.raises(ValueError, match=r"it must be module:attribute or module:factory\(\)"):
        auto_instrument.asgi()
