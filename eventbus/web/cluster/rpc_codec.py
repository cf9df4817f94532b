"""A request that one node passes to another, and its answer: as bytes on their way, and as WSGI has them.

Nothing of a request's body goes along: the routes that are passed on read none.
"""

import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from eventbus.core.errors import CallRefused
from eventbus.core.tokens import Scope

Environ = dict[str, Any]
Start = Callable[..., Any]
App = Callable[[Environ, Start], Iterable[bytes]]

#: In the environment of a request that a node answers for itself alone: true where another one asks, false where this
#: one gathers.
FORWARDED = "eventbus.forwarded"
#: In the environment of a request for a page: what the page shows, gathered from all nodes.
GATHERED = "eventbus.gathered"
#: In the environment of a request for a page that not all nodes have a part in: how many have, of how many.
HEARD = "eventbus.heard"
#: In the environment of a request that all nodes answer together: what it is called, by which they know it as one.
REQUEST = "eventbus.request"
#: In the environment of a request that another node has passed on: what its client may do, as that node has found.
SCOPES = "eventbus.scopes"
#: What each request has that is passed on.
_ALWAYS = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "SERVER_PROTOCOL", "SERVER_NAME", "SERVER_PORT")
#: What goes along: what the routes that are passed on look at, and nothing that is secret. The node that a client has
#: asked has checked its token, and the origin of a browser's page.
_ALONG = (
    *_ALWAYS,
    *("HTTP_HOST", "HTTP_ACCEPT", "HTTP_X_FORWARDED_PREFIX", "REMOTE_ADDR", "HTTP_X_FORWARDED_FOR", REQUEST),
)
#: A status line without its version (RFC 9112, 4), and what no header may hold.
_STATUS, _CONTROL = re.compile(r"[1-5][0-9]{2} [ -~]*\Z"), re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class RpcResponse:
    """A whole answer, as a WSGI application that gives it unchanged."""

    status: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __call__(self, environ: Environ, start_response: Start) -> list[bytes]:
        """Answer (PEP 3333)."""
        start_response(self.status, list(self.headers))
        return [self.body]

    @property
    def ok(self) -> bool:
        """Whether it is what was asked for."""
        return self.status.startswith("200")

    @property
    def kind(self) -> str:
        """Its content type."""
        return next((value for name, value in self.headers if name.lower() == "content-type"), "")

    def packed(self) -> bytes:
        """As bytes."""
        head = {"status": self.status, "headers": self.headers}
        return b"%s\n%s" % (json.dumps(head).encode(), self.body)


def unpacked(answer: bytes) -> RpcResponse:
    """What ``RpcResponse.packed`` made bytes of. Raises CallRefused for anything else."""
    head, _, body = answer.partition(b"\n")
    try:
        said = json.loads(head)
        headers = tuple((name, value) for name, value in said["headers"])
        if _STATUS.match(said["status"]) and not any(_CONTROL.search(name + value) for name, value in headers):
            return RpcResponse(said["status"], headers, body)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise CallRefused(f"its answer cannot be read ({type(error).__name__})") from error
    raise CallRefused("its answer cannot be read")


def carried(environ: Environ) -> dict[str, str]:
    """What of a request goes to another node."""
    return {name: environ[name] for name in _ALONG if name in environ}


def environ_of(request: Mapping[str, str], scopes: frozenset[Scope] | None) -> Environ:
    """The environment of a request that another node has passed on. Raises CallRefused for what is no request.

    ``scopes`` is what its client may do, None where no token is needed.
    """
    if missing := [name for name in _ALWAYS if name not in request]:
        raise CallRefused(f"it is no request: it has no {missing[0]}")
    return {
        "SCRIPT_NAME": "",
        **carried(dict(request)),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        FORWARDED: True,
        SCOPES: scopes,
    }


def ask(app: App, environ: Environ) -> RpcResponse:
    """What an app answers, whole."""
    head: list[Any] = []

    def start_response(status: str, headers: list[tuple[str, str]], *_: Any) -> None:
        head[:] = status, tuple(headers)

    parts = app(environ, start_response)
    try:
        body = b"".join(parts)
    finally:
        if hasattr(parts, "close"):
            parts.close()
    return RpcResponse(head[0], head[1], body)
