"""Who may call what: each view says which scope it needs, and a bearer token (RFC 6750) says which one a client has."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flask import Request, current_app

from eventbus.core.errors import Draining, Forbidden, Unauthorized
from eventbus.core.host_names import HostNames
from eventbus.core.tokens import Scope, Tokens
from eventbus.services.bus import Bus
from eventbus.web.browsers import READING, check_browser
from eventbus.web.cluster.rpc_codec import FORWARDED, SCOPES

#: What a view needs that says nothing, so that one that is forgotten is closed.
USUAL = Scope.ADMIN

View = TypeVar("View", bound=Callable[..., Any])


def needs(scope: Scope | None) -> Callable[[View], View]:
    """Marks a view with the scope that a client needs; None lets everybody in."""

    def mark(view: View) -> View:
        view.scope = scope  # type: ignore[attr-defined]
        return view

    return mark


def scope_of(view: Callable[..., Any]) -> Scope | None:
    """What a view needs."""
    scope: Scope | None = getattr(view, "scope", USUAL)
    return scope


def guard(tokens: Tokens, hosts: HostNames) -> Callable[[Request], None]:
    """A function that lets a request through, or raises CrossOrigin, ForeignHost, Unauthorized or Forbidden.

    Where tokens are set, a browser may ask by any name: it gets nothing without a token, which no foreign page has.
    """
    asked_for = None if tokens else hosts

    def check_request(request: Request) -> None:
        environ = request.environ
        if not environ.get(FORWARDED):  # the node that it came to has looked
            check_browser(environ, asked_for)
        if tokens and request.endpoint is not None:  # what leads nowhere is told so
            view = current_app.view_functions[request.endpoint]
            check(tokens, scope_of(view), environ)

    return check_request


def drain_guard(bus: Bus) -> Callable[[Request], None]:
    """A function that refuses whatever may change something, while the bus drains. It raises Draining.

    What is asked for before may still be under way: it is answered with success where it is saved.
    """

    def check_open(request: Request) -> None:
        if bus.draining and request.environ["REQUEST_METHOD"] not in READING:
            raise Draining("The bus is stopping; ask again in a few seconds.")

    return check_open


def check(tokens: Tokens, scope: Scope | None, environ: Mapping[str, Any]) -> None:
    """Let a client through by its ``Authorization`` header. Raises Unauthorized and Forbidden."""
    if scope is None:
        return
    if environ.get("HTTP_AUTHORIZATION") is None and environ.get(SCOPES) is None:
        raise Unauthorized("A token is needed: send Authorization: Bearer and the token.")
    scopes = scopes_of(environ, tokens)
    if not scopes:
        raise Unauthorized("The token is not known.", error="invalid_token")
    if scope not in scopes:
        raise Forbidden(f"This token may not {_DOES[scope]}.", scope=scope)


def scopes_of(environ: Mapping[str, Any], tokens: Tokens) -> frozenset[Scope]:
    """What a request's client may do: by its token, or as the node has found that passed the request on."""
    passed: frozenset[Scope] | None = environ.get(SCOPES)
    return tokens.scopes_of(token_of(environ.get("HTTP_AUTHORIZATION"))) if passed is None else passed


def token_of(authorization: str | None) -> str:
    """The bearer token in an ``Authorization`` header; empty where there is none."""
    kind, _, token = (authorization or "").strip().partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


_DOES = {
    Scope.PUBLISH: "publish",
    Scope.SUBSCRIBE: "subscribe",
    Scope.ADMIN: "administer",
}
