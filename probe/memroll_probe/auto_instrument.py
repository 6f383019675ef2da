"""Adds the middleware without a change of the service's code.

`install()` patches uvicorn's `Config.load` and gunicorn's `Worker.load_wsgi`. Every way of starting these servers loads
the application there, also in forked and spawned workers. `asgi()` and `wsgi()` are factories, for servers that take
one.
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
    """Return the application named by MEMROLL_PROBE_APP, with the probe around it."""
    return asgi_probe.Probe(_load_app(os.environ.get(APP, "")))


def wsgi() -> Any:
    """Return the application named by MEMROLL_PROBE_APP, with the probe around it."""
    return wsgi_probe.Probe(_load_app(os.environ.get(APP, "")))


def _load_app(name: str) -> Any:
    """Return the object `module:attribute`, or the result of `module:factory()`."""
    module, _, attribute = name.partition(":")
    if not module or not attribute:
        raise ValueError(f"{APP} is {name!r}; it must be module:attribute or module:factory()")
    found: Any = importlib.import_module(module)
    for part in attribute.removesuffix("()").split("."):
        found = getattr(found, part)
    return found() if attribute.endswith("()") else found


def install() -> None:
    """Patch the modules that are loaded, and the others when they are imported."""
    if any(isinstance(finder, PatchingFinder) for finder in sys.meta_path):
        return
    for name, patch in PATCHES.items():
        if name in sys.modules:
            _apply_safely(patch, sys.modules[name])
    sys.meta_path.insert(0, PatchingFinder())


def _call_after(class_name: str, method: str, change: Callable[[Any], None]) -> Callable[[ModuleType], None]:
    """Return a patch of a module: after each call of one method, `change` is called with the instance."""

    def patch(module: ModuleType) -> None:
        owner = getattr(module, class_name)
        original = getattr(owner, method)

        def patched(self: Any) -> None:
            original(self)
            _apply_safely(change, self)

        setattr(owner, method, patched)

    return patch


def _wrap_uvicorn_app(config: Any) -> None:
    config.loaded_app = asgi_probe.Probe(config.loaded_app)


def _wrap_gunicorn_app(worker: Any) -> None:
    """Wrap the WSGI application. Workers that pass an ASGI application on to uvicorn are left to uvicorn's patch."""
    if not any(base.__module__.startswith("uvicorn") for base in type(worker).__mro__):
        worker.wsgi = wsgi_probe.Probe(worker.wsgi)


def _wrap_gunicorn_asgi_app(worker: Any) -> None:
    worker.asgi = asgi_probe.Probe(worker.asgi)


PATCHES = {
    "uvicorn.config": _call_after("Config", "load", _wrap_uvicorn_app),
    "gunicorn.workers.base": _call_after("Worker", "load_wsgi", _wrap_gunicorn_app),
    "gunicorn.workers.gasgi": _call_after("ASGIWorker", "load_wsgi", _wrap_gunicorn_asgi_app),
}


def _apply_safely(change: Callable[[Any], None], thing: Any) -> None:
    """Change a server. If it differs from the known versions, log that and let the service run without the probe."""
    try:
        change(thing)
    except Exception:
        log.exception("memroll_probe could not be put around this service's application")


class PatchingFinder(MetaPathFinder):
    """Import hook that lets the other finders find a module and patches it once it is loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if fullname not in PATCHES:
            return None
        for finder in sys.meta_path:
            if finder is not self and (find := getattr(finder, "find_spec", None)) is not None:
                spec: ModuleSpec | None = find(fullname, path, target)
                if spec is not None and spec.loader is not None:
                    spec.loader = PatchingLoader(spec.loader, PATCHES[fullname])
                    return spec
        return None


class PatchingLoader(Loader):
    def __init__(self, loader: Loader, patch: Callable[[ModuleType], None]) -> None:
        self._loader, self._patch = loader, patch

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        return self._loader.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        self._loader.exec_module(module)
        _apply_safely(self._patch, module)

    def __getattr__(self, name: str) -> Any:  # get_source, is_package and the other methods of a loader
        return getattr(self._loader, name)
