"""What every page has: its frame, its headers, its JSON twin, and a door where tokens are set."""

import functools
from collections.abc import Callable
from typing import Any

from flask import render_template, request

from eventbus import __version__
from eventbus.core.errors import EventbusError, NoAccess
from eventbus.core.tokens import Scope
from eventbus.web.accept import wants_json
from eventbus.web.access import check, needs
from eventbus.web.cluster.rpc_codec import GATHERED, HEARD
from eventbus.web.current import the_bus
from eventbus.web.error_responses import status_of
from eventbus.web.proxy_prefix import prefix_of, root_of
from eventbus.web.replies import Reply, as_json, problem

HTML = "text/html; charset=utf-8"
#: Nothing from elsewhere, nothing inline, in nobody's frame.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self';"
        " base-uri 'none'; form-action 'self'; frame-ancestors 'none'"
    ),
    "Referrer-Policy": "no-referrer",
    "Cache-Control": "no-store",
}
#: The pages by their paths below the root, as the navigation shows them.
NAVIGATION = (
    ("", "Overview"),
    ("dashboard/subscribers", "Subscribers"),
    ("dashboard/journal", "Journal"),
    ("dashboard/deadLetters", "Dead letters"),
    ("dashboard/send", "Send"),
    ("dashboard/settings", "Settings"),
)

Data = Callable[[], dict[str, Any]]


def page(template: str) -> Callable[[Data], Callable[[], Reply]]:
    """Makes a page of a function that collects what it shows. Whoever may not see it is asked for a token."""

    def wrap(collect: Data) -> Callable[[], Reply]:
        @needs(None)
        @functools.wraps(collect)
        def view() -> Reply:
            try:
                check_visitor()
                data = request.environ.get(GATHERED) or collect()
            except NoAccess as error:
                return _door(error)
            except EventbusError as error:
                return trouble(error)
            return as_json(data) if wants_json(request) else _html(template, **data)

        return view

    return wrap


def check_visitor() -> None:
    """Let an administrator in. Raises NoAccess."""
    tokens = the_bus().settings.tokens
    if tokens:
        check(tokens, Scope.ADMIN, request.environ)


def _html(template: str, status: int = 200, **data: Any) -> Reply:
    heard = request.environ.get(HEARD)
    frame = {"navigation": NAVIGATION, "path": request.path, "version": __version__, "heard": heard}
    frame |= {"root": root_of(request.path), "prefix": prefix_of(request.environ)}
    body = render_template(f"dashboard/{template}", **frame, **data)
    return Reply(body.encode("utf-8", "replace"), status, HTML, dict(HEADERS))


def _door(error: NoAccess) -> Reply:
    _, status, _ = status_of(error)
    reply = problem(status, str(error)) if wants_json(request) else _html("door.html", status, reason=str(error))
    reply.headers["WWW-Authenticate"] = error.challenge
    return reply


def trouble(error: EventbusError) -> Reply:
    """A page that says why the one that was asked for cannot be shown; where waiting helps, it waits by itself."""
    _, status, wait = status_of(error)
    if wants_json(request):
        reply = problem(status, str(error))
    else:
        reply = _html("trouble.html", status, reason=str(error), wait=wait)
    if wait is not None:
        reply.headers["Retry-After"] = str(wait)
    return reply
