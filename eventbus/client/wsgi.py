"""Serve an inbox under any WSGI server (PEP 3333): by itself, or in front of an application."""

from collections.abc import Callable, Iterable
from http import HTTPStatus
from typing import Any

from eventbus.client.dispatch import INCOMPLETE_BODY, NO_LENGTH, TOO_LARGE, WRONG_PATH, InboxResponse
from eventbus.client.inbox import MAX_BODY_BYTES, Inbox

Environ = dict[str, Any]
StartResponse = Callable[..., Any]
App = Callable[[Environ, StartResponse], Iterable[bytes]]


class InboxApp:
    """Takes events at ``path``, below where it is mounted. Everything else goes to ``app``, if there is one."""

    def __init__(self, app: App | None = None, *, inbox: Inbox, path: str = "/event") -> None:
        self._app = app
        self._inbox = inbox
        self._path = path

    def __call__(self, environ: Environ, start_response: StartResponse) -> Iterable[bytes]:
        """Answer one request."""
        here = environ.get("PATH_INFO") == self._path
        if not here and self._app is not None:
            return self._app(environ, start_response)
        answer = dispatch_environ(self._inbox, environ) if here else WRONG_PATH
        start_response(f"{answer.status} {HTTPStatus(answer.status).phrase}", list(answer.headers.items()))
        return [answer.body]


def dispatch_environ(inbox: Inbox, environ: Environ) -> InboxResponse:
    """Return the inbox's response to a WSGI request whose body has not been read."""
    body = read_body(environ)
    return (
        body
        if isinstance(body, InboxResponse)
        else inbox.dispatch(environ["REQUEST_METHOD"], headers_of(environ), body)
    )


def read_body(environ: Environ) -> bytes | InboxResponse:
    """Return the request's body, or the response that says why there is none."""
    length = environ.get("CONTENT_LENGTH")
    if not length and "HTTP_TRANSFER_ENCODING" in environ:
        if not environ.get("wsgi.input_terminated"):
            return NO_LENGTH  # this server does not know where the body ends
        body: bytes = environ["wsgi.input"].read(MAX_BODY_BYTES + 1)
        return body if len(body) <= MAX_BODY_BYTES else TOO_LARGE
    if not length:
        return b""
    if not (length.isascii() and length.isdigit()):
        return NO_LENGTH
    if int(length) > MAX_BODY_BYTES:
        return TOO_LARGE
    body = environ["wsgi.input"].read(int(length))
    return body if len(body) == int(length) else INCOMPLETE_BODY


def headers_of(environ: Environ) -> dict[str, str]:
    """Return the request's headers by their names in lower case."""
    headers = {name[5:].replace("_", "-").lower(): value for name, value in environ.items() if name.startswith("HTTP_")}
    if kind := environ.get("CONTENT_TYPE"):
        headers["content-type"] = kind
    return headers
