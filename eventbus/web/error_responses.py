"""Error responses: the status of each error, and its text or problem details."""

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
    NoRoom,
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

#: Status and seconds for Retry-After of each error; the first match counts, so the more specific ones come first.
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
    (NoRoom, 507, None),
)
#: The reason under which a refused request is counted; by default the name of its status.
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
    NoRoom: "no_room",
    KeyReused: "key_reused",
    CrossOrigin: "cross_origin",
    ForeignHost: "foreign_host",
}
#: The four plain routes, whose error texts are part of the wire contract.
PLAIN_ROUTES = frozenset({"/registerAndKeepAlive", "/deregister", "/sendMessage", "/listSubscribers"})


def install(app: Flask) -> None:
    """Register the handlers that make the protocol's responses of errors."""
    app.register_error_handler(EventbusError, _bus_error)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(Exception, _unexpected)


def _bus_error(error: EventbusError) -> Reply:
    kind, status, wait = status_of(error)
    count_refused(the_bus(), error)
    if kind in (KeyReused, Conflict) and request.path in PLAIN_ROUTES and not wants_json(request):
        status = 400  # the four routes use it for any wrong request
    response = _response(status, str(error))
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
    """Return an error's class in the table, its status, and the seconds for Retry-After, if waiting helps."""
    return next(row for row in _STATUSES if isinstance(error, row[0]))


def _http_error(error: HTTPException) -> Reply:
    the_bus().counters.refused[_KNOWN_STATUSES.get(error.code or 500, "other")] += 1
    if isinstance(error, MethodNotAllowed) and request.path in PLAIN_ROUTES:
        allowed = "".join(sorted(set(error.valid_methods or ()) - {"HEAD", "OPTIONS"}))
        response = _response(400, f"Only {allowed} accepted", separator=": ")
        response.headers["Allow"] = allowed
        return response
    response = _response(error.code or 500, error.description or error.name)
    for name, value in error.get_headers(request.environ):
        if name in ("Allow", "Retry-After"):
            response.headers[name] = value
    return response


def _unexpected(error: Exception) -> Reply:
    log.error("unexpected error in a request", exc_info=error)
    return _response(500, "Internal error; see the server log.")


_KNOWN_STATUSES = {status.value: status.name.lower() for status in HTTPStatus if 400 <= status < 600}


def _response(status: int, detail: str, separator: str = ":") -> Reply:
    if wants_json(request):
        return problem(status, detail)
    return text(f"Error{separator}{detail}" if request.path in PLAIN_ROUTES else f"Error: {detail}", status)
