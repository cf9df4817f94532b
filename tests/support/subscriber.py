"""A subscriber that writes down what it receives: a real HTTP/1.1 server on loopback, in this process."""

import socket
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self

from gevent.event import Event
from gevent.server import StreamServer

from tests.support.message_head import Headers, header, read_exactly, read_head
from tests.support.ports import LOOPBACK, free_port


@dataclass(frozen=True, slots=True)
class Received:
    """One request as it came; ``at`` counts seconds on the monotonic clock."""

    method: str
    path: str
    headers: Headers
    body: bytes
    at: float

    def header(self, name: str) -> str | None:
        """The first field of this name, in any case."""
        return header(self.headers, name)

    @property
    def id(self) -> str:
        """The event's id; empty where the request had none."""
        return self.header("Webhook-Id") or ""


#: Status, header fields and body.
Answer = tuple[int, Sequence[tuple[str, str]], bytes]
Respond = Callable[[Received], Answer]


class Subscribe(Protocol):
    """What starts a subscriber and registers it: an address prefix and options as in registering."""

    def __call__(self, respond: Respond = ..., prefix: str = ..., **options: Any) -> "RecordingSubscriber":
        """Start and register one."""


def accept(_: Received) -> Answer:
    """Take everything."""
    return 200, (), b""


class RecordingSubscriber:
    """Answers by ``respond`` and records each request before it answers.

    With ``keep_bodies=False`` only the ids and how often each came are kept (``counts``), which is enough
    for hundreds of thousands.
    """

    def __init__(self, respond: Respond = accept, *, keep_bodies: bool = True) -> None:
        self.respond = respond
        self.keep_bodies = keep_bodies
        self.port = free_port()
        self.received: list[Received] = []
        self.counts: Counter[str] = Counter()  # event id -> times it came
        self.connections = 0  # accepted so far
        self._open: set[socket.socket] = set()
        self._watchers: list[Callable[[Received], None]] = []
        self._server: StreamServer | None = None

    @property
    def address(self) -> str:
        """Host and port, as it is registered."""
        return f"{LOOPBACK}:{self.port}"

    def up(self) -> Self:
        """Listen, always on the same port."""
        self._server = StreamServer((LOOPBACK, self.port), self._serve, backlog=1024)
        self._server.start()
        return self

    def down(self) -> None:
        """Stop listening and close every connection; who connects then is refused."""
        if self._server is not None:
            self._server.stop()
            self._server = None
        for connection in list(self._open):
            _shut(connection)

    def wait_for(self, wanted: int | Callable[[Self], bool], timeout: float = 30.0) -> None:
        """Wait until so many different events have come, or until ``wanted(self)`` holds."""
        if callable(wanted):
            self._wait(lambda _: wanted(self), timeout, "what was waited for")
        else:
            self._wait(lambda _: len(self.counts) >= wanted, timeout, f"{wanted} events")

    def wait_for_ids(self, ids: Iterable[str], timeout: float = 30.0) -> None:
        """Wait until each of these events has come at least once."""
        missing = set(ids) - self.counts.keys()

        def seen(request: Received | None) -> bool:
            if request is not None:
                missing.discard(request.id)
            return not missing

        self._wait(seen, timeout, "all of the events")

    def _wait(self, seen: Callable[[Received | None], bool], timeout: float, what: str) -> None:
        done = Event()

        def watch(request: Received) -> None:
            if seen(request):
                done.set()

        self._watchers.append(watch)
        try:
            if not seen(None) and not done.wait(timeout):
                got = f"{len(self.counts)} events in {self.counts.total()} requests"
                raise AssertionError(f"After {timeout:g} s {self.address} has not received {what}: {got}")
        finally:
            self._watchers.remove(watch)

    def _serve(self, connection: socket.socket, _: object) -> None:
        self.connections += 1
        self._open.add(connection)
        try:
            with connection, connection.makefile("rb") as reader:
                while (request := _read_request(reader)) is not None:
                    self._record(request)
                    connection.sendall(_render(self.respond(request)))
        except (OSError, EOFError):
            return  # the bus went away, or down() was called
        finally:
            self._open.discard(connection)

    def _record(self, request: Received) -> None:
        self.counts[request.id] += 1
        if self.keep_bodies:
            self.received.append(request)
        for watch in self._watchers:
            watch(request)

    def __enter__(self) -> Self:
        return self.up()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.down()


def _read_request(reader: BinaryIO) -> Received | None:
    head = read_head(reader)
    if head is None:
        return None
    method, path, _ = head[0].split(" ")
    body = read_exactly(reader, int(header(head[1], "Content-Length") or 0))
    return Received(method, path, head[1], body, time.monotonic())


def _render(answer: Answer) -> bytes:
    status, headers, body = answer
    fields = [f"{name}: {value}\r\n" for name, value in headers]
    head = f"HTTP/1.1 {status} Said\r\nContent-Length: {len(body)}\r\n{''.join(fields)}\r\n"
    return head.encode("latin-1") + body


def _shut(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:
        return  # the other side was faster
