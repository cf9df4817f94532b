"""Access control: each view has scopes, and a bearer token (RFC 6750) gives its client some of the scopes."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flask import Request, current_app

from eventbus.core.access import NOBODY, OPEN, Access
from eventbus.core.errors import Draining, Forbidden, Unauthorized
from eventbus.core.host_names import HostNames
from eventbus.core.tokens import Scope
from eventbus.services.bus import Bus
from eventbus.services.known_tokens import KnownTokens
from eventbus.web.browsers import SAFE_METHODS, check_browser
from eventbus.web.cluster.rpc_codec import ACCESS, FORWARDED

#: Of a view that has none set, so that a forgotten one is closed.
DEFAULT_SCOPES = (Scope.ADMIN,)

View = TypeVar("View", bound=Callable[..., Any])


def needs(*scopes: Scope) -> Callable[[View], View]:
    """Return a decorator that sets the scopes of which a view's clients need one; without any, it admits everyone."""

    def mark(view: View) -> View:
        view.scopes = scopes  # type: ignore[attr-defined]
        return view

    return mark


def scopes_of_view(view: Callable[..., Any]) -> tuple[Scope, ...]:
    """Return the scopes of which a view's clients need one; none admit everyone."""
    scopes: tuple[Scope, ...] = getattr(view, "scopes", DEFAULT_SCOPES)
    return scopes


def guard(tokens: KnownTokens, hosts: HostNames) -> Callable[[Request], None]:
    """Return a guard that raises CrossOrigin, ForeignHost, Unauthorized or Forbidden.

    If tokens are set, a browser may use any host name: a foreign page has no token, and gets nothing without one.
    """
    closed = bool(tokens)  # it stays so while the process runs
    known_hosts = None if closed else hosts

    def check_request(request: Request) -> None:
        environ = request.environ
        if not environ.get(FORWARDED):  # else the forwarding node has checked
            check_browser(environ, known_hosts)
        if closed and request.endpoint is not None:  # without an endpoint it is 404
            view = current_app.view_functions[request.endpoint]
            check(tokens, scopes_of_view(view), environ)

    return check_request


def drain_guard(bus: Bus) -> Callable[[Request], None]:
    """Return a guard that raises Draining for requests that change something, while the bus drains.

    Earlier requests may still be in progress: they succeed if their changes are saved.
    """

    def check_open(request: Request) -> None:
        if bus.draining and request.environ["REQUEST_METHOD"] not in SAFE_METHODS:
            raise Draining("The bus is draining; try again in a few seconds.")

    return check_open


def check(tokens: KnownTokens, scopes: tuple[Scope, ...], environ: dict[str, Any]) -> Access:
    """Return what a client may do if it has one of the scopes, by its ``Authorization`` header; note it in ``environ``.

    Raises Unauthorized and Forbidden.
    """
    if not scopes:
        return NOBODY
    access: Access | None = environ.get(ACCESS)
    if access is None:
        if environ.get("HTTP_AUTHORIZATION") is None:
            raise Unauthorized("A token is required: send Authorization: Bearer TOKEN.")
        access = environ[ACCESS] = tokens.access_of(token_of(environ["HTTP_AUTHORIZATION"]))
    if access.scopes.isdisjoint(scopes):
        raise Forbidden(f"This token may not {_VERBS[scopes[0]]}.", scope=scopes[0])
    return access


def access_of(environ: Mapping[str, Any], tokens: KnownTokens) -> Access:
    """Return what a request's client may do: by its token, or as the forwarding node has checked it."""
    if not tokens:
        return OPEN
    access: Access | None = environ.get(ACCESS)
    return tokens.find(token_of(environ.get("HTTP_AUTHORIZATION"))) if access is None else access


def token_of(authorization: str | None) -> str:
    """Return the bearer token in an ``Authorization`` header; empty if there is none."""
    kind, _, token = (authorization or "").strip().partition(" ")
    return token.strip() if kind.lower() == "bearer" else ""


_VERBS = {
    Scope.PUBLISH: "publish",
    Scope.SUBSCRIBE: "subscribe",
    Scope.VIEW: "view",
    Scope.ADMIN: "administer",
}
