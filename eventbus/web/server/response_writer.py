"""A response that sends its head and body together, within limits of time and of unread bytes."""

import math
import re
import time
from collections.abc import Callable, Iterable
from email.utils import formatdate
from enum import Enum, auto
from functools import lru_cache
from typing import Any

import gevent

from eventbus.core.errors import TooManyStreams
from eventbus.web.server.byte_budget import MIB
from eventbus.web.server.connections import ClientConnection
from eventbus.web.server.ordinary_request import unread_bytes

#: Bytes of an unread body that are still read, so that its connection can be used again.
MAX_DRAINED_BYTES = 65_536

#: Bytes from which a part of a body is sent apart from the head, which saves a copy.
SEPARATE_SEND_BYTES = 65_536

#: RFC 9112, 4 and PEP 3333; RFC 9110, 5.1 and 5.5.
_STATUS = re.compile(r"[0-9]{3} [\t -~\x80-\xff]*")
_NAME, _VALUE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+"), re.compile(r"[\t -~\x80-\xff]*")
#: Headers about the connection, which is the writer's (RFC 9110, 7.6.1), and those that it adds itself.
_LEFT_OUT = frozenset(
    {"connection", "date", "keep-alive", "proxy-authenticate", "proxy-authorization", "server", "te", "trailers",
     "transfer-encoding", "upgrade"}
)  # fmt: skip


class PeerGone(OSError):
    """The client does not read the response any more."""


class TooMuchUnread(PeerGone):
    """The limit on the bytes of unread responses is reached, so this response is dropped."""


class _Kind(Enum):
    """What becomes of a header of the application."""

    SENT = auto()
    LENGTH = auto()
    LEFT_OUT = auto()


@lru_cache(256)
def _kind_of(name: str) -> _Kind:
    """Return what becomes of a header. Raises ValueError for what is no name."""
    if not _NAME.fullmatch(name):
        raise ValueError(f"{name!r} is no name of a header")
    lower = name.lower()
    return _Kind.LENGTH if lower == "content-length" else _Kind.LEFT_OUT if lower in _LEFT_OUT else _Kind.SENT


def has_long_rest(body: Any) -> bool:
    """Return whether a body's unread rest is, or may be, too long to read it just to keep the connection."""
    return body.failed or body.awaits or unread_bytes(body) > MAX_DRAINED_BYTES


class ResponseWriter:
    """The response to one request (PEP 3333). It sends its head together with the first part of the body.

    gunicorn's own takes 8 % of the instructions of a publish to nobody more.
    """

    __slots__ = (
        "_connection",
        "_head",
        "_left",
        "_lines",
        "_must_close",
        "_omits_body",
        "_request",
        "_seconds",
        "_status",
        "chunked",
        "headers_sent",
    )

    def __init__(self, request: Any, connection: ClientConnection, seconds: float) -> None:
        self._request = request
        self._connection = connection
        self._seconds = seconds  # in which the client has to read each MiB
        self._status = ""
        self._lines: list[str] = []
        self._head = b""
        self._left = math.inf  # bytes of the body that its length allows
        self._must_close = self._omits_body = False
        self.chunked = False
        self.headers_sent = False  #: it is too late for another response

    def force_close(self) -> None:
        """Close the connection after this response."""
        self._must_close = True

    def should_close(self) -> bool:
        """Return whether the connection closes after this response."""
        ends_itself = self.chunked or self._omits_body or self._left != math.inf
        return self._must_close or self._request.should_close() or not ends_itself

    def start_response(
        self, status: str, headers: Iterable[tuple[str, str]], exc_info: Any = None
    ) -> Callable[[bytes], None]:
        """Set status and headers. Headers about the connection, such as ``Connection`` and ``Date``, are left out.

        Raises AssertionError the second time, or ``exc_info`` once the head is sent, and ValueError for what no header
        can hold.
        """
        if exc_info is not None and self.headers_sent:
            raise exc_info[1].with_traceback(exc_info[2])
        if self._status and exc_info is None:
            raise AssertionError("start_response was called before")
        if not _STATUS.fullmatch(status):
            raise ValueError(f"{status!r} is no status")
        code = int(status[:3])
        self._omits_body = self._request.method == "HEAD" or code in (204, 304) or code < 200
        self._status, self._lines, self._left = status, [], math.inf
        for name, value in headers:
            kind = _kind_of(name)
            if not _VALUE.fullmatch(value):
                raise ValueError(f"the response's header {name} holds a character that is not allowed")
            if kind is _Kind.LENGTH:
                if code < 200 or code == 204:
                    continue
                self._left = int(value)
            if kind is not _Kind.LEFT_OUT:
                self._lines.append(f"{name}: {value}\r\n")
        self.chunked = self._left == math.inf and not self._omits_body and self._request.version >= (1, 1)
        return self.write

    def write(self, part: bytes) -> None:
        """Send a part of the body, the first with the head; no more than ``Content-Length`` says. Raises PeerGone."""
        if not self.headers_sent:
            self._write_head()
        if self._omits_body or not part:
            return
        if len(part) > self._left:
            part = part[: int(self._left)]
        self._left -= len(part)
        if self.chunked:
            part = b"%X\r\n%s\r\n" % (len(part), part)
        if len(part) > SEPARATE_SEND_BYTES:
            self._send(self._head)
            self._send(part)
        elif part:
            self._send(self._head + part)
        self._head = b""

    def close(self) -> None:
        """Send the rest of the response. Raises PeerGone."""
        if not self.headers_sent:
            self._write_head()
        end = self._head + (b"0\r\n\r\n" if self.chunked else b"")
        if end:
            self._send(end)
        self._head = b""

    def _write_head(self) -> None:
        """Write the head; it is sent with what follows."""
        if has_long_rest(self._request.body):
            self._must_close = True
        version = "1.1" if self._request.version >= (1, 1) else "1.0"
        connection = "close" if self.should_close() else "keep-alive"
        coding = "Transfer-Encoding: chunked\r\n" if self.chunked else ""
        self._head = (
            f"HTTP/{version} {self._status}\r\nServer: eventbus\r\nDate: {http_date()}\r\n"
            f"Connection: {connection}\r\n{coding}{''.join(self._lines)}\r\n"
        ).encode("latin-1")
        self.headers_sent = True

    def _send(self, data: bytes) -> None:
        """Send data, usually with one system call; gevent's ``sendall`` makes one more. Raises PeerGone."""
        try:
            try:
                sent = self._connection.client.send(data)
            except BlockingIOError:
                sent = 0
            if sent != len(data):
                self._send_rest(memoryview(data)[sent:])
        except TooMuchUnread:
            raise
        except OSError as error:
            raise PeerGone(f"the client is gone: {error}") from error

    def _send_rest(self, rest: memoryview) -> None:
        """Send what did not fit into the socket's buffer, within limits of time and of unread bytes."""
        count = len(rest)
        try:
            self._connection.take(count)
        except TooManyStreams:
            raise TooMuchUnread("too many bytes of responses are unread") from None
        with gevent.Timeout(self._seconds * (1 + count // MIB), PeerGone("the client does not read")):
            self._connection.client.sendall(rest)
        self._connection.release(count)


_date: tuple[int, str] = (0, "")


def http_date() -> str:
    """Return the current time for a Date header (RFC 9110, 5.6.7), computed once a second."""
    global _date  # noqa: PLW0603 - a cache of one
    now = int(time.time())
    if _date[0] != now:
        _date = now, formatdate(now, usegmt=True)
    return _date[1]
