"""The middleware without a change of the service's code.

`install()` wraps the application where every way of starting uvicorn and gunicorn comes by: in `Config.load`, and in
`Worker.load_wsgi`, also in forked and spawned workers. `asgi()` and `wsgi()` are factories for servers that take one.
"""

from __future__ import annotations

import importlib
import logging
import os
import sys
from importlib.abc import Loader, MetaPathFinder
from typing import TYPE_CHECKING, Any

from memroll_probe import asgi as asgi_probe
from memroll_probe import wsgi as wsgi_probe

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from importlib.machinery import ModuleSpec
    from types import ModuleType

log = logging.getLogger("memroll_probe")

APP = "MEMROLL_PROBE_APP"


def asgi() -> Any:
    """Return the application that MEMROLL_PROBE_APP names, probed."""
    return asgi_probe.Probe(_named(os.environ.get(APP, "")))


def wsgi() -> Any:
    """Return the application that MEMROLL_PROBE_APP names, probed."""
    return wsgi_probe.Probe(_named(os.environ.get(APP, "")))


def _named(name: str) -> Any:
    """Load `module:attribute`, or what `module:factory()` returns."""
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ValueError(f"{APP} is {name!r}; it must be module:attribute or module:factory()")
    found: Any = importlib.import_module(module)
    for part in attribute.removesuffix("()").split("."):
        found = getattr(found, part)
    return found() if attribute.endswith("()") else found


def install() -> None:
    """Wrap what is loaded already, and wait for the rest."""
    if any(isinstance(finder, Finder) for finder in sys.meta_path):
        return
    for name, change in CHANGES.items():
        if name in sys.modules:
            _contained(change, sys.modules[name])
    sys.meta_path.insert(0, Finder())


def _after(kind: str, method: str, change: Callable[[Any], None]) -> Callable[[ModuleType], None]:
    """Return what lets a change follow each call of one method of a module's class."""

    def apply(module: ModuleType) -> None:
        owner = getattr(module, kind)
        original = getattr(owner, method)

        def changed(self: Any) -> None:
            original(self)
            _contained(change, self)

        setattr(owner, method, changed)

    return apply


def _uvicorn_config(config: Any) -> None:
    config.loaded_app = asgi_probe.Probe(config.loaded_app)


def _gunicorn_worker(worker: Any) -> None:
    """Leave alone the workers that hand an ASGI application to uvicorn: what changes uvicorn sees to those."""
    if not any(base.__module__.startswith("uvicorn") for base in type(worker).__mro__):
        worker.wsgi = wsgi_probe.Probe(worker.wsgi)


def _gunicorn_asgi_worker(worker: Any) -> None:
    worker.asgi = asgi_probe.Probe(worker.asgi)


CHANGES = {
    "uvicorn.config": _after("Config", "load", _uvicorn_config),
    "gunicorn.workers.base": _after("Worker", "load_wsgi", _gunicorn_worker),
    "gunicorn.workers.gasgi": _after("ASGIWorker", "load_wsgi", _gunicorn_asgi_worker),
}


def _contained(change: Callable[[Any], None], what: Any) -> None:
    """Change a server. When it is not as we know it, the service runs without the probe, and the log says so."""
    try:
        change(what)
    except Exception:
        log.exception("memroll_probe could not be put around this service's application")


class Finder(MetaPathFinder):
    """Lets the other finders find, and has a module changed once it is loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in CHANGES:
            return None
        for finder in sys.meta_path:
            if finder is not self and (find := getattr(finder, "find_spec", None)) is not None:
                spec: ModuleSpec | None = find(fullname, path, target)
                if spec is not None and spec.loader is not None:
                    spec.loader = ChangingLoader(spec.loader, CHANGES[fullname])
                    return spec
        return None


class ChangingLoader(Loader):
    def __init__(self, loader: Loader, change: Callable[[ModuleType], None]) -> None:
        self._loader, self._change = loader, change

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _contained(self._change, module)

    def __getattr__(self, name: str) -> Any:  # get_source, is_package and whatever else is asked of a loader
        return getattr(self._loader, name)
