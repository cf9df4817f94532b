"""Reads requests off a connection: in bounded time, and with a sentence for whoever sends what is no HTTP."""

from http import HTTPStatus
from types import TracebackType
from typing import Any, Self

import gevent
from gunicorn.http.errors import ExpectationFailed, LimitRequestHeaders, LimitRequestLine, ParseException
from gunicorn.http.unreader import SocketUnreader

from eventbus.telemetry.lines import one_line

#: Characters of what was wrong that a client is told.
MAX_REASON = 200
#: Statuses of what gunicorn's parser refuses; 400 for all else.
_STATUSES: tuple[tuple[type[Exception], int], ...] = (
    (LimitRequestLine, 414),
    (ExpectationFailed, 417),
    (LimitRequestHeaders, 431),
)


class HeadTooSlow(Exception):
    """A request's head began, and did not come to its end in time."""


class Reader(SocketUnreader):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's reader, that tells who waits for a head when that comes in pieces."""

    waiting: "Waiting | None" = None

    def chunk(self, size_hint: int | None = None) -> bytes:
        """What comes next."""
        waiting = self.waiting
        if waiting is None:
            data: bytes = super().chunk(size_hint)
            return data
        waiting.more()
        data = super().chunk(size_hint)
        waiting.began = True
        return data


class Waiting:
    """Around the wait for a request's head: notes who waits, and bounds the wait; a head that began has less time."""

    __slots__ = ("_head_seconds", "_idle", "_reader", "_timeout", "began")

    def __init__(self, reader: Reader, idle: set[Any], idle_seconds: float, head_seconds: float) -> None:
        self._reader, self._idle, self._head_seconds = reader, idle, head_seconds
        self._timeout = gevent.Timeout(idle_seconds)
        self.began = False

    def more(self) -> None:
        """The head wants another piece."""
        if self.began and not isinstance(self._timeout.exception, HeadTooSlow):
            self._timeout.close()
            self._timeout = gevent.Timeout.start_new(self._head_seconds, HeadTooSlow())

    def __enter__(self) -> Self:
        self._idle.add(gevent.getcurrent())
        self._reader.waiting = self
        self._timeout.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> bool:
        self._idle.discard(gevent.getcurrent())
        self._reader.waiting = None
        self._timeout.close()
        return error is self._timeout


def refusal(error: BaseException, head_seconds: float) -> tuple[int, str]:
    """The status and the sentence for a request that could not be read; 500 for what is no client's fault."""
    if isinstance(error, HeadTooSlow):
        return 408, f"The request's head did not come within {head_seconds:g} seconds."
    if not isinstance(error, ParseException):
        return 500, "The bus made a mistake; its log says more."
    status = next((code for kind, code in _STATUSES if isinstance(error, kind)), 400)
    return status, f"This is no HTTP request that can be served. {one_line(str(error))[:MAX_REASON]}".strip()


def written(status: int, sentence: str) -> bytes:
    """An answer after which the connection ends, as bytes."""
    body = f"Error: {sentence}".encode("utf-8", "replace")
    head = (
        f"HTTP/1.1 {status} {HTTPStatus(status).phrase}\r\nServer: eventbus\r\nConnection: close\r\n"
        f"Content-Type: text/plain; charset=utf-8\r\nContent-Length: {len(body)}\r\n\r\n"
    )
    return head.encode("ascii") + body
