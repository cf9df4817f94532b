"""A subscriber that means ill: it does the same to each request, and writes down how long the bus bears it."""

import ssl
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Self

import gevent

from tests.support.raw_server import Peer, RawServer
from tests.support.subscriber import Received

#: Does something with a connection whose request has been read; OSError where the bus has closed it.
Behaviour = Callable[[Peer], None]

#: Seconds between two bytes of a drip: short, so that the end of the connection is soon noticed.
DRIP = 0.02


@dataclass(slots=True)
class Attempt:
    """One attempt of the bus, as the subscriber saw it; times in seconds on the monotonic clock."""

    began: float  # when the request had come, or the connection where none is read
    ended: float | None = None  # when the answer was complete, or the connection at its end
    cut: bool = False  # the connection broke under its hands, or was closed by the bus


class HostileSubscriber:
    """Listens on loopback.

    Where ``sound`` is set, a connection is left to the next request; ``at_accept`` is for what reads no request.
    """

    def __init__(
        self,
        behave: Behaviour,
        *,
        sound: bool = False,
        at_accept: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.attempts: list[Attempt] = []
        self._behave, self._sound, self._at_accept = behave, sound, at_accept
        self._server = RawServer(self._talk, tls=tls)
        self.address = self._server.address

    @property
    def received(self) -> Sequence[Received]:
        """The requests that were read."""
        return self._server.received

    @property
    def connections(self) -> int:
        """Accepted so far."""
        return self._server.connections

    @property
    def quiet(self) -> bool:
        """Whether no attempt goes on."""
        return all(attempt.ended is not None for attempt in self.attempts)

    def _talk(self, peer: Peer) -> None:
        while self._at_accept or peer.request() is not None:
            attempt = Attempt(time.monotonic())
            self.attempts.append(attempt)
            try:
                self._meet(peer, attempt)
            finally:
                attempt.ended = time.monotonic()
            if not self._sound:
                return

    def _meet(self, peer: Peer, attempt: Attempt) -> None:
        try:
            self._behave(peer)
            if not self._sound:
                peer.hang()
                attempt.cut = True
        except OSError:
            attempt.cut = True

    def __enter__(self) -> Self:
        self._server.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.__exit__(kind, error, trace)


def answer(status: int, *headers: tuple[str, str], body: bytes = b"") -> bytes:
    """A whole answer that is sound."""
    fields = "".join(f"{name}: {value}\r\n" for name, value in headers)
    return f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n{fields}\r\n".encode("latin-1") + body


def hang(peer: Peer) -> None:
    """Say nothing."""
    peer.hang()


def say(*parts: bytes, pause: float = 0.0) -> Behaviour:
    """Send these, so many seconds apart."""

    def behave(peer: Peer) -> None:
        peer.send(parts[0])
        for part in parts[1:]:
            gevent.sleep(pause)
            peer.send(part)

    return behave


def drip(start: bytes, rest: bytes) -> Behaviour:
    """Send the start at once, and of the rest one byte at a time, again and again."""

    def behave(peer: Peer) -> None:
        peer.send(start)
        while True:
            peer.drip(rest, DRIP)

    return behave


def pour(start: bytes, rest: bytes) -> Behaviour:
    """Send the start, and then the rest again and again, as fast as it is taken."""

    def behave(peer: Peer) -> None:
        peer.send(start)
        while True:
            peer.send(rest)
            gevent.sleep(0)

    return behave


def reset_after(start: bytes = b"") -> Behaviour:
    """Send this, and reset the connection."""

    def behave(peer: Peer) -> None:
        peer.send(start)
        gevent.sleep(DRIP if start else 0)  # a reset overtakes what has not been received
        peer.reset()
        raise ConnectionResetError

    return behave
