"""Who may call what: each view says which scope it needs, and a bearer token (RFC 6750) says which one a client has."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from flask import current_app, request

from eventbus.errors import CrossOrigin, Forbidden, Unauthorized
from eventbus.tokens import Scope, Tokens

#: What a view needs that says nothing, so that one that is forgotten is closed.
USUAL = Scope.ADMIN
_SITE = "HTTP_SEC_FETCH_SITE"
_READING = frozenset({"GET", "HEAD", "OPTIONS"})

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


def guard(tokens: Tokens) -> Callable[[], None]:
    """A function that lets the current request through, or raises CrossOrigin, Unauthorized or Forbidden."""

    def check_request() -> None:
        environ = request.environ
        if ("HTTP_ORIGIN" in environ or _SITE in environ) and environ["REQUEST_METHOD"] not in _READING:
            check_origin(environ)
        if tokens and request.endpoint is not None:  # what leads nowhere is told so
            view = current_app.view_functions[request.endpoint]
            check(tokens, scope_of(view), environ.get("HTTP_AUTHORIZATION"))

    return check_request


def check_origin(environ: Mapping[str, Any]) -> None:
    """Let a browser change something only from a page of this bus (Fetch Metadata). Raises CrossOrigin."""
    site = environ.get(_SITE)
    if site is not None:
        ours = site in ("same-origin", "none")
    else:
        ours = environ["HTTP_ORIGIN"].partition("://")[2] == environ.get("HTTP_HOST")
    if not ours:
        raise CrossOrigin("A page from elsewhere may not change anything here.")


def check(tokens: Tokens, scope: Scope | None, authorization: str | None) -> None:
    """Let a client through by its ``Authorization`` header. Raises Unauthorized and Forbidden."""
    if scope is None:
        return
    if authorization is None:
        raise Unauthorized("A token is needed: send Authorization: Bearer and the token.")
    kind, _, token = authorization.strip().partition(" ")
    scopes = tokens.scopes_of(token.strip()) if kind.lower() == "bearer" else frozenset()
    if not scopes:
        raise Unauthorized("The token is not known.", error="invalid_token")
    if scope not in scopes:
        raise Forbidden(f"This token may not {_DOES[scope]}.", scope=scope)


_DOES = {
    Scope.PUBLISH: "publish",
    Scope.SUBSCRIBE: "subscribe",
    Scope.ADMIN: "administer",
}
