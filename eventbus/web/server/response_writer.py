"""The WSGI environment of a request, and a response that sends its head and body together."""

import time
from email.utils import formatdate
from functools import partial
from types import SimpleNamespace
from typing import Any

import gevent
from gunicorn.http.wsgi import Response, base_environ

from eventbus.core.errors import TooManyStreams
from eventbus.web.server.byte_budget import MIB
from eventbus.web.server.connections import ClientConnection

#: Headers whose WSGI names have no ``HTTP_`` prefix (PEP 3333).
_PLAIN = {"CONTENT-TYPE": "CONTENT_TYPE", "CONTENT-LENGTH": "CONTENT_LENGTH"}

#: In the environment: a function that sends 100 Continue, if the client waits for it.
CONTINUE = "eventbus.continue"
#: In the environment: the request's ClientConnection.
CONNECTION = "eventbus.connection"
#: In the environment: the bytes after the request's head that have already arrived.
BUFFERED = "eventbus.held"
#: Bytes of an unread body that are still read, so that its connection can be used again.
MAX_DRAINED_BYTES = 65_536

#: Bytes from which a part of a body is sent apart from the head, which saves a copy.
SEPARATE_SEND_BYTES = 65_536


class PeerGone(OSError):
    """The client does not read the response any more."""


class TooMuchUnread(PeerGone):
    """The limit on the bytes of unread responses is reached, so this response is dropped."""


def frozen(cfg: Any) -> Any:
    """Return gunicorn's settings as plain attributes: its own object computes each one with every access."""
    settings = {name: getattr(cfg, name) for name in cfg.settings}
    return _Frozen(cfg, settings | {"is_ssl": cfg.is_ssl})


class _Frozen(SimpleNamespace):
    """Settings as they were at the start; any other attribute is that of gunicorn's object."""

    def __init__(self, cfg: Any, settings: dict[str, Any]) -> None:
        super().__init__(**settings, _cfg=cfg, environ={**base_environ(cfg), "wsgi.multithread": True})

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_cfg"], name)


def environ_of(req: Any, sock: Any, client: Any, server: Any, cfg: Any) -> dict[str, Any]:
    """Return the WSGI environment of a request, as gunicorn makes it without trusted proxies."""
    environ: dict[str, Any] = cfg.environ.copy()
    req.body.awaits = req._expected_100_continue  # noqa: SLF001 - gunicorn's own function reads it
    if req.body.awaits:
        environ[CONTINUE] = partial(_continue, req.body, sock)
    environ["wsgi.input"] = req.body
    environ[BUFFERED] = req.unreader.buf.getbuffer().nbytes
    environ["wsgi.url_scheme"] = req.scheme
    environ["REQUEST_METHOD"] = req.method
    environ["QUERY_STRING"] = req.query
    environ["RAW_URI"] = req.uri
    environ["SERVER_PROTOCOL"] = "HTTP/1.1" if req.version == (1, 1) else f"HTTP/{req.version[0]}.{req.version[1]}"
    environ["PATH_INFO"] = _unquoted(req.path) or "/"
    environ["SCRIPT_NAME"] = ""
    environ["REMOTE_ADDR"], environ["REMOTE_PORT"] = client[0], str(client[1])
    environ["SERVER_NAME"], environ["SERVER_PORT"] = server[0], str(server[1])
    for name, value in req.headers:
        key = _PLAIN.get(name) or "HTTP_" + name.replace("-", "_")
        if key in environ and name not in _PLAIN:
            environ[key] = f"{environ[key]},{value}"
        else:
            environ[key] = value
    return environ


def _continue(body: Any, sock: Any) -> bytes:
    """Send 100 Continue, for which the client waits with its body (RFC 9110, 10.1.1)."""
    body.awaits = False
    sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    return b""


def _unquoted(path: str) -> str:
    """Return a path without escapes, its bytes as Latin-1 (PEP 3333)."""
    if "%" not in path:
        return path
    parts = path.encode("latin-1").split(b"%")
    found = [parts[0]]
    for part in parts[1:]:
        try:
            found.append(bytes([int(part[:2].decode("ascii"), 16)]) + part[2:])
        except ValueError:
            found.append(b"%" + part)
    return b"".join(found).decode("latin-1")


def has_long_rest(body: Any) -> bool:
    """Return whether a body's unread rest is, or may be, too long to read it just to keep the connection."""
    reader = body.reader
    return (
        body.failed
        or body.awaits
        or getattr(reader, "length", 0) > MAX_DRAINED_BYTES
        or getattr(reader, "parser", None) is not None
    )


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
                sent = self.sock.send(data, 0, 0.0)
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
