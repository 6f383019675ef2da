"""Routes requests and checks the token, independent of the interface. Called by asgi, wsgi and http_server."""

from __future__ import annotations

import hmac
import json
import logging
from typing import TYPE_CHECKING

from memroll_probe import gauges, report, size_limit
from memroll_probe.errors import ResourceLimitError
from memroll_probe.messages import Request, Response

if TYPE_CHECKING:
    from concurrent.futures import Future

    from memroll_probe.state import ProbeState

log = logging.getLogger("memroll_probe")

TIMEOUT_BEYOND_BUDGET_S = 1.0
"""Time to wait for a report beyond its time budget, in seconds. Chosen by hand."""
ROUTES = {"": "GET", "/metrics": "GET", "/start": "POST", "/baseline": "POST", "/stop": "POST"}


class Endpoint:
    def __init__(self, state: ProbeState) -> None:
        self._state = state
        self._base = state.settings.path
        self.timeout_s = state.settings.budget_s + TIMEOUT_BEYOND_BUDGET_S

    def has_route(self, path: str) -> bool:
        return path.startswith(self._base) and path[len(self._base) :].rstrip("/") in ROUTES

    def reject(self, request: Request) -> Response | None:
        """Return the error response of a request that is not allowed. Without the token, the method is not checked."""
        if not self._is_authorized(request.authorization):
            return _error_response(401, "a token is needed", ("www-authenticate", "Bearer"))
        allowed = ROUTES[self._route(request)]
        return None if request.method == allowed else _error_response(405, "not this method", ("allow", allowed))

    def start(self, request: Request) -> Future[Response]:
        """Start to answer a request in a thread of the probe's own."""
        route, deep = self._route(request), "deep=1" in request.query.split("&")
        if route == "":
            return self._state.single_flight.run(("", deep), lambda: self._report(deep=deep), cache=True)
        work = self._metrics if route == "/metrics" else lambda: self._control_tracing(route)
        return self._state.single_flight.run(route, work)

    def respond(self, request: Request) -> Response:
        """Return the response, waiting as long as a report may take. Never raises."""
        try:
            return self.reject(request) or self.start(request).result(self.timeout_s)
        except Exception as error:  # noqa: BLE001 - the probe must not harm the service
            return self.failure_response(request, error)

    def failure_response(self, request: Request, error: BaseException) -> Response:
        """Return the response to a request that failed: of a report, its header."""
        log.debug("no answer to %s", request.path, exc_info=error)
        message = f"report: {type(error).__name__}"
        if self._route(request) != "":
            return _error_response(503, message)
        return self._report_response(report.build_header(self._state, message))

    def _report(self, *, deep: bool) -> Response:
        return self._report_response(report.build_report(self._state, deep=deep))

    def _metrics(self) -> Response:
        return Response(200, gauges.render(self._state).encode("utf-8", "replace"), gauges.CONTENT_TYPE)

    def _control_tracing(self, route: str) -> Response:
        """Start or stop tracing, or take a baseline, on behalf of a client."""
        sampler = self._state.sampler
        actions = {"/start": sampler.start_tracing, "/baseline": sampler.take_baseline, "/stop": sampler.stop_tracing}
        try:
            actions[route]()
        except ResourceLimitError as error:
            return _error_response(409, str(error))
        self._state.wake_sampler()
        return self._report_response({**report.build_header(self._state), "tracing": self._state.describe_tracing()})

    def _report_response(self, content: report.Report) -> Response:
        return Response(200, size_limit.encode(content, self._state.settings.max_bytes))

    def _route(self, request: Request) -> str:
        return request.path[len(self._base) :].rstrip("/")

    def _is_authorized(self, authorization: str) -> bool:
        if not self._state.settings.token:
            return True
        scheme, _, token = authorization.partition(" ")
        same = hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._state.settings.token.encode())
        return same and scheme.lower() == "bearer"


def _error_response(status: int, message: str, *headers: tuple[str, str]) -> Response:
    return Response(status, json.dumps({"error": message}).encode(), headers=headers)
