"""Which status each error of the bus has, and how it is phrased."""

import logging
from http import HTTPStatus

from flask import Flask, request
from werkzeug.exceptions import HTTPException, MethodNotAllowed

from eventbus.core.errors import (
    BacklogFull,
    BadRequest,
    Conflict,
    CrossOrigin,
    Draining,
    EventbusError,
    Forbidden,
    ForeignHost,
    JournalError,
    JournalFull,
    JournalOutOfMemory,
    KeyReused,
    NoAccess,
    NodeTimeout,
    NotFound,
    NotOwner,
    TooMany,
    TooManyStreams,
    Unauthorized,
)
from eventbus.services.bus import Bus
from eventbus.web.accept import wants_json
from eventbus.web.current import the_bus
from eventbus.web.replies import Reply, problem, text

log = logging.getLogger(__name__)

#: The first match counts, so the more special come first. Seconds for Retry-After, where waiting helps.
_STATUSES: tuple[tuple[type[EventbusError], int, int | None], ...] = (
    (Draining, 503, 5),
    (JournalFull, 507, 10),
    (BacklogFull, 503, 5),
    (JournalOutOfMemory, 503, 5),
    (JournalError, 503, 1),
    (TooManyStreams, 503, 5),
    (NotOwner, 503, 1),
    (NodeTimeout, 503, 1),
    (BadRequest, 400, None),
    (KeyReused, 422, None),
    (Unauthorized, 401, None),
    (Forbidden, 403, None),
    (ForeignHost, 403, None),
    (CrossOrigin, 403, None),
    (NotFound, 404, None),
    (Conflict, 409, None),
    (TooMany, 429, 10),
)
#: How a refusal is counted; else by its status. There are only so many.
_REASONS: dict[type[EventbusError], str] = {
    Draining: "draining",
    JournalFull: "disk_full",
    BacklogFull: "journal_full",
    JournalOutOfMemory: "journal_full",
    JournalError: "journal_unavailable",
    TooManyStreams: "connections",
    NotOwner: "elsewhere",
    NodeTimeout: "node_silent",
    BadRequest: "malformed",
    KeyReused: "key_reused",
    CrossOrigin: "cross_origin",
    ForeignHost: "foreign_host",
}
#: The four routes, whose errors are part of the wire contract.
FOUR = frozenset({"/registerAndKeepAlive", "/deregister", "/sendMessage", "/listSubscribers"})


def install(app: Flask) -> None:
    """Phrase every error as the protocol says."""
    app.register_error_handler(EventbusError, _bus_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _bug)


def _bus_error(error: EventbusError) -> Reply:
    kind, status, wait = status_of(error)
    count_refused(the_bus(), error)
    if kind is KeyReused and not wants_json(request):
        status = 400  # clients of the four routes know no other for what is wrong with a request
    response = _phrased(status, str(error))
    if wait is not None:
        response.headers["Retry-After"] = str(wait)
    if isinstance(error, NoAccess):
        response.headers["WWW-Authenticate"] = error.challenge
    return response


def count_refused(bus: Bus, error: EventbusError) -> None:
    """Count a refused request by its reason."""
    kind, status, _ = status_of(error)
    bus.counters.refused[_REASONS.get(kind, HTTPStatus(status).name.lower())] += 1


def status_of(error: EventbusError) -> tuple[type[EventbusError], int, int | None]:
    """Of which kind an error is, its status, and seconds to wait, where that helps."""
    return next(row for row in _STATUSES if isinstance(error, row[0]))


def _http_error(error: HTTPException) -> Reply:
    the_bus().counters.refused[_KNOWN_STATUSES.get(error.code or 500, "other")] += 1
    if isinstance(error, MethodNotAllowed) and request.path in FOUR:
        allowed = "".join(sorted(set(error.valid_methods or ()) - {"HEAD", "OPTIONS"}))
        response = _phrased(400, f"Only {allowed} accepted", separator=": ")
        response.headers["Allow"] = allowed
        return response
    response = _phrased(error.code or 500, error.description or error.name)
    for name, value in error.get_headers(request.environ):
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response


def _bug(error: Exception) -> Reply:
    log.error("unexpected error in a request", exc_info=error)
    return _phrased(500, "Internal error; see the server log.")


_KNOWN_STATUSES = {status.value: status.name.lower() for status in HTTPStatus if 400 <= status < 600}


def _phrased(status: int, detail: str, separator: str = ":") -> Reply:
    if wants_json(request):
        return problem(status, detail)
    return text(f"Error{separator}{detail}" if request.path in FOUR else f"Error: {detail}", status)
