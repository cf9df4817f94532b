"""One request and its answer between gunicorn and the app: the WSGI environment, and one send for head and body."""

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

#: Requests' headers that WSGI names without ``HTTP_`` (PEP 3333).
_PLAIN = {"CONTENT-TYPE": "CONTENT_TYPE", "CONTENT-LENGTH": "CONTENT_LENGTH"}

#: Where a client waits to be asked for the body: what asks.
CONTINUE = "eventbus.continue"
#: The connection that a request came by.
CONNECTION = "eventbus.connection"
#: How many of the bytes that follow a request's head have come already.
HELD = "eventbus.held"
#: Bytes of a body nobody wanted that are read all the same, so that its connection can be used again.
SMALL_REST = 65_536

#: Bytes of an answer's part that is sent without its head.
LARGE = 65_536


class PeerGone(OSError):
    """Nobody takes the answer any more."""


class TooMuchHeld(PeerGone):
    """The answer is given up: clients hold as many bytes as they may by not reading."""


def frozen(cfg: Any) -> Any:
    """The settings of gunicorn as plain attributes: its own object works each one out at every look."""
    settings = {name: getattr(cfg, name) for name in cfg.settings}
    return _Frozen(cfg, settings | {"is_ssl": cfg.is_ssl})


class _Frozen(SimpleNamespace):
    """Settings as they were at the start; whatever else is asked for is gunicorn's own."""

    def __init__(self, cfg: Any, settings: dict[str, Any]) -> None:
        super().__init__(**settings, _cfg=cfg, environ={**base_environ(cfg), "wsgi.multithread": True})

    def __getattr__(self, name: str) -> Any:
        return getattr(self.__dict__["_cfg"], name)


def environ_of(req: Any, sock: Any, client: Any, server: Any, cfg: Any) -> dict[str, Any]:
    """The WSGI environment of a request, as gunicorn makes it where nobody may set it but the client."""
    environ: dict[str, Any] = cfg.environ.copy()
    req.body.awaits = req._expected_100_continue  # noqa: SLF001 - what gunicorn's own function looks at
    if req.body.awaits:
        environ[CONTINUE] = partial(_continue, req.body, sock)
    environ["wsgi.input"] = req.body
    environ[HELD] = req.unreader.buf.getbuffer().nbytes
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
    """Ask for a body whose client waits to be asked (RFC 9110, 10.1.1); nothing of it has come yet."""
    body.awaits = False
    sock.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
    return b""


def _unquoted(path: str) -> str:
    """A path without escapes, as WSGI has it: bytes as Latin-1."""
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


def rest_of(body: Any) -> bool:
    """Whether more of a request's body is to come than is worth reading to keep the connection, or nobody knows."""
    reader = body.reader
    return (
        body.failed
        or body.awaits
        or getattr(reader, "length", 0) > SMALL_REST
        or getattr(reader, "parser", None) is not None
    )


class ResponseWriter(Response):  # type: ignore[misc] # gunicorn has no types
    """gunicorn's answer, whose head waits for the first part of the body so that both leave in one send."""

    def __init__(self, req: Any, sock: Any, cfg: Any, connection: ClientConnection, seconds: float) -> None:
        super().__init__(req, sock, cfg)
        self._connection = connection
        self._seconds = seconds  # in which each MiB has to be taken
        self.headers_sent = False
        self._head = b""

    def default_headers(self) -> list[str]:
        """The status line and the headers that every answer has."""
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
        """Make the head; it is sent with what follows."""
        if self.headers_sent:
            return
        if rest_of(self.req.body):
            self.force_close()
        lines = self.default_headers()
        lines += [f"{name}: {value}\r\n" for name, value in self.headers]
        self._head = f"{''.join(lines)}\r\n".encode("latin-1")
        self.headers_sent = True

    def _emit_body(self, data: bytes) -> None:
        if self.chunked:
            data = b"%X\r\n%s\r\n" % (len(data), data)
        if len(data) > LARGE:  # so that it is not copied
            self._send(self._head)
            self._send(data)
        else:
            self._send(self._head + data)
        self._head = b""

    def close(self) -> None:
        """Send what is left."""
        if not self.headers_sent:
            self.send_headers()
        end = self._head + (b"0\r\n\r\n" if self.chunked else b"")
        if end:
            self._send(end)
        self._head = b""

    def _send(self, data: bytes) -> None:
        """Send it all: mostly at once, where gevent's own ``sendall`` would ask for the size of the buffer first.

        Nothing waits here: where the client takes nothing, all is the rest. Raises PeerGone.
        """
        try:
            try:
                sent = self.sock.send(data, 0, 0.0)
            except BlockingIOError:
                sent = 0
            if sent != len(data):
                self._send_rest(memoryview(data)[sent:])
        except TooMuchHeld:
            raise
        except OSError as error:
            raise PeerGone(f"the client is gone: {error}") from error

    def _send_rest(self, rest: memoryview) -> None:
        """Send what the client did not take at once: in bounded time, and while not too much is held so."""
        count = len(rest)
        try:
            self._connection.take(count)
        except TooManyStreams:
            raise TooMuchHeld("clients hold too much by not reading") from None
        with gevent.Timeout(self._seconds * (1 + count // MIB), PeerGone("the client does not read")):
            self.sock.sendall(rest)
        self._connection.give_back(count)


_date: tuple[int, str] = (0, "")


def http_date() -> str:
    """The time as HTTP writes it (RFC 9110, 5.6.7), worked out once a second."""
    global _date  # noqa: PLW0603 - a cache of one
    now = int(time.time())
    if _date[0] != now:
        _date = now, formatdate(now, usegmt=True)
    return _date[1]
