"""What a probe around an application is, whichever interface the application speaks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from memroll_probe.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll_probe.endpoint import Endpoint
    from memroll_probe.watch import Watch

App = TypeVar("App")


class Wrapper(Generic[App]):
    """Holds the application, and is it in all that it does not do itself."""

    def __init__(self, app: App, watch: Watch, endpoint: Endpoint) -> None:
        self.app, self._watch, self._endpoint = app, watch, endpoint

    def __getattr__(self, name: str) -> Any:
        """Be the application in all else: routes may still be added to it, switched on as switched off."""
        if name == "app":  # not there yet
            raise AttributeError(name)
        return getattr(self.app, name)


def around(app: App, watch: Watch | None, make: Callable[[App, Watch, Endpoint], App]) -> App:
    """Return the application with a probe around it; switched off, the application itself."""
    if watch is None:
        if not Settings.from_environment().on:
            return app
        from memroll_probe.here import current  # noqa: PLC0415 - switched off, nothing of it is loaded

        watch = current()
    from memroll_probe.endpoint import Endpoint  # noqa: PLC0415 - the same

    return make(app, watch, Endpoint(watch))
