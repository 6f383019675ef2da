"""What is answered to whom, whatever carried the question. Called by asgi, wsgi and serving."""

from __future__ import annotations

import hmac
import json
import logging
from typing import TYPE_CHECKING

from memroll_probe import bounded, gauges, report
from memroll_probe.errors import NotNowError
from memroll_probe.exchange import Request, Response

if TYPE_CHECKING:
    from concurrent.futures import Future

    from memroll_probe.watch import Watch

log = logging.getLogger("memroll_probe")

WAIT_BEYOND_BUDGET_S = 1.0
ROUTES = {"": "GET", "/metrics": "GET", "/start": "POST", "/baseline": "POST", "/stop": "POST"}


class Endpoint:
    def __init__(self, watch: Watch) -> None:
        self._watch = watch
        self._base = watch.settings.path
        self.patience_s = watch.settings.budget_s + WAIT_BEYOND_BUDGET_S

    def is_mine(self, path: str) -> bool:
        return path.startswith(self._base) and path[len(self._base) :].rstrip("/") in ROUTES

    def refused(self, request: Request) -> Response | None:
        """Return why a request is not answered; to a stranger, not even whether the method is right."""
        if not self._allows(request.authorization):
            return _error(401, "a token is needed", ("www-authenticate", "Bearer"))
        allowed = ROUTES[self._route(request)]
        return None if request.method == allowed else _error(405, "not this method", ("allow", allowed))

    def begin(self, request: Request) -> Future[Response]:
        """Begin answering in a thread of the probe's own."""
        route, deep = self._route(request), "deep=1" in request.query.split("&")
        if route == "":
            return self._watch.turns.take(("", deep), lambda: self._report(use_deep=deep), rest=True)
        return self._watch.turns.take(route, self._metrics if route == "/metrics" else lambda: self._order(route))

    def answer(self, request: Request) -> Response:
        """Answer, waiting as long as a report may take. Never raises."""
        try:
            return self.refused(request) or self.begin(request).result(self.patience_s)
        except Exception as error:  # noqa: BLE001 - the probe must not harm the service
            return self.in_trouble(request, error)

    def in_trouble(self, request: Request, error: BaseException) -> Response:
        """Return what can still be told."""
        log.debug("no answer to %s", request.path, exc_info=error)
        trouble = f"report: {type(error).__name__}"
        if self._route(request) != "":
            return _error(503, trouble)
        return self._encoded(report.head(self._watch, trouble))

    def _report(self, *, use_deep: bool) -> Response:
        return self._encoded(report.full(self._watch, use_deep=use_deep))

    def _metrics(self) -> Response:
        return Response(200, gauges.text(self._watch).encode("utf-8", "replace"), gauges.CONTENT_TYPE)

    def _order(self, route: str) -> Response:
        """Do what a person asks of the tracing."""
        looker = self._watch.looker
        orders = {"/start": looker.start_tracing, "/baseline": looker.take_baseline, "/stop": looker.stop_tracing}
        try:
            orders[route]()
        except NotNowError as reason:
            return _error(409, str(reason))
        self._watch.look_again()
        return self._encoded({**report.head(self._watch), "tracing": self._watch.describe_tracing()})

    def _encoded(self, told: report.Report) -> Response:
        return Response(200, bounded.encode(told, self._watch.settings.max_bytes))

    def _route(self, request: Request) -> str:
        return request.path[len(self._base) :].rstrip("/")

    def _allows(self, authorization: str) -> bool:
        if not self._watch.settings.token:
            return True
        scheme, _, token = authorization.partition(" ")
        same = hmac.compare_digest(token.strip().encode("utf-8", "replace"), self._watch.settings.token.encode())
        return same and scheme.lower() == "bearer"


def _error(status: int, why: str, *headers: tuple[str, str]) -> Response:
    return Response(status, json.dumps({"error": why}).encode(), headers=headers)
