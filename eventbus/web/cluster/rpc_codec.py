"""Requests that one node forwards to another, and their responses: as bytes, and as WSGI has them.

A request's body is not forwarded: the routes that are forwarded read none.
"""

import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from eventbus.core.access import Access
from eventbus.core.errors import CallRefused
from eventbus.web.credentials import secret_fields

Environ = dict[str, Any]
Start = Callable[..., Any]
App = Callable[[Environ, Start], Iterable[bytes]]

#: In the environment of a request that a node answers for itself only: true if a peer forwarded it, false if this node
#: merges the responses.
FORWARDED = "eventbus.forwarded"
#: In the environment of a request for a page: its data, merged from all nodes.
MERGED = "eventbus.merged"
#: In the environment of a request for a page, if some node did not answer: how many did, of how many.
NODES_HEARD = "eventbus.nodes_heard"
#: In the environment of a request that all nodes answer: the id that it has on each of them.
REQUEST = "eventbus.request"
#: In the environment of a request whose client's token was checked, here or by the forwarding node: what it may do.
ACCESS = "eventbus.access"
#: In the environment of a publish in a cluster: makes of the seconds that it waits what asks the peers.
PEERS = "eventbus.peers"
#: What each forwarded request has.
_REQUIRED = ("REQUEST_METHOD", "PATH_INFO", "QUERY_STRING", "SERVER_PROTOCOL", "SERVER_NAME", "SERVER_PORT")
#: What is forwarded as it is: all that the routes read, and nothing that is secret. The forwarding node has checked
#: the token and the origin.
_FORWARDED_FIELDS = (
    *_REQUIRED,
    *("HTTP_HOST", "HTTP_ACCEPT", "HTTP_X_FORWARDED_PREFIX", "REMOTE_ADDR", "HTTP_X_FORWARDED_FOR", REQUEST),
)
#: A status line without its version (RFC 9112, 4), and the characters that no header may hold.
_STATUS, _CONTROL = re.compile(r"[1-5][0-9]{2} [ -~]*\Z"), re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True, slots=True)
class RpcResponse:
    """A complete response; also the WSGI application that answers with it."""

    status: str
    headers: tuple[tuple[str, str], ...]
    body: bytes

    def __call__(self, environ: Environ, start_response: Start) -> list[bytes]:
        """Answer (PEP 3333)."""
        start_response(self.status, list(self.headers))
        return [self.body]

    @property
    def ok(self) -> bool:
        """Whether the status is 200."""
        return self.status.startswith("200")

    @property
    def kind(self) -> str:
        """The content type."""
        return next((value for name, value in self.headers if name.lower() == "content-type"), "")

    def encode(self) -> bytes:
        """Return the response as bytes."""
        head = {"status": self.status, "headers": self.headers}
        return b"%s\n%s" % (json.dumps(head).encode(), self.body)


def decode_response(answer: bytes) -> RpcResponse:
    """Read what ``RpcResponse.encode`` has written. Raises CallRefused for anything else."""
    head, _, body = answer.partition(b"\n")
    try:
        payload = json.loads(head)
        headers = tuple((name, value) for name, value in payload["headers"])
        if _STATUS.match(payload["status"]) and not any(_CONTROL.search(name + value) for name, value in headers):
            return RpcResponse(payload["status"], headers, body)
    except (ValueError, LookupError, TypeError, RecursionError) as error:
        raise CallRefused(f"the response is malformed ({type(error).__name__})") from error
    raise CallRefused("the response is malformed")


def forwarded_fields(environ: Environ) -> dict[str, str]:
    """Return the part of a request's environment that is forwarded."""
    return {name: environ[name] for name in _FORWARDED_FIELDS if name in environ}


def environ_of(request: Mapping[str, str], access: Access | None) -> Environ:
    """Return the environment of a forwarded request. Raises CallRefused if it is incomplete.

    ``access`` is its client's, None if no tokens are set.
    """
    if missing := [name for name in _REQUIRED if name not in request]:
        raise CallRefused(f"the request has no {missing[0]}")
    return {
        "SCRIPT_NAME": "",
        **forwarded_fields(dict(request)),
        **secret_fields(request),
        "wsgi.version": (1, 0),
        "wsgi.url_scheme": "http",
        "wsgi.input": io.BytesIO(),
        "wsgi.errors": sys.stderr,
        "wsgi.multithread": True,
        "wsgi.multiprocess": False,
        "wsgi.run_once": False,
        FORWARDED: True,
        ACCESS: access,
    }


def call_app(app: App, environ: Environ) -> RpcResponse:
    """Call a WSGI application, and return its complete response."""
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
