"""Reads requests off a connection: in bounded time, and with a sentence for whoever sends what is no HTTP."""

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

#: The status and the words for what gunicorn's parser refuses; the first match counts. What was sent is not repeated.
_REFUSALS: tuple[tuple[type[Exception], int, str], ...] = (
    (errors.LimitRequestLine, 414, "Its first line is too long."),
    (errors.LimitRequestHeaders, 431, "Its headers are too long, or too many."),
    (errors.ExpectationFailed, 417, "What it expects cannot be met."),
    (errors.InvalidRequestMethod, 400, "Its method cannot be read."),
    (errors.InvalidHTTPVersion, 400, "Its version of HTTP is not supported."),
    (errors.InvalidRequestLine, 400, "Its first line cannot be read."),
    (errors.ObsoleteFolding, 400, "A header goes on over more than one line."),
    (errors.InvalidHeaderName, 400, "A header's name cannot be read."),
    (errors.InvalidHeader, 400, "A header cannot be read, or contradicts another one."),
    (errors.UnsupportedTransferCoding, 400, "Its transfer coding is not supported."),
    (errors.InvalidChunkSize, 400, "The size of a chunk cannot be read."),
    (errors.ChunkMissingTerminator, 400, "A chunk does not end where it should."),
    (errors.InvalidChunkExtension, 400, "A chunk's extension cannot be read."),
    (errors.ParseException, 400, "It cannot be read."),
)


#: RFC 9110, 7.2 and RFC 3986, 3.2.2: a host and perhaps a port, or nothing. A comma is where two of them were joined.
_HOST = re.compile(r"(?:\[[0-9A-Za-z:.%_~!$&'()*+;=-]+\]|(?:[0-9A-Za-z._~!$&'()*+;=-]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?\Z")


#: Bytes of a request's head, or of its trailers, in all, and of its first line where that has no end yet.
MAX_HEAD, MAX_LINE = 65_536, 8_192
_END = b"\r\n\r\n"


class HeadTooSlow(Exception):
    """A request's head began, and did not come to its end in time."""


class RequestReader(SocketUnreader):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's reader, that tells who waits for a head when that comes in pieces, and leaves others their turn."""

    waiting: "Waiting | None" = None
    buf: BytesIO
    wire = 0  # bytes of the current request's body that have come, framing included
    _turn = 0.0  # the loop's turn in which a piece was read last

    def __init__(self, client: Any, load: LoopLoad) -> None:
        super().__init__(client)
        self.load = load

    def chunk(self, size_hint: int | None = None) -> bytes:
        """What comes next. A second piece in one turn of the loop leaves others theirs: it may come without end."""
        if self._turn == self.load.turn_began:
            self.load.give_way()
        self._turn = self.load.turn_began
        waiting = self.waiting
        if waiting is None:
            piece: bytes = super().chunk(size_hint)
            self.wire += len(piece)
            return piece
        waiting.more()
        data: bytes = super().chunk(size_hint)
        if data[:1] == b"\r" and not waiting.began:
            data = self._after_empty_line(data)
        waiting.began = True
        return data

    def fill(self) -> None:
        """Read until a whole head is there, or what gunicorn's parser refuses, which looks through all at each piece.

        Raises LimitRequestHeaders, and TooManyStreams where too much is held.
        """
        head, self.buf = bytearray(self.buf.getvalue()), BytesIO()
        end, sound = head.find(_END), _is_sound(head)
        while end < 0 and sound and (b"\r\n" in head or len(head) < MAX_LINE) and (piece := self.chunk()):
            before = len(head)
            if before and self.waiting is not None:
                self.waiting.hold(len(piece))
            head += piece
            end = head.find(_END, max(0, before - 3))
            sound = _is_sound(head[before - 1 :] if head[before - 1 : before] == b"\r" else piece)
            if (end if end >= 0 else len(head)) > MAX_HEAD:
                raise errors.LimitRequestHeaders("limit of the whole head")
        self.buf = BytesIO(head)

    def _after_empty_line(self, data: bytes) -> bytes:
        """What follows an empty line, which ends some clients' bodies, and begins no request (RFC 9112, 2.2)."""
        if data == b"\r":
            data += super().chunk()
        return data if data[:2] != b"\r\n" else data[2:] or super().chunk()

    def holds_request(self) -> bool:
        """Whether bytes of the next request came with the one before; an empty line is none, and is dropped."""
        held = self.buf.getvalue()
        if held[:2] == b"\r\n":
            held = held[2:]
            self.buf = BytesIO(held)
        return bool(held)


def _is_sound(part: bytes | bytearray) -> bool:
    """Whether each line of a head's part ends as it should (RFC 9112, 2.2); no more of one that does not is read."""
    return part.count(b"\n") == part.count(b"\r\n")


class Waiting:
    """Around the wait for a request's head: its connection is idle, for a bounded time; a head that began has less."""

    __slots__ = ("_connection", "_head_seconds", "_reader", "_timeout", "began")

    def __init__(
        self, reader: RequestReader, connection: ClientConnection, idle_seconds: float, head_seconds: float
    ) -> None:
        self._reader, self._connection, self._head_seconds = reader, connection, head_seconds
        self._timeout = gevent.Timeout(idle_seconds)
        self.began = reader.buf.getbuffer().nbytes > 0 and reader.holds_request()
        if self.began:  # it came with the one before, as may very many
            reader.load.give_way()
        reader.wire = 0

    def more(self) -> None:
        """The head wants another piece."""
        if self.began and not isinstance(self._timeout.exception, HeadTooSlow):
            self._timeout.close()
            self._timeout = gevent.Timeout.start_new(self._head_seconds, HeadTooSlow())

    def hold(self, count: int) -> None:
        """Count a further piece of the head, until the request is over. Raises TooManyStreams."""
        self._connection.take(count)

    def __enter__(self) -> Self:
        self._connection.is_idle()
        self._reader.waiting = self
        self._timeout.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        self._connection.is_busy()
        self._reader.waiting = None
        self._timeout.close()
        return error is self._timeout


@lru_cache(64)
def is_host(text: str) -> bool:
    """Whether this may be the value of a ``Host`` header."""
    return _HOST.match(text) is not None


def refusal(error: BaseException, head_seconds: float) -> tuple[int, str]:
    """The status and the sentence for a request that could not be read; 500 for what is no client's fault."""
    if isinstance(error, HeadTooSlow):
        return 408, f"The request's head did not come within {head_seconds:g} seconds."
    if isinstance(error, TooManyStreams):
        return 503, str(error)
    for kind, status, words in _REFUSALS:
        if isinstance(error, kind):
            return status, f"This is no HTTP request that can be served. {words}"
    return 500, "The bus made a mistake; its log says more."


def written(status: int, sentence: str) -> bytes:
    """An answer after which the connection ends, as bytes."""
    body = f"Error: {sentence}".encode("utf-8", "replace")
    wait = "Retry-After: 5\r\n" if status == HTTPStatus.SERVICE_UNAVAILABLE else ""
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nServer: eventbus\r\nConnection: close\r\n{wait}"
        "X-Content-Type-Options: nosniff\r\nContent-Type: text/plain; charset=utf-8\r\n"
        f"Content-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body
