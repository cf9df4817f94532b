"""Reads request heads from a connection within limits of time and size, and phrases what is wrong with one."""

import re
from functools import lru_cache
from http import HTTPStatus
from io import BytesIO
from types import TracebackType
from typing import Any, Self

import gevent
from gunicorn.http import errors
from gunicorn.http.unreader import SocketUnreader

from eventbus.core.errors import TooManyStreams
from eventbus.delivery.loop_load import LoopLoad
from eventbus.web.server.connections import ClientConnection

#: Status and sentence for each error of gunicorn's parser; the first match counts. The request is not repeated.
_REFUSALS: tuple[tuple[type[Exception], int, str], ...] = (
    (errors.LimitRequestLine, 414, "The request line is too long."),
    (errors.LimitRequestHeaders, 431, "The headers are too long or too many."),
    (errors.ExpectationFailed, 417, "The Expect header is not supported; only 100-continue is."),
    (errors.InvalidRequestMethod, 400, "The method is invalid."),
    (errors.InvalidHTTPVersion, 400, "The HTTP version is not supported."),
    (errors.InvalidRequestLine, 400, "The request line is invalid."),
    (errors.ObsoleteFolding, 400, "A header is folded over several lines."),
    (errors.InvalidHeaderName, 400, "A header name is invalid."),
    (errors.InvalidHeader, 400, "A header is invalid, or contradicts another one."),
    (errors.UnsupportedTransferCoding, 400, "The Transfer-Encoding is not supported."),
    (errors.InvalidChunkSize, 400, "A chunk size is invalid."),
    (errors.ChunkMissingTerminator, 400, "A chunk has no terminator."),
    (errors.InvalidChunkExtension, 400, "A chunk extension is invalid."),
    (errors.ParseException, 400, "It cannot be parsed."),
)


#: RFC 9110, 7.2 and RFC 3986, 3.2.2: a host with an optional port, or nothing. A comma would be two joined headers.
_HOST = re.compile(r"(?:\[[0-9A-Za-z:.%_~!$&'()*+;=-]+\]|(?:[0-9A-Za-z._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?\Z")


#: Bytes in a request's head or its trailers, and in a request line that has no end yet, at most.
MAX_HEAD_BYTES, MAX_LINE_BYTES = 65_536, 8_192
_END = b"\r\n\r\n"


class HeadTooSlow(Exception):
    """A request's head began and did not end in time."""


class RequestReader(SocketUnreader):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's reader, with a time limit for a head that arrives in parts, and with turns for other greenlets."""

    waiting: "Waiting | None" = None
    buf: BytesIO
    body_bytes = 0  # of the current request that have arrived, framing included
    _turn = 0.0  # the event loop's turn in which the last part was read

    def __init__(self, client: Any, load: LoopLoad) -> None:
        super().__init__(client)
        self.load = load

    def chunk(self, size_hint: int | None = None) -> bytes:
        """Return the next part. Give way before a second one in a turn of the event loop: they may never end."""
        if self._turn == self.load.turn_began:
            self.load.give_way()
        self._turn = self.load.turn_began
        waiting = self.waiting
        if waiting is None:
            part: bytes = super().chunk(size_hint)
            self.body_bytes += len(part)
            return part
        waiting.part_arrives()
        data: bytes = super().chunk(size_hint)
        if data[:1] == b"\r" and not waiting.began:
            data = self._after_empty_line(data)
        waiting.began = True
        return data

    def fill(self) -> None:
        """Read until a head is complete, or is one that gunicorn's parser refuses.

        The parser itself would scan all of the head again with each part. Raises LimitRequestHeaders and
        TooManyStreams.
        """
        head, self.buf = bytearray(self.buf.getvalue()), BytesIO()
        end, sound = head.find(_END), _is_sound(head)
        while end < 0 and sound and (b"\r\n" in head or len(head) < MAX_LINE_BYTES) and (part := self.chunk()):
            before = len(head)
            if before and self.waiting is not None:
                self.waiting.hold(len(part))
            head += part
            end = head.find(_END, max(0, before - 3))
            sound = _is_sound(head[before - 1 :] if head[before - 1 : before] == b"\r" else part)
            if (end if end >= 0 else len(head)) > MAX_HEAD_BYTES:
                raise errors.LimitRequestHeaders("limit of the whole head")
        self.buf = BytesIO(head)

    def _after_empty_line(self, data: bytes) -> bytes:
        """Return what follows an empty line. Some clients send one after a body; it is no request (RFC 9112, 2.2)."""
        if data == b"\r":
            data += super().chunk()
        return data if data[:2] != b"\r\n" else data[2:] or super().chunk()

    def holds_request(self) -> bool:
        """Return whether bytes of the next request have already arrived. Drop an empty line, which is no request."""
        held = self.buf.getvalue()
        if held[:2] == b"\r\n":
            held = held[2:]
            self.buf = BytesIO(held)
        return bool(held)


def _is_sound(part: bytes | bytearray) -> bool:
    """Return whether each line ends with CR LF (RFC 9112, 2.2)."""
    return part.count(b"\n") == part.count(b"\r\n")


class Waiting:
    """A context in which the connection waits, idle, for a request's head, with limits of time."""

    __slots__ = ("_connection", "_head_seconds", "_reader", "_timeout", "began")

    def __init__(
        self, reader: RequestReader, connection: ClientConnection, idle_seconds: float, head_seconds: float
    ) -> None:
        self._reader, self._connection, self._head_seconds = reader, connection, head_seconds
        self._timeout = gevent.Timeout(idle_seconds)
        self.began = reader.buf.getbuffer().nbytes > 0 and reader.holds_request()
        if self.began:  # a client may send very many requests in one part
            reader.load.give_way()
        reader.body_bytes = 0

    def part_arrives(self) -> None:
        """Switch to the time limit of a head once its first part has arrived."""
        if self.began and not isinstance(self._timeout.exception, HeadTooSlow):
            self._timeout.close()
            self._timeout = gevent.Timeout.start_new(self._head_seconds, HeadTooSlow())

    def hold(self, count: int) -> None:
        """Count ``count`` bytes of the head as held until the request is over. Raises TooManyStreams."""
        self._connection.take(count)

    def __enter__(self) -> Self:
        self._connection.mark_idle()
        self._reader.waiting = self
        self._timeout.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        self._connection.mark_busy()
        self._reader.waiting = None
        self._timeout.close()
        return error is self._timeout


@lru_cache(64)
def is_host(text: str) -> bool:
    """Return whether a text may be the value of a ``Host`` header."""
    return _HOST.match(text) is not None


def refusal(error: BaseException, head_seconds: float) -> tuple[int, str]:
    """Return status and sentence for a request that could not be read; 500 for an error of the server."""
    if isinstance(error, HeadTooSlow):
        return 408, f"The request's head did not arrive within {head_seconds:g} seconds."
    if isinstance(error, TooManyStreams):
        return 503, str(error)
    for kind, status, sentence in _REFUSALS:
        if isinstance(error, kind):
            return status, f"This is not a valid HTTP request. {sentence}"
    return 500, "Internal error; see the server log."


def error_response(status: int, sentence: str) -> bytes:
    """Return a response in plain text that closes the connection, as bytes."""
    body = f"Error: {sentence}".encode("utf-8", "replace")
    wait = "Retry-After: 5\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else ""
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nServer: eventbus\r\nConnection: close\r\n{wait}"
        "X-Content-Type-Options: nosniff\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body
