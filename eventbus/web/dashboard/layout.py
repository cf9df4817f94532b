"""What every page has: its frame, its headers, its data as JSON, and the login form where tokens are set."""

import functools
from collections.abc import Callable
from typing import Any

from flask import render_template, request

from eventbus import __version__
from eventbus.core.errors import EventbusError, NoAccess
from eventbus.core.tokens import Scope
from eventbus.web.accept import wants_json
from eventbus.web.access import access_of, check, needs
from eventbus.web.cluster.rpc_codec import MERGED, NODES_HEARD
from eventbus.web.current import the_bus
from eventbus.web.error_responses import status_of
from eventbus.web.proxy_prefix import prefix_of, root_of
from eventbus.web.replies import Reply, as_json, problem

HTML = "text/html; charset=utf-8"
#: Load nothing from other origins, run nothing inline, allow no framing.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
#: The pages of the navigation: the path below the root, and the title.
NAVIGATION = (
    ("", "Overview"),
    ("dashboard/subscribers", "Subscribers"),
    ("dashboard/journal", "Journal"),
    ("dashboard/scheduled", "Scheduled"),
    ("dashboard/deadLetters", "Dead letters"),
    ("dashboard/send", "Send"),
    ("dashboard/settings", "Settings"),
)

Data = Callable[[], dict[str, Any]]


def page(template: str) -> Callable[[Data], Callable[[], Reply]]:
    """Return a decorator: a function that collects data becomes a view of a page.

    A client that may not view gets the login form instead.
    """

    def wrap(collect: Data) -> Callable[[], Reply]:
        @needs()
        @functools.wraps(collect)
        def view() -> Reply:
            try:
                check_visitor()
                data = request.environ.get(MERGED) or collect()
            except NoAccess as error:
                return _login(error)
            except EventbusError as error:
                return error_page(error)
            return as_json(data) if wants_json(request) else _html(template, data)

        return view

    return wrap


def check_visitor() -> None:
    """Return if the client may view everything, or no tokens are set. Raises NoAccess."""
    tokens = the_bus().tokens
    if tokens:
        check(tokens, (Scope.VIEW,), request.environ)


def _html(template: str, data: dict[str, Any], status: int = 200) -> Reply:
    heard = request.environ.get(NODES_HEARD)
    frame = {"navigation": NAVIGATION, "path": request.path, "version": __version__, "heard": heard}
    frame |= _permitted()
    frame |= {"root": root_of(request.path), "prefix": prefix_of(request.environ)}
    body = render_template(f"dashboard/{template}", **frame, **data)
    return Reply(body.encode("utf-8", "replace"), status, HTML, dict(HEADERS))


def _permitted() -> dict[str, bool]:
    """Return what a page may offer to this client: actions on what is there, and publishing."""
    scopes = access_of(request.environ, the_bus().tokens).scopes
    return {"may_act": Scope.ADMIN in scopes, "may_publish": Scope.PUBLISH in scopes}


def _login(error: NoAccess) -> Reply:
    _, status, _ = status_of(error)
    reply = problem(status, str(error)) if wants_json(request) else _html("login.html", {"reason": str(error)}, status)
    reply.headers["WWW-Authenticate"] = error.challenge
    return reply


def error_page(error: EventbusError) -> Reply:
    """Return a page that says why the requested one cannot be displayed. If waiting helps, it reloads by itself."""
    _, status, wait = status_of(error)
    if wants_json(request):
        reply = problem(status, str(error))
    else:
        reply = _html("error.html", {"reason": str(error), "wait": wait}, status)
    if wait is not None:
        reply.headers["Retry-After"] = str(wait)
    return reply
