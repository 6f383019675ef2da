"""Base of the ASGI and WSGI middleware: wraps an application and forwards all other attributes to it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Generic, TypeVar

from memroll_probe.settings import ProbeSettings

if TYPE_CHECKING:
    from collections.abc import Callable

    from memroll_probe.endpoint import Endpoint
    from memroll_probe.state import ProbeState

App = TypeVar("App")


class Wrapper(Generic[App]):
    """Application with the probe around it."""

    def __init__(self, app: App, state: ProbeState, endpoint: Endpoint) -> None:
        self.app, self._state, self._endpoint = app, state, endpoint

    def __getattr__(self, name: str) -> Any:
        """Return the application's attribute, so that routes can be added whether the probe is on or off."""
        if name == "app":  # not set yet
            raise AttributeError(name)
        return getattr(self.app, name)


def wrap(app: App, state: ProbeState | None, make: Callable[[App, ProbeState, Endpoint], App]) -> App:
    """Return the application with the probe around it, or the application itself if the probe is off."""
    if state is None:
        if not ProbeSettings.from_environment().enabled:
            return app
        from memroll_probe.current import current  # noqa: PLC0415 - with the probe off, nothing of it is loaded

        state = current()
    from memroll_probe.endpoint import Endpoint  # noqa: PLC0415 - the same

    return make(app, state, Endpoint(state))
