"""Reads requests from a connection, within limits of time and size.

An ordinary head is read here, any other one by gunicorn's parser, which reads chunked bodies, too.
"""

from typing import Any

import gevent
from gevent import getcurrent
from gevent.hub import get_hub
from gunicorn.http import errors
from gunicorn.http.parser import RequestParser

from eventbus.delivery.loop_load import LoopLoad
from eventbus.web.server.connections import ClientConnection
from eventbus.web.server.ordinary_head import ordinary_head
from eventbus.web.server.ordinary_request import OrdinaryRequest, unread_bytes
from eventbus.web.server.refusals import HeadTooSlow

#: Bytes in a request's head or its trailers, and in a request line that has no end yet, at most.
MAX_HEAD_BYTES, MAX_LINE_BYTES = 65_536, 8_192
#: Bytes that are received at once: of a head, and of a body whose length is known, at most.
HEAD_PART_BYTES, BODY_PART_BYTES = 8_192, 1_048_576
#: Bytes that are read at once of a body that nobody wants.
_DRAINED_BYTES = 1_024
_END = b"\r\n\r\n"


class _IdleEnded(BaseException):
    """No request came in time."""


class RequestReader:
    """The requests on one connection; also the source that gunicorn's parser and its bodies read from.

    ``parser`` is gunicorn's; ``ordinary``: whether ordinary heads are read here.
    """

    def __init__(self, client: Any, load: LoopLoad, parser: RequestParser, *, ordinary: bool) -> None:
        self.client = client
        self.load = load
        self._parser = parser
        parser.unreader = self
        self.held = b""  #: what has arrived and was not read
        self.body_bytes = 0  #: of the current request that have arrived, framing included
        self._ordinary = ordinary
        self._turn = 0.0  # the event loop's turn in which the last part was read
        self._timer: Any = None
        self._timer_seconds = 0.0

    # Heads

    def next_request(self, connection: ClientConnection, idle_seconds: float, head_seconds: float) -> Any:
        """Wait for the next request and read its head; return None if none begins within ``idle_seconds``.

        Raises gunicorn's errors, HeadTooSlow, TooManyStreams and OSError; StopIteration at the end of the connection.
        """
        connection.mark_idle()
        try:
            if not self._await_request(idle_seconds):
                return None
            if (end := self.held.find(_END)) < 0:
                with gevent.Timeout(head_seconds, HeadTooSlow()):
                    end = self._fill(connection)
        finally:
            connection.mark_busy()
        self.load.begin_request(connection.peer)
        return self._parsed(end + len(_END), head_seconds)

    def finish(self, request: Any, seconds: float) -> bool:
        """Read the rest of a request's body within a time limit; return whether the next request can follow."""
        body, self._parser.mesg = request.body, None  # so that the parser does not look for a rest, too
        if unread_bytes(body):
            with gevent.Timeout(seconds, False):  # type: ignore[arg-type] # noqa: FBT003 - raises nothing
                while body.read(_DRAINED_BYTES):
                    pass
        return not body.failed and not unread_bytes(body)

    def _await_request(self, seconds: float) -> bool:
        """Wait until a request has begun; return false if none does in time. Raises StopIteration and OSError.

        An empty line is no request, and some clients send one after a body (RFC 9112, 2.2).
        """
        dropped = self._drop_empty_line()
        if self.held and self.held != b"\r":  # a client may send very many requests in one part
            self.load.give_way()
            return True
        timer = self._timer_of(seconds)
        timer.start(getcurrent().throw, _IdleEnded)
        try:
            while not self.held or (self.held == b"\r" and not dropped):
                self._take_turn()
                part = self.client.recv_next(HEAD_PART_BYTES)
                if not part:
                    raise StopIteration
                self.held += part
                dropped = dropped or self._drop_empty_line()
        except _IdleEnded:
            return False
        finally:
            timer.stop()
        return True

    def _parsed(self, end: int, seconds: float) -> Any:
        """Return the request whose head ends there, or is one that gunicorn's parser refuses. Raises its errors."""
        if self._ordinary and (head := ordinary_head(self.held[:end])) is not None:
            self.held = self.held[end:]
            return OrdinaryRequest(head, self)
        with gevent.Timeout(seconds, HeadTooSlow()):
            request = next(self._parser)
        self.body_bytes = 0
        return request

    def _fill(self, connection: ClientConnection) -> int:
        """Read until a head is complete, or is one that gunicorn's parser refuses; return where its empty line begins.

        The parser itself would scan all of the head again with each part. Raises LimitRequestHeaders and
        TooManyStreams.
        """
        head = bytearray(self.held)
        end, sound = head.find(_END), _is_sound(head)
        while end < 0 and sound and (b"\r\n" in head or len(head) < MAX_LINE_BYTES) and (part := self._part()):
            before = len(head)
            connection.take(len(part))
            head += part
            end = head.find(_END, max(0, before - 3))
            sound = _is_sound(head[before - 1 :] if head[before - 1 : before] == b"\r" else part)
            if (end if end >= 0 else len(head)) > MAX_HEAD_BYTES:
                raise errors.LimitRequestHeaders("limit of the whole head")
        self.held = bytes(head)
        return end

    def _drop_empty_line(self) -> bool:
        """Drop an empty line that is held; return whether there was one."""
        if self.held[:2] != b"\r\n":
            return False
        self.held = self.held[2:]
        return True

    def _timer_of(self, seconds: float) -> Any:
        """Return a timer for so many seconds; it is kept, since there is one wait for each request."""
        if self._timer_seconds != seconds:
            self.close()
            self._timer, self._timer_seconds = get_hub().loop.timer(seconds), seconds
        return self._timer

    def close(self) -> None:
        """Release the timer."""
        if self._timer is not None:
            self._timer.close()

    # Bodies; gunicorn's parser and readers call these, too

    def read(self, size: int | None = None, read_ahead: int | None = None) -> bytes:
        """Return ``size`` bytes, fewer at the end of the connection; without a size what is held, or the next part.

        ``read_ahead``: bytes that may be received at once, if nothing is held.
        """
        held = self.held
        if size is None:
            self.held = b""
            return held or self._part(read_ahead)
        if len(held) < size:
            parts, count = [held], len(held)
            while count < size and (part := self._part(max(size, read_ahead or 0) - count)):
                parts.append(part)
                count += len(part)
            held = b"".join(parts)
        self.held = held[size:]
        return held[:size]

    def unread(self, data: bytes) -> None:
        """Hold data that was read too far."""
        self.held = data + self.held

    def _part(self, wanted: int | None = None) -> bytes:
        """Receive the next part."""
        self._take_turn()
        part: bytes = self.client.recv(min(max(HEAD_PART_BYTES, wanted or 0), BODY_PART_BYTES))
        self.body_bytes += len(part)
        return part

    def _take_turn(self) -> None:
        """Give way before a second part in a turn of the event loop: they may never end."""
        if self._turn == self.load.turn_began:
            self.load.give_way()
        self._turn = self.load.turn_began


def _is_sound(part: bytes | bytearray) -> bool:
    """Return whether each line ends with CR LF (RFC 9112, 2.2)."""
    return part.count(b"\n") == part.count(b"\r\n")
