"""The HTTP/1.1 server of a service without a framework: threads, and an orderly end of each connection."""

import socket
import threading
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from eventbus import __version__
from eventbus.client.dispatch import INCOMPLETE_BODY, NO_LENGTH, TOO_LARGE, WRONG_PATH, InboxResponse
from eventbus.client.inbox import MAX_BODY_BYTES, Inbox
from eventbus.core.override import override

#: Seconds that a connection may be idle, or its client silent.
IDLE_SECONDS = 75.0
#: Bytes of a line between chunks, and lines after the last one, at most.
MAX_LINE_BYTES, MAX_TRAILERS = 8_192, 100


class Listener(ThreadingHTTPServer):
    """Listens for one inbox. Threads end with their connections; none delays the process's end."""

    request_queue_size = 128

    def __init__(self, address: tuple[str, int], inbox: Inbox, path: str) -> None:
        self.inbox = inbox
        self.path = path
        self.draining = False
        self._idle: set[InboxConnection] = set()
        self._busy: set[InboxConnection] = set()
        self._changed = threading.Condition()
        super().__init__(address, InboxConnection)

    def mark_idle(self, connection: "InboxConnection") -> None:
        """Note that a connection waits for a request. While the service drains, stop reading from it."""
        with self._changed:
            self._busy.discard(connection)
            self._idle.add(connection)
            if self.draining:
                connection.stop_reading()
            self._changed.notify_all()

    def mark_busy(self, connection: "InboxConnection") -> None:
        """Note that a connection's request has begun to arrive, and is not answered."""
        with self._changed:
            self._idle.discard(connection)
            self._busy.add(connection)

    def remove(self, connection: "InboxConnection") -> None:
        """Forget a connection that is closed."""
        with self._changed:
            self._idle.discard(connection)
            self._busy.discard(connection)
            self._changed.notify_all()

    def drain(self, seconds: float) -> None:
        """End idle connections at once, and busy ones when they are answered. Wait so many seconds at most."""
        with self._changed:
            self.draining = True
            for connection in self._idle:
                connection.stop_reading()
            self._changed.wait_for(lambda: not self._busy and not self._idle, seconds)

    @override
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Ignore a connection that broke: the bus notices it."""


class InboxConnection(BaseHTTPRequestHandler):
    """One connection, and its requests one after another."""

    server: Listener
    protocol_version = "HTTP/1.1"
    server_version = f"eventbus-inbox/{__version__}"
    sys_version = ""
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True
    wbufsize = -1  # head and body of a response in one packet

    @override
    def handle(self) -> None:
        try:
            super().handle()
        finally:
            self.server.remove(self)

    @override
    def handle_one_request(self) -> None:
        self.server.mark_idle(self)
        super().handle_one_request()

    @override
    def parse_request(self) -> bool:
        self.server.mark_busy(self)
        return super().parse_request()

    def stop_reading(self) -> None:
        """Read what has arrived, and nothing after it."""
        with suppress(OSError):  # its client has closed it
            self.connection.shutdown(socket.SHUT_RD)

    def do_POST(self) -> None:
        """Answer an event."""
        try:
            body = self._body()
        except ValueError:
            body = NO_LENGTH
        if isinstance(body, bytes):
            self._dispatch(body)
        else:
            self.close_connection = True
            if body is not INCOMPLETE_BODY:  # else there is no reader, and the bus delivers it again
                self._send(body)

    def _body(self) -> bytes | InboxResponse:
        """Return the request's body, or the response that says why there is none. Raises ValueError."""
        if self.headers.get("Transfer-Encoding", "").strip().lower() == "chunked":
            return self._chunks()
        length = self.headers.get("Content-Length", "")
        return self._exactly(int(length)) if length.isascii() and length.isdigit() else NO_LENGTH

    def _exactly(self, length: int) -> bytes | InboxResponse:
        if not 0 <= length <= MAX_BODY_BYTES:
            return TOO_LARGE
        data = self.rfile.read(length)
        return data if len(data) == length else INCOMPLETE_BODY

    def _chunks(self) -> bytes | InboxResponse:
        """Read a body in chunked coding (RFC 9112, 7.1), as a proxy may send it. Raises ValueError."""
        body = bytearray()
        while size := int(self.rfile.readline(MAX_LINE_BYTES).partition(b";")[0].decode("latin-1"), 16):
            part = self._exactly(size + 2) if 0 < size <= MAX_BODY_BYTES - len(body) else TOO_LARGE
            if isinstance(part, InboxResponse):
                return part
            body += part[:size]
        self._trailers()
        return bytes(body)

    def _trailers(self) -> None:
        for _ in range(MAX_TRAILERS):
            if not self.rfile.readline(MAX_LINE_BYTES).strip():
                return
        raise ValueError

    def do_OPTIONS(self) -> None:
        """Answer a request for consent."""
        self._dispatch(b"")

    def _dispatch(self, body: bytes) -> None:
        here = self.path == self.server.path
        self._send(self.server.inbox.dispatch(self.command, self.headers.items(), body) if here else WRONG_PATH)

    def _send(self, response: InboxResponse) -> None:
        self.send_response(response.status)
        for name, value in response.headers.items():
            self.send_header(name, value)
        if self.server.draining:
            self.send_header("Connection", "close")  # which ends the connection on this side too
        self.end_headers()
        self.wfile.write(response.body)

    @override
    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002 - the name is the base class's
        """Log nothing: the inbox logs what fails in a handler."""
