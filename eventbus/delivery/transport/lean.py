"""The adapter for ``http://``: mounted on the requests Session, and asked directly for each delivery.

It keeps connections and nothing else: it knows no cookies, proxies, netrc or redirects. What one delivery
costs is a send, a wait and a receive.
"""

import math
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
from eventbus.delivery.transport.dial import Dialler
from eventbus.delivery.transport.message import checked
from eventbus.delivery.transport.outbox import Outbox
from eventbus.delivery.transport.shortage import SHORTAGES, most_connections, told
from eventbus.delivery.transport.watchdog import Watchdog

#: Seconds for a request through the Session that says no timeout.
USUAL_TIMEOUT = 10.0


#: Bytes of an answer that is remembered.
MAX_KNOWN = 1_024
#: Equals nothing that can be received, the end of a connection least of all.
_NOTHING = b"\0"
#: An answer that says: delivered, with nothing more to know.
_PLAIN = Answer(200)


class Place:
    """A host and a port, with its idle connections, and the answer that it gave last.

    A subscriber's answers are mostly the same to the byte. One that equals an answer that was read with the
    parser, in the same situation, means the same, and is not read again.
    """

    __slots__ = ("answer", "host", "idle", "known", "port", "users")

    def __init__(self, host: str, port: int) -> None:
        self.host, self.port = host, port
        self.users = 0  # routes that lead here
        self.idle: deque[Connection] = deque()  # the last one used stands last
        self.known = _NOTHING
        self.answer = _PLAIN


class LeanAdapter(BaseAdapter):
    """Keeps connections by host and port."""

    def __init__(self, dialler: Dialler, monotonic: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._dialler = dialler
        self._places: dict[tuple[str, int], Place] = {}
        self._monotonic = monotonic
        self._watchdog = Watchdog(monotonic, self._tidy)
        self._outbox = Outbox()

    def place(self, host: str, port: int) -> Place:
        """The place by this name."""
        found = self._places.get((host, port))
        if found is None:
            found = self._places[host, port] = Place(host, port)
        return found

    def attempt(self, place: Place, message: bytes, deadline: float) -> Answer:
        """Send a request and tell what came back, or why nothing did; ``deadline`` is on the monotonic clock."""
        idle = place.idle
        try:
            if idle and (connection := idle.pop()).open:  # as _ask does, for nearly every delivery
                try:
                    data = connection.ask(message, deadline)
                except ConnectionError:
                    connection, data = self._ask_anew(place, message, deadline)
            else:
                connection, data = self._ask(place, message, deadline)
            answer = place.answer if data == place.known else self._read(place, connection, data)
        except TimeoutError:
            return Answer(None, error="timed out")
        except NotAnAnswer as error:
            return Answer(None, error=str(error))
        except OSError as error:
            return told(error)
        if connection.open:
            connection.idle_since, connection.deadline = connection.deadline, math.inf
            idle.append(connection)
            if len(idle) > KEPT_CONNECTIONS:
                idle.popleft().close()
        return answer

    def _ask(self, place: Place, message: bytes, deadline: float) -> tuple[Connection, bytes]:
        """Send on a kept connection, or on a new one where there is none or the other side had closed it."""
        kept = self._take(place)
        if kept is not None:
            try:
                return kept, kept.ask(message, deadline)
            except ConnectionError:
                pass  # nothing of an answer came: the same again, at least once
        return self._ask_anew(place, message, deadline)

    def _ask_anew(self, place: Place, message: bytes, deadline: float) -> tuple[Connection, bytes]:
        connection = self._connect(place, deadline)
        return connection, connection.ask(message, deadline)

    def _read(self, place: Place, connection: Connection, data: bytes) -> Answer:
        reader = connection.read(data)
        answer = reader.answer()
        if reader.simple and 0 < len(data) <= MAX_KNOWN:
            place.known, place.answer = data, answer
        reader.forget()
        return answer

    def _take(self, place: Place) -> Connection | None:
        idle = place.idle
        while idle:
            connection = idle.pop()
            if connection.open:
                return connection
        return None

    def _connect(self, place: Place, deadline: float) -> Connection:
        self._watchdog.start()
        with gevent.Timeout(max(0.0, deadline - self._monotonic())) as timer:
            try:
                connection = Connection(self._dial(place), self._outbox)
            except gevent.Timeout as over:
                if over is not timer:
                    raise
                raise TimeoutError("no connection in time") from None
        self._watchdog.watched.add(connection)
        return connection

    def _dial(self, place: Place) -> socket.socket:
        """A connected socket; where the bus is short of files, idle connections are given up for it."""
        if len(self._watchdog.watched) >= most_connections():
            self._give_up_idle()
        try:
            return self._dialler.connect(place.host, place.port)
        except OSError as error:
            if error.errno not in SHORTAGES:
                raise
        self._give_up_idle()
        return self._dialler.connect(place.host, place.port)

    def _give_up_idle(self) -> None:
        """Close half of the idle connections of each place, the longest idle first, and forget the closed ones."""
        for place in self._places.values():
            for _ in range((len(place.idle) + 1) // 2):
                place.idle.popleft().close()
        self._watchdog.forget_closed()

    def _keep(self, place: Place, connection: Connection) -> None:
        connection.idle_since = connection.deadline
        connection.deadline = math.inf
        place.idle.append(connection)
        if len(place.idle) > KEPT_CONNECTIONS:
            place.idle.popleft().close()

    def _tidy(self, now: float) -> None:
        """Close what has been idle for long."""
        for place in self._places.values():
            idle = place.idle
            while idle and (not idle[0].open or now - idle[0].idle_since > KEPT_SECONDS):
                idle.popleft().close()

    def leave(self, place: Place) -> None:
        """A route does not lead there any more; the last one closes the idle connections."""
        place.users -= 1
        if place.users <= 0:
            self._places.pop((place.host, place.port), None)
            _close_idle(place)

    def close(self) -> None:
        """Close all idle connections."""
        self._watchdog.stop()
        for place in self._places.values():
            _close_idle(place)
        self._places.clear()

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
        place = self.place(url.hostname or "", url.port or 80)
        try:
            connection, data = self._ask(place, head + _bytes(body), deadline)
            reader = connection.read(data)
        except TimeoutError as error:
            raise requests.ReadTimeout(error, request=request) from error
        except (NotAnAnswer, OSError) as error:
            raise requests.ConnectionError(error, request=request) from error
        response = _response_of(reader, request)
        reader.forget()
        if connection.open:
            self._keep(place, connection)
        return response


def _close_idle(place: Place) -> None:
    while place.idle:
        place.idle.pop().close()


def _head_of(request: requests.PreparedRequest, url: SplitResult) -> bytes:
    target = urlunsplit(("", "", url.path or "/", url.query, "")).encode("ascii")
    headers = {"Host": url.netloc, **request.headers}
    lines = [b"%s: %s\r\n" % (_bytes(name), _bytes(value)) for name, value in headers.items()]
    return b"%s %s HTTP/1.1\r\n%s\r\n" % (_bytes(request.method or "GET"), target, b"".join(lines))


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else checked(text)


def _response_of(reader: AnswerReader, request: requests.PreparedRequest) -> requests.Response:
    read = reader.closely()
    response = requests.Response()
    response.status_code = reader.status
    response.url = request.url or ""
    response.request = request
    response.raw = BytesIO(read.body)
    for name, value in read.headers:
        title, text = name.decode("latin-1"), value.decode("latin-1")
        response.headers[title] = f"{response.headers[title]}, {text}" if title in response.headers else text
    return response
