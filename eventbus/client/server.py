"""A small server for scripts: an inbox that needs no framework. A thread for each connection of the bus."""

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from eventbus import __version__
from eventbus.client.dispatch import NOT_HERE, TOO_LARGE, Answer, say
from eventbus.client.errors import Misused
from eventbus.client.inbox import FINISH_SECONDS, MAX_BODY, Inbox

#: Seconds that a connection may be idle, or its client silent.
IDLE_SECONDS = 75.0
#: Seconds between two checks whether the server is closed.
POLL_INTERVAL_SECONDS = 0.1
#: Hosts to listen on that are no address for the bus.
_EVERYWHERE = ("", "0.0.0.0", "::")  # noqa: S104 - they are told apart


class Server:
    """Serves an inbox, and keeps it registered meanwhile.

    An inbox without an address gets ``host`` and the port; ``port`` 0 is a free one. A path in the inbox's address
    is where the events are taken.
    """

    def __init__(self, inbox: Inbox, *, host: str = "127.0.0.1", port: int = 0) -> None:
        self.inbox = inbox
        if inbox.address is None and host in _EVERYWHERE:
            raise Misused("Say by which address the bus reaches this inbox: Inbox(bus, 'HOST:PORT').")
        path = "" if inbox.address is None else _path_of(inbox.address)
        self._server = _Listener((host, port), inbox, f"{path}/event")
        self.port = self._server.server_address[1]
        if inbox.address is None:
            inbox.address = f"{host}:{self.port}"
        self._thread = threading.Thread(
            target=self._server.serve_forever, args=(POLL_INTERVAL_SECONDS,), name="eventbus-inbox", daemon=True
        )

    def start(self) -> Self:
        """Serve and register, and return at once."""
        self._thread.start()
        self.inbox.start()
        return self

    def close(self) -> None:
        """Drain: take nothing new, answer what is in flight, renew no more. Nothing is discarded.

        The bus keeps what comes meanwhile, and delivers it when the service is back.
        """
        self._server.shutdown()
        self._server.server_close()  # from here on who would connect is refused, and so told before anything is sent
        self._thread.join()
        self.inbox.refuse()
        self._server.drain(FINISH_SECONDS)
        self.inbox.stop()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(inbox: Inbox, *, host: str = "127.0.0.1", port: int = 0) -> None:
    """Serve until the process is interrupted or terminated, and drain then. For the main thread."""
    stopping = threading.Event()
    with _on_signals(stopping), Server(inbox, host=host, port=port):
        stopping.wait()


@contextmanager
def _on_signals(stopping: threading.Event) -> Iterator[None]:
    """Set an event at SIGINT and SIGTERM."""
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(number, lambda *_: stopping.set()) for number in numbers]
    try:
        yield
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def _path_of(address: str) -> str:
    """The path prefix of an address."""
    rest = address.partition("://")[2] or address
    return "".join(rest.partition("/")[1:]).rstrip("/")


class _Listener(ThreadingHTTPServer):
    """Listens for one inbox. Threads end with their connections; none holds up the process's end."""

    request_queue_size = 128

    def __init__(self, place: tuple[str, int], inbox: Inbox, path: str) -> None:
        self.inbox = inbox
        self.path = path
        self.draining = False
        self._idle: set[_Connection] = set()
        self._busy: set[_Connection] = set()
        self._changed = threading.Condition()
        super().__init__(place, _Connection)

    def is_idle(self, connection: "_Connection") -> None:
        """It waits for a request; while the service drains, for one that has come already."""
        with self._changed:
            self._busy.discard(connection)
            self._idle.add(connection)
            if self.draining:
                connection.hear_no_more()
            self._changed.notify_all()

    def is_busy(self, connection: "_Connection") -> None:
        """Its request has begun to come, and has not been answered."""
        with self._changed:
            self._idle.discard(connection)
            self._busy.add(connection)

    def has_ended(self, connection: "_Connection") -> None:
        """It is closed."""
        with self._changed:
            self._idle.discard(connection)
            self._busy.discard(connection)
            self._changed.notify_all()

    def drain(self, seconds: float) -> None:
        """End idle connections, and the others when they have been answered; wait for these, so long at most."""
        with self._changed:
            self.draining = True
            for connection in self._idle:
                connection.hear_no_more()
            self._changed.wait_for(lambda: not self._busy and not self._idle, seconds)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A connection that broke is the bus's to notice."""


class _Connection(BaseHTTPRequestHandler):
    """One connection: requests one after another."""

    server: _Listener
    protocol_version = "HTTP/1.1"
    server_version = f"eventbus-inbox/{__version__}"
    sys_version = ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body of an answer in one piece

    def handle(self) -> None:
        """Serve until it is closed."""
        try:
            super().handle()
        finally:
            self.server.has_ended(self)

    def handle_one_request(self) -> None:
        """Wait for a request, and answer it."""
        self.server.is_idle(self)
        super().handle_one_request()

    def parse_request(self) -> bool:
        """Read a request's head, whose first line has come."""
        self.server.is_busy(self)
        return super().parse_request()

    def hear_no_more(self) -> None:
        """Read what has come, and nothing after it."""
        with suppress(OSError):  # its client has closed it
            self.connection.shutdown(socket.SHUT_RD)

    def do_POST(self) -> None:
        """Take an event."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_BODY:
            self.close_connection = True
            self._send(TOO_LARGE if length.isdigit() else say(411, "Content-Length is missing"))
            return
        body = self.rfile.read(int(length))
        if len(body) == int(length):
            self._dispatch(body)
        else:
            self.close_connection = True  # it broke off, and the bus will come again

    def do_OPTIONS(self) -> None:
        """Consent."""
        self._dispatch(b"")

    def _dispatch(self, body: bytes) -> None:
        here = self.path == self.server.path
        self._send(self.server.inbox.dispatch(self.command, self.headers.items(), body) if here else NOT_HERE)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if self.server.draining:
            self.send_header("Connection", "close")  # which ends the connection on this side too
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing: what goes wrong in a handler is logged by the inbox."""
