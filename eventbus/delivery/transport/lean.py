"""The adapter for ``http://``: mounted on the requests Session, and asked directly for each delivery.

It keeps connections and nothing else: it knows no cookies, proxies, netrc or redirects. What one delivery
costs is a send, a wait and a receive.
"""

import socket
import time
from collections import deque
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

import gevent
import requests
from requests.adapters import BaseAdapter

from eventbus.delivery.outcome import Answer
from eventbus.delivery.transport.answers import AnswerReader, NotAnAnswer
from eventbus.delivery.transport.base import KEPT_CONNECTIONS, KEPT_SECONDS
from eventbus.delivery.transport.connection import Connection
from eventbus.delivery.transport.message import checked
from eventbus.delivery.transport.watchdog import Watchdog

#: Seconds for a request through the Session that says no timeout.
USUAL_TIMEOUT = 10.0


class LeanAdapter(BaseAdapter):
    """Connections by host and port, the last one used first."""

    def __init__(self, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._idle: dict[tuple[str, int], deque[Connection]] = {}
        self._monotonic = monotonic
        self._watchdog = Watchdog(monotonic, self._tidy)

    def attempt(self, host: str, port: int, head: bytes, body: bytes, deadline: float) -> Answer:
        """Send a request and tell what came back, or why nothing did; ``deadline`` is on the monotonic clock."""
        try:
            return self._exchange(host, port, head, body, deadline).answer()
        except TimeoutError:
            return Answer(None, error="timed out")
        except NotAnAnswer as error:
            return Answer(None, error=str(error))
        except OSError as error:
            return Answer(None, error=f"connection failed: {error.strerror or error}")

    def _exchange(self, host: str, port: int, head: bytes, body: bytes, deadline: float) -> AnswerReader:
        place = host, port
        connection = self._take(place) or self._connect(place, deadline)
        connection.deadline = deadline
        watched = self._watchdog.watched
        watched.add(connection)
        try:
            reader = connection.exchange(head, body)
        finally:
            watched.discard(connection)
            connection.deadline = 0.0
        if connection.open:
            self._keep(place, connection)
        return reader

    def _take(self, place: tuple[str, int]) -> Connection | None:
        idle = self._idle.get(place)
        while idle:
            connection = idle.pop()
            if connection.open:
                return connection
        return None

    def _connect(self, place: tuple[str, int], deadline: float) -> Connection:
        self._watchdog.start()
        with gevent.Timeout(max(0.0, deadline - self._monotonic())) as timer:
            try:
                return Connection(socket.create_connection(place, timeout=None))
            except gevent.Timeout as over:
                if over is not timer:
                    raise
                raise TimeoutError("no connection in time") from None
            except UnicodeError as error:
                raise OSError(f"the host name cannot be looked up: {error}") from None

    def _keep(self, place: tuple[str, int], connection: Connection) -> None:
        idle = self._idle.setdefault(place, deque())
        connection.idle_since = self._monotonic()
        idle.append(connection)
        if len(idle) > KEPT_CONNECTIONS:
            idle.popleft().close()

    def _tidy(self, now: float) -> None:
        """Close what has been idle for long."""
        for place, idle in list(self._idle.items()):
            while idle and (not idle[0].open or now - idle[0].idle_since > KEPT_SECONDS):
                idle.popleft().close()
            if not idle:
                del self._idle[place]

    def forget(self, host: str, port: int) -> None:
        """Close the idle connections to one place."""
        for connection in self._idle.pop((host, port), ()):
            connection.close()

    def close(self) -> None:
        """Close all idle connections."""
        self._watchdog.stop()
        for place in list(self._idle):
            self.forget(*place)

    # What requests asks of an adapter

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002 - the signature is requests' own
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,  # noqa: FBT001, FBT002
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send a prepared request, as ``Session.send`` asks for it. Raises requests.ConnectionError."""
        url = urlsplit(request.url or "")
        head = _head_of(request, url)
        seconds = timeout if isinstance(timeout, float | int) else USUAL_TIMEOUT
        deadline = self._monotonic() + seconds
        body = request.body or b""
        try:
            reader = self._exchange(
                url.hostname or "", url.port or 80, head, body if isinstance(body, bytes) else body.encode(), deadline
            )
        except TimeoutError as error:
            raise requests.ReadTimeout(error, request=request) from error
        except (NotAnAnswer, OSError) as error:
            raise requests.ConnectionError(error, request=request) from error
        return _response_of(reader, request)


def _head_of(request: requests.PreparedRequest, url: SplitResult) -> bytes:
    target = urlunsplit(("", "", url.path or "/", url.query, "")).encode("ascii")
    headers = {"Host": url.netloc, **request.headers}
    lines = [b"%s: %s\r\n" % (_bytes(name), _bytes(value)) for name, value in headers.items()]
    return b"%s %s HTTP/1.1\r\n%s\r\n" % (_bytes(request.method or "GET"), target, b"".join(lines))


def _bytes(text: str | bytes) -> bytes:
    return checked(text if isinstance(text, bytes) else text.encode("latin-1"))


def _response_of(reader: AnswerReader, request: requests.PreparedRequest) -> requests.Response:
    read = reader.closely()
    response = requests.Response()
    response.status_code = reader.status
    response.url = request.url or ""
    response.request = request
    response.raw = BytesIO(read.body)
    for name, value in read.headers:
        response.headers[name.decode("latin-1")] = value.decode("latin-1")
    return response
