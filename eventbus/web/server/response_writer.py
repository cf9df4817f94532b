"""A response that sends its head and body together, within limits of time and of unread bytes."""

import time
from email.utils import formatdate
from typing import Any

import gevent
from gunicorn.http.wsgi import Response

from eventbus.core.errors import TooManyStreams
from eventbus.web.server.byte_budget import MIB
from eventbus.web.server.connections import ClientConnection
from eventbus.web.server.ordinary_request import unread_bytes

#: Bytes of an unread body that are still read, so that its connection can be used again.
MAX_DRAINED_BYTES = 65_536

#: Bytes from which a part of a body is sent apart from the head, which saves a copy.
SEPARATE_SEND_BYTES = 65_536


class PeerGone(OSError):
    """The client does not read the response any more."""


class TooMuchUnread(PeerGone):
    """The limit on the bytes of unread responses is reached, so this response is dropped."""


def has_long_rest(body: Any) -> bool:
    """Return whether a body's unread rest is, or may be, too long to read it just to keep the connection."""
    return body.failed or body.awaits or unread_bytes(body) > MAX_DRAINED_BYTES


class ResponseWriter(Response):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's response, which sends its head together with the first part of the body."""

    def __init__(self, req: Any, sock: Any, cfg: Any, connection: ClientConnection, seconds: float) -> None:
        super().__init__(req, sock, cfg)
        self._connection = connection
        self._seconds = seconds  # in which the client has to read each MiB
        self.headers_sent = False
        self._head = b""

    def default_headers(self) -> list[str]:
        """Return the status line and the headers of every response."""
        version = "1.1" if self.req.version == (1, 1) else "1.0"
        lines = [
            f"HTTP/{version} {self.status}\r\n",
            f"Server: eventbus\r\nDate: {http_date()}\r\n",
            "Connection: close\r\n" if self.should_close() else "Connection: keep-alive\r\n",
        ]
        if self.chunked:
            lines.append("Transfer-Encoding: chunked\r\n")
        return lines

    def send_headers(self) -> None:
        """Write the head; it is sent with what follows."""
        if self.headers_sent:
            return
        if has_long_rest(self.req.body):
            self.force_close()
        lines = self.default_headers()
        lines += [f"{name}: {value}\r\n" for name, value in self.headers]
        self._head = f"{''.join(lines)}\r\n".encode("latin-1")
        self.headers_sent = True

    def _emit_body(self, data: bytes) -> None:
        if self.chunked:
            data = b"%X\r\n%s\r\n" % (len(data), data)
        if len(data) > SEPARATE_SEND_BYTES:
            self._send(self._head)
            self._send(data)
        else:
            self._send(self._head + data)
        self._head = b""

    def close(self) -> None:
        """Send the rest of the response."""
        if not self.headers_sent:
            self.send_headers()
        end = self._head + (b"0\r\n\r\n" if self.chunked else b"")
        if end:
            self._send(end)
        self._head = b""

    def _send(self, data: bytes) -> None:
        """Send data, usually with one system call; gevent's ``sendall`` makes one more. Raises PeerGone."""
        try:
            try:
                sent = self.sock.send(data)
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
            self.sock.sendall(rest)
        self._connection.release(count)


_date: tuple[int, str] = (0, "")


def http_date() -> str:
    """Return the current time for a Date header (RFC 9110, 5.6.7), computed once a second."""
    global _date  # noqa: PLW0603 - a cache of one
    now = int(time.time())
    if _date[0] != now:
        _date = now, formatdate(now, usegmt=True)
    return _date[1]
