"""HTTP with keep-alive connections, by the standard library.

Works under threads, in a process that gevent has patched, and after a fork: connections are never shared with
the parent. It holds no lock, so that a fork can find none held.
"""

import os
import socket
import time
from collections import deque
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import BadStatusLine, HTTPConnection, HTTPException, HTTPResponse, HTTPSConnection
from typing import Protocol
from urllib.parse import urlsplit

from eventbus.client.errors import Unreachable, UsageError
from eventbus.core.override import override

#: Idle connections that are kept, and the seconds for which they are: fewer than the bus keeps its side.
MAX_IDLE_CONNECTIONS = 8
MAX_IDLE_SECONDS = 30.0
#: Seconds in which a connection has to be made.
CONNECT_SECONDS = 10.0
#: Bytes that are read of a stream at once, at most.
READ_BYTES = 65_536
#: Errors of an idle connection that the other side has closed meanwhile.
_STALE_ERRORS = (ConnectionError, BadStatusLine)


@dataclass(frozen=True, slots=True)
class Request:
    """A request; ``target`` is a path with its query, ``timeout`` the seconds without a byte of the response."""

    method: str
    target: str
    headers: Mapping[str, str] = field(repr=False)  # some are secret
    body: bytes | None
    timeout: float


@dataclass(frozen=True, slots=True)
class Response:
    """A response; names of headers are lower case."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class Stream(Protocol):
    """A response that is read while it comes."""

    response: Response  # its head; and its body, unless it is a success

    def parts(self) -> Iterator[bytes]:
        """Yield the body as it comes, until the other side ends. Raises Unreachable."""

    def lines(self) -> Iterator[bytes]:
        """Yield complete lines without their ends, as they come, until the other side ends. Raises Unreachable."""

    def interrupt(self) -> None:
        """End it for a thread that may be reading."""

    def close(self) -> None:
        """Close the connection. No thread may be reading."""


class Transport(Protocol):
    """Sends requests over the network."""

    def request(self, request: Request, *, fresh: bool = False) -> Response:
        """Send a request, and read the response; ``fresh`` asks for a new connection. Raises Unreachable."""

    def stream(self, request: Request) -> Stream:
        """Send a request, and read the head of the response. Raises Unreachable."""

    def close(self) -> None:
        """Close the idle connections."""


class HttpTransport(Transport):
    """Speaks HTTP/1.1 to one host, ``http://`` or ``https://``, with an optional path before every target."""

    def __init__(self, url: str, *, max_idle_seconds: float = MAX_IDLE_SECONDS) -> None:
        self._max_idle_seconds = max_idle_seconds
        self._idle: deque[tuple[float, HTTPConnection]] = deque()
        self._pid = os.getpid()
        parts = urlsplit(url if "://" in url else f"http://{url}")
        try:
            self._port = parts.port
            (parts.hostname or "").encode("idna")  # as it is looked up
        except ValueError:
            self._port = 0
        if parts.scheme not in ("http", "https") or not parts.hostname or self._port == 0 or parts.username:
            raise UsageError(f"The URL of a bus is http://HOST:PORT, or https: {url!r}")
        self._host = parts.hostname
        self._kind = HTTPSConnection if parts.scheme == "https" else HTTPConnection
        self._prefix = parts.path.rstrip("/")

    @override
    def request(self, request: Request, *, fresh: bool = False) -> Response:
        idle = None if fresh else self._take()
        if idle is not None:
            with translate_errors(sent=True), suppress(*_STALE_ERRORS):  # then it is sent again, on a new connection
                return self._send_and_read(idle, request)
        with translate_errors(sent=False):
            connection = self._connect(request)
        with translate_errors(sent=True):
            return self._send_and_read(connection, request)

    @override
    def stream(self, request: Request) -> "HttpStream":
        with translate_errors(sent=False):
            connection = self._connect(request)
        with translate_errors(sent=True):
            return HttpStream(connection, self._send(connection, request))

    @override
    def close(self) -> None:
        while self._idle:
            self._idle.pop()[1].close()

    def __del__(self) -> None:
        self.close()

    def _connect(self, request: Request) -> HTTPConnection:
        connection = self._kind(self._host, self._port, timeout=min(request.timeout, CONNECT_SECONDS))
        connection.connect()
        return connection

    def _send_and_read(self, connection: HTTPConnection, request: Request) -> Response:
        response = self._send(connection, request)
        try:
            result = _response(response, response.read())
        except BaseException:
            connection.close()
            raise
        if response.will_close or len(self._idle) >= MAX_IDLE_CONNECTIONS:
            connection.close()
        else:
            self._idle.append((time.monotonic(), connection))
        return result

    def _send(self, connection: HTTPConnection, request: Request) -> HTTPResponse:
        try:
            connection.sock.settimeout(request.timeout)
            connection.request(request.method, self._prefix + request.target, request.body, dict(request.headers))
            return connection.getresponse()
        except BaseException:  # a killed greenlet too leaves it in an unknown state
            connection.close()
            raise

    def _take(self) -> HTTPConnection | None:
        """Return the idle connection that was used last, if it is this process's and not too old."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self.close()
        with suppress(IndexError):  # another thread took the last one
            while self._idle:
                since, connection = self._idle.pop()
                if time.monotonic() - since < self._max_idle_seconds:
                    return connection
                connection.close()
        return None


class HttpStream(Stream):
    """A stream on a connection of its own."""

    def __init__(self, connection: HTTPConnection, response: HTTPResponse) -> None:
        self._connection = connection
        self._socket: socket.socket | None = connection.sock
        self._source = response
        self.response = _response(response, b"" if response.status == 200 else response.read())

    @override
    def parts(self) -> Iterator[bytes]:
        with translate_errors(sent=True):
            while data := self._source.read1(READ_BYTES):
                yield data

    @override
    def lines(self) -> Iterator[bytes]:
        rest = b""
        for data in self.parts():
            *lines, rest = (rest + data).split(b"\n")
            yield from lines

    @override
    def interrupt(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # it is closed already
                self._socket.shutdown(socket.SHUT_RDWR)

    @override
    def close(self) -> None:
        self._source.close()
        self._connection.close()


@contextmanager
def translate_errors(*, sent: bool) -> Iterator[None]:
    """Raise the network's errors as Unreachable."""
    try:
        yield
    except (OSError, HTTPException) as error:
        raise Unreachable(f"No answer from the bus: {error or type(error).__name__}", sent=sent) from error


def _response(response: HTTPResponse, body: bytes) -> Response:
    return Response(response.status, {name.lower(): value for name, value in response.getheaders()}, body)
