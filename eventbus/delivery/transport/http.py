"""The adapter for ``http://`` and ``https://``: mounted on the requests Session, and asked directly for each delivery.

It keeps connections and nothing else: it knows no cookies, proxies, netrc or redirects. What one delivery
costs is a send, a wait and a receive.
"""

import math
import random
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from io import BytesIO
from typing import Any
from urllib.parse import SplitResult, urlsplit, urlunsplit

import gevent
import requests
from gevent.threadpool import ThreadPool
from requests.adapters import BaseAdapter

from eventbus.core.addresses import DEFAULT_PORTS
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.delivery.transport.base import KEPT_CONNECTIONS
from eventbus.delivery.transport.certificates import client_context
from eventbus.delivery.transport.connection import Connection
from eventbus.delivery.transport.dialer import Dialer
from eventbus.delivery.transport.host_pool import HostPool
from eventbus.delivery.transport.request import checked
from eventbus.delivery.transport.resource_errors import SHORTAGES, most_connections, unmade_attempt
from eventbus.delivery.transport.response_reader import InvalidResponse, ResponseReader
from eventbus.delivery.transport.send_queue import SendQueue
from eventbus.delivery.transport.tls import HANDSHAKE_THREADS, handshake
from eventbus.delivery.transport.watchdog import Watchdog

#: Seconds for a request through the Session that says no timeout.
USUAL_TIMEOUT = 10.0


#: Bytes of an answer that is remembered.
MAX_KNOWN = 1_024
#: Seconds for which a connection takes requests: then the name is looked up again, and who moved is followed.
MIN_AGE_SECONDS, MAX_AGE_SECONDS = 30.0, 60.0


class HttpAdapter(BaseAdapter):
    """Keeps connections by scheme, host and port; ``tls`` verifies whoever is reached by https."""

    def __init__(
        self, dialler: Dialer, tls: ssl.SSLContext | None = None, monotonic: Callable[[], float] = time.monotonic
    ) -> None:
        super().__init__()
        self._dialler = dialler
        self._tls = tls
        self._threads: ThreadPool | None = None
        self._pools: dict[tuple[str, str, int], HostPool] = {}
        self._monotonic = monotonic
        self._watchdog = Watchdog(monotonic, self._tidy)
        self._outbox = SendQueue()

    def pool(self, scheme: str, host: str, port: int) -> HostPool:
        """The pool of this host and port."""
        found = self._pools.get((scheme, host, port))
        if found is None:
            found = self._pools[scheme, host, port] = HostPool(
                host, port, self._context() if scheme == "https" else None
            )
        return found

    def _context(self) -> ssl.SSLContext:
        if self._tls is None:
            self._tls = client_context()
        return self._tls

    def attempt(self, pool: HostPool, message: bytes, deadline: float) -> DeliveryResponse:
        """Send a request and tell what came back, or why nothing did; ``deadline`` is on the monotonic clock."""
        idle = pool.idle
        try:
            if idle and (connection := idle.pop()).open:  # as _ask does, for nearly every delivery
                try:
                    data = connection.ask(message, deadline)
                except ConnectionError:
                    connection, data = self._ask_anew(pool, message, deadline)
            else:
                connection, data = self._ask(pool, message, deadline)
            answer = pool.answer if data == pool.known else self._read(pool, connection, data)
        except TimeoutError:
            pool.drop_unused(deadline)
            return DeliveryResponse(None, error="timed out")
        except InvalidResponse as error:
            return DeliveryResponse(None, error=str(error))
        except OSError as error:
            return unmade_attempt(error)
        if connection.open:  # as pool.keep does
            connection.last_deadline, connection.deadline = connection.deadline, math.inf
            idle.append(connection)
            if len(idle) > KEPT_CONNECTIONS:
                idle.popleft().close()
        else:
            connection.close()
        return answer

    def _ask(self, pool: HostPool, message: bytes, deadline: float) -> tuple[Connection, bytes]:
        """Send on a kept connection, or on a new one where there is none or the other side had closed it."""
        kept = pool.take()
        if kept is not None:
            try:
                return kept, kept.ask(message, deadline)
            except ConnectionError:
                pass  # nothing of an answer came: the same again, at least once
        return self._ask_anew(pool, message, deadline)

    def _ask_anew(self, pool: HostPool, message: bytes, deadline: float) -> tuple[Connection, bytes]:
        connection = self._connect(pool, deadline)
        return connection, connection.ask(message, deadline)

    def _read(self, pool: HostPool, connection: Connection, data: bytes) -> DeliveryResponse:
        reader = connection.read(data)
        answer = reader.answer()
        if reader.simple and 0 < len(data) <= MAX_KNOWN:
            pool.known, pool.answer = data, answer
        reader.forget()
        return answer

    def _connect(self, pool: HostPool, deadline: float) -> Connection:
        self._watchdog.start()
        now = self._monotonic()
        retire_at = now + random.uniform(MIN_AGE_SECONDS, MAX_AGE_SECONDS)  # noqa: S311 - no secret
        with gevent.Timeout(max(0.0, deadline - now)) as timer:
            try:
                connection = self._connected(pool, deadline - now, retire_at)
            except gevent.Timeout as over:
                if over is not timer:
                    raise
                raise TimeoutError("no connection in time") from None
        self._watchdog.watched.add(connection)
        return connection

    def _connected(self, pool: HostPool, seconds: float, retire_at: float) -> Connection:
        """A connection to whoever the pool's name stands for, which by https is verified."""
        peer = self._dial(pool, seconds)
        try:
            tls = None if pool.tls is None else handshake(peer, pool.tls, pool.host, self._handshake_threads())
        except BaseException:
            peer.close()
            raise
        return Connection(peer, self._outbox, retire_at, tls)

    def _handshake_threads(self) -> ThreadPool:
        if self._threads is None:
            self._threads = ThreadPool(HANDSHAKE_THREADS)
        return self._threads

    def _dial(self, pool: HostPool, seconds: float) -> socket.socket:
        """A connected socket; where the bus is short of files, idle connections are given up for it."""
        if len(self._watchdog.watched) >= most_connections():
            self._give_up_idle()
        try:
            return self._dialler.connect(pool.host, pool.port, seconds)
        except OSError as error:
            if error.errno not in SHORTAGES:
                raise
        self._give_up_idle()
        return self._dialler.connect(pool.host, pool.port, seconds)

    def _give_up_idle(self) -> None:
        """Close half of the idle connections of each host, and forget the closed ones."""
        for pool in self._pools.values():
            pool.drop_half()
        self._watchdog.forget_closed()

    def _tidy(self) -> None:
        """Forget the idle connections that were closed."""
        for pool in self._pools.values():
            pool.drop_closed()

    def leave(self, pool: HostPool) -> None:
        """A route does not lead there any more; the last one closes the idle connections."""
        pool.users -= 1
        if pool.users <= 0:
            self._pools.pop(("https" if pool.tls else "http", pool.host, pool.port), None)
            pool.close()

    def close(self) -> None:
        """Close all idle connections."""
        self._watchdog.stop()
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()

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
        pool = self.pool(url.scheme, url.hostname or "", url.port or DEFAULT_PORTS[url.scheme])
        try:
            connection, data = self._ask(pool, head + _bytes(request.body or b""), deadline)
            reader = connection.read(data)
        except TimeoutError as error:
            pool.drop_unused(deadline)
            raise requests.ReadTimeout(error, request=request) from error
        except (InvalidResponse, OSError) as error:
            raise requests.ConnectionError(error, request=request) from error
        response = _response_of(reader, request)
        reader.forget()
        pool.keep(connection)
        return response


def _head_of(request: requests.PreparedRequest, url: SplitResult) -> bytes:
    target = urlunsplit(("", "", url.path or "/", url.query, "")).encode("ascii")
    headers = {"Host": url.netloc, **request.headers}
    lines = [b"%s: %s\r\n" % (_bytes(name), _bytes(value)) for name, value in headers.items()]
    return b"%s %s HTTP/1.1\r\n%s\r\n" % (_bytes(request.method or "GET"), target, b"".join(lines))


def _bytes(text: str | bytes) -> bytes:
    return text if isinstance(text, bytes) else checked(text)


def _response_of(reader: ResponseReader, request: requests.PreparedRequest) -> requests.Response:
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
