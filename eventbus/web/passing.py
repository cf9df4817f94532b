"""A request that one node passes to another, and its answer: as bytes on their way, and as WSGI has them.

Nothing of a request's body goes along: the routes that are passed on read none.
"""

import io
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

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
#: What goes along: what the routes that are passed on look at.
_ALONG = (
    *("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "RAW_URI", "SERVER_PROTOCOL", "SERVER_NAME", "SERVER_PORT"),
    *("HTTP_HOST", "HTTP_ACCEPT", "HTTP_AUTHORIZATION", "HTTP_ORIGIN", "HTTP_SEC_FETCH_SITE"),
    *("HTTP_X_FORWARDED_HOST", "HTTP_EVENTBUS_PAGE", "REMOTE_ADDR", "HTTP_X_FORWARDED_FOR", REQUEST),
)


@dataclass(frozen=True, slots=True)
class Answered:
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


def unpacked(answer: bytes) -> Answered:
    """What ``Answered.packed`` made bytes of."""
    head, _, body = answer.partition(b"\n")
    said = json.loads(head)
    return Answered(said["status"], tuple((name, value) for name, value in said["headers"]), body)


def packed_request(environ: Environ) -> bytes:
    """A request as bytes."""
    return json.dumps({name: environ[name] for name in _ALONG if name in environ}).encode()


def environ_of(request: bytes) -> Environ:
    """The environment of a request that another node has passed on."""
    return {
        "SCRIPT_NAME": "",
        **json.loads(request),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        FORWARDED: True,
    }


def ask(app: App, environ: Environ) -> Answered:
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
    return Answered(head[0], head[1], body)
