"""Access control: each view has a scope, and a bearer token (RFC 6750) gives its client some of the scopes."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flask import Request, current_app

from eventbus.core.errors import Draining, Forbidden, Unauthorized
from eventbus.core.host_names import HostNames
from eventbus.core.tokens import Scope, Tokens
from eventbus.services.bus import Bus
from eventbus.web.browsers import SAFE_METHODS, check_browser
from eventbus.web.cluster.rpc_codec import FORWARDED, SCOPES

#: The scope of a view that has none set, so that a forgotten one is closed.
DEFAULT_SCOPE = Scope.ADMIN

View = TypeVar("View", bound=Callable[..., Any])


def needs(scope: Scope | None) -> Callable[[View], View]:
    """Return a decorator that sets the scope which a view's clients need; None admits everyone."""

    def mark(view: View) -> View:
        view.scope = scope  # type: ignore[attr-defined]
        return view

    return mark


def scope_of(view: Callable[..., Any]) -> Scope | None:
    """Return the scope of a view."""
    scope: Scope | None = getattr(view, "scope", DEFAULT_SCOPE)
    return scope


def guard(tokens: Tokens, hosts: HostNames) -> Callable[[Request], None]:
    """Return a guard that raises CrossOrigin, ForeignHost, Unauthorized or Forbidden.

    If tokens are set, a browser may use any host name: a foreign page has no token, and gets nothing without one.
    """
    known_hosts = None if tokens else hosts

    def check_request(request: Request) -> None:
        environ = request.environ
        if not environ.get(FORWARDED):  # else the forwarding node has checked
            check_browser(environ, known_hosts)
        if tokens and request.endpoint is not None:  # without an endpoint it is 404
            view = current_app.view_functions[request.endpoint]
            check(tokens, scope_of(view), environ)

    return check_request


def drain_guard(bus: Bus) -> Callable[[Request], None]:
    """Return a guard that raises Draining for requests that change something, while the bus drains.

    Earlier requests may still be in progress: they succeed if their changes are saved.
    """

    def check_open(request: Request) -> None:
        if bus.draining and request.environ["REQUEST_METHOD"] not in SAFE_METHODS:
            raise Draining("The bus is draining; try again in a few seconds.")

    return check_open


def check(tokens: Tokens, scope: Scope | None, environ: Mapping[str, Any]) -> None:
    """Return if a client has the scope, by its ``Authorization`` header. Raises Unauthorized and Forbidden."""
    if scope is None:
        return
    if environ.get("HTTP_AUTHORIZATION") is None and environ.get(SCOPES) is None:
        raise Unauthorized("A token is required: send Authorization: Bearer TOKEN.")
    scopes = scopes_of(environ, tokens)
    if not scopes:
        raise Unauthorized("The token is unknown.", error="invalid_token")
    if scope not in scopes:
        raise Forbidden(f"This token may not {_VERBS[scope]}.", scope=scope)


def scopes_of(environ: Mapping[str, Any], tokens: Tokens) -> frozenset[Scope]:
    """Return the scopes of a request's client: by its token, or as the forwarding node has checked them."""
    forwarded: frozenset[Scope] | None = environ.get(SCOPES)
    return tokens.scopes_of(token_of(environ.get("HTTP_AUTHORIZATION"))) if forwarded is None else forwarded


def token_of(authorization: str | None) -> str:
    """Return the bearer token in an ``Authorization`` header; empty if there is none."""
    kind, _, token = (authorization or "").strip().partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


_VERBS = {
    Scope.PUBLISH: "publish",
    Scope.SUBSCRIBE: "subscribe",
    Scope.ADMIN: "administer",
}
