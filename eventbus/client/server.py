"""A small server for scripts: an inbox that needs no framework. A thread for each connection of the bus."""

import signal
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

from eventbus import __version__
from eventbus.client.dispatch import NOT_HERE, TOO_LARGE, Answer, Headers, say
from eventbus.client.errors import Misused
from eventbus.client.inbox import MAX_BODY, Inbox

#: Seconds that a connection may be idle, or its client silent.
IDLE_SECONDS = 75.0
#: Seconds that handlers which are under way at the end may take to finish.
FINISH_SECONDS = 10.0
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
        self._thread = threading.Thread(target=self._server.serve_forever, name="eventbus-inbox", daemon=True)

    def start(self) -> Self:
        """Serve and register, and return at once."""
        self._thread.start()
        self.inbox.start()
        return self

    def close(self) -> None:
        """Deregister as ``Inbox.close`` does, let handlers finish that are under way, and serve no more."""
        self.inbox.close()
        self._server.wait_idle(FINISH_SECONDS)
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def serve(inbox: Inbox, *, host: str = "127.0.0.1", port: int = 0) -> None:
    """Serve until the process is interrupted or terminated. For the main thread."""
    stopping = threading.Event()
    with Server(inbox, host=host, port=port), _on_signals(stopping):
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
        self._under_way = 0
        self._changed = threading.Condition()
        super().__init__(place, _Connection)

    def answer(self, method: str, headers: Headers, body: bytes) -> Answer:
        """The inbox's answer."""
        self._count(1)
        try:
            return self.inbox.dispatch(method, headers, body)
        finally:
            self._count(-1)

    def wait_idle(self, seconds: float) -> None:
        """Wait until no handler runs, for so many seconds at most."""
        with self._changed:
            self._changed.wait_for(lambda: self._under_way == 0, seconds)

    def _count(self, change: int) -> None:
        with self._changed:
            self._under_way += change
            self._changed.notify_all()

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

    def do_POST(self) -> None:
        """Take an event."""
        length = self.headers.get("Content-Length", "")
        if not length.isdigit() or int(length) > MAX_BODY:
            self.close_connection = True
            self._send(TOO_LARGE if length.isdigit() else say(411, "Content-Length is missing"))
        else:
            self._dispatch(self.rfile.read(int(length)))

    def do_OPTIONS(self) -> None:
        """Consent."""
        self._dispatch(b"")

    def _dispatch(self, body: bytes) -> None:
        if self.path == self.server.path:
            self._send(self.server.answer(self.command, self.headers.items(), body))
        else:
            self._send(NOT_HERE)

    def _send(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(answer.body)

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Say nothing: what goes wrong in a handler is logged by the inbox."""
