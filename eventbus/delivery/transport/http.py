"""The adapter for ``http://`` and ``https://``: mounted on the requests Session, and called directly for each delivery.

It keeps connections and nothing else: no cookies, proxies, netrc or redirects. A delivery costs one send, one wait and
one receive.
"""

import math
import random
import socket
import ssl
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

import gevent
import requests
from gevent.threadpool import ThreadPool
from requests.adapters import BaseAdapter

from eventbus.core.addresses import DEFAULT_PORTS
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.delivery.transport.certificates import client_context
from eventbus.delivery.transport.client_tls import ClientTls
from eventbus.delivery.transport.connection import Connection
from eventbus.delivery.transport.dialer import Dialer
from eventbus.delivery.transport.host_pool import HostPool
from eventbus.delivery.transport.limits import (
    DEFAULT_TIMING,
    MAX_IDLE_CONNECTIONS,
    TransportTiming,
)
from eventbus.delivery.transport.request import Request
from eventbus.delivery.transport.requests_values import head_of, response_of, to_bytes
from eventbus.delivery.transport.resource_errors import RESOURCE_ERRNOS, failed_response, max_connections
from eventbus.delivery.transport.response_reader import InvalidResponse
from eventbus.delivery.transport.send_queue import SendQueue
from eventbus.delivery.transport.tls import HANDSHAKE_THREADS, TlsSocket, handshake
from eventbus.delivery.transport.watchdog import Watchdog

#: Seconds for a request through the Session without a timeout.
DEFAULT_TIMEOUT_SECONDS = 10.0


class HttpAdapter(BaseAdapter):
    """Keeps connections by scheme, host and port; ``tls`` is for those by https."""

    def __init__(
        self,
        dialer: Dialer,
        tls: ClientTls | None = None,
        monotonic: Callable[[], float] = time.monotonic,
        timing: TransportTiming = DEFAULT_TIMING,
    ) -> None:
        super().__init__()
        self._dialer = dialer
        self._tls = tls
        self._threads: ThreadPool | None = None
        self._pools: dict[tuple[str, str, int], HostPool] = {}
        self._monotonic = monotonic
        self._timing = timing
        self._watchdog = Watchdog(monotonic, self._drop_closed, timing.cleanup_interval)
        self._send_queue = SendQueue()

    def pool(self, scheme: str, host: str, port: int) -> HostPool:
        """Return the pool of this host and port; make it if there is none."""
        found = self._pools.get((scheme, host, port))
        if found is None:
            found = self._pools[scheme, host, port] = HostPool(
                host, port, self._client_tls() if scheme == "https" else None
            )
        return found

    def _client_tls(self) -> ClientTls:
        if self._tls is None:
            self._tls = ClientTls(client_context)
        return self._tls

    def attempt(self, pool: HostPool, message: Request, deadline: float) -> DeliveryResponse:
        """Send a request and return its response, or the error; ``deadline`` is on the monotonic clock."""
        idle = pool.idle
        try:
            if idle and (connection := idle.pop()).open:  # _request inlined: nearly every delivery takes this path
                try:
                    data = connection.request(message, deadline)
                except ConnectionError:
                    connection, data = self._request_on_new(pool, message, deadline)
            else:
                connection, data = self._request(pool, message, deadline)
            response = pool.cached_response if data == pool.cached_bytes else pool.read(connection, data)
        except (InvalidResponse, OSError) as error:
            return _response_for(error, pool, deadline)
        if connection.open:  # pool.release inlined
            connection.previous_deadline, connection.deadline = connection.deadline, math.inf
            idle.append(connection)
            if len(idle) > MAX_IDLE_CONNECTIONS:
                idle.popleft().close()
        else:
            connection.close()
        return response

    def attempt_batch(self, pool: HostPool, message: Request, deadline: float) -> DeliveryResponse:
        """Send a request as ``attempt`` does, and return its response with the body of a 2xx."""
        try:
            connection, data = self._request(pool, message, deadline)
            response = pool.read_batch(connection, data)
        except (InvalidResponse, OSError) as error:
            return _response_for(error, pool, deadline)
        pool.release(connection)
        return response

    def _request(self, pool: HostPool, message: Request, deadline: float) -> tuple[Connection, bytes]:
        """Send on an idle connection, or on a new one if there is none or the subscriber has closed it."""
        idle = pool.acquire()
        if idle is not None:
            try:
                return idle, idle.request(message, deadline)
            except ConnectionError:
                pass  # no byte of a response came: send again, which at-least-once delivery allows
        return self._request_on_new(pool, message, deadline)

    def _request_on_new(self, pool: HostPool, message: Request, deadline: float) -> tuple[Connection, bytes]:
        connection = self._connect(pool, deadline)
        data = connection.request(message, deadline)
        if connection.tls is not None:
            connection.tls.keep_session(pool.session)
        return connection, data

    def _connect(self, pool: HostPool, deadline: float) -> Connection:
        self._watchdog.start()
        now = self._monotonic()
        retire_at = now + random.uniform(self._timing.min_connection_age, self._timing.max_connection_age)  # noqa: S311 - no secret
        with gevent.Timeout(max(0.0, deadline - now)) as timer:
            try:
                connection = self._open_connection(pool, deadline - now, retire_at)
            except gevent.Timeout as over:
                if over is not timer:
                    raise
                raise TimeoutError("no connection in time") from None
        self._watchdog.connections.add(connection)
        return connection

    def _open_connection(self, pool: HostPool, seconds: float, retire_at: float) -> Connection:
        """Return a connection to the pool's host, verified if it is https."""
        peer = self._connect_socket(pool, seconds)
        try:
            tls = None if pool.tls is None else self._handshake(peer, pool, pool.tls.context())
        except BaseException:
            peer.close()
            raise
        return Connection(peer, self._send_queue, retire_at, tls)

    def _handshake(self, peer: socket.socket, pool: HostPool, context: ssl.SSLContext) -> TlsSocket:
        if self._threads is None:
            self._threads = ThreadPool(HANDSHAKE_THREADS)
        return handshake(peer, context, pool.host, self._threads, pool.session.get(context))

    def _connect_socket(self, pool: HostPool, seconds: float) -> socket.socket:
        """Return a connected socket; close idle connections if the bus has no free file, port or memory."""
        if len(self._watchdog.connections) >= max_connections():
            self._close_half_of_idle()
        try:
            return self._dialer.connect(pool.host, pool.port, seconds)
        except OSError as error:
            if error.errno not in RESOURCE_ERRNOS:
                raise
        self._close_half_of_idle()
        return self._dialer.connect(pool.host, pool.port, seconds)

    def _close_half_of_idle(self) -> None:
        """Close half of each host's idle connections, and stop watching closed ones."""
        for pool in self._pools.values():
            pool.close_half()
        self._watchdog.drop_closed()

    def _drop_closed(self) -> None:
        """Remove closed connections from the pools."""
        for pool in self._pools.values():
            pool.drop_closed()

    def release_pool(self, pool: HostPool) -> None:
        """Count a closed route; after the last one close the pool's idle connections."""
        pool.route_count -= 1
        if pool.route_count <= 0:
            self._pools.pop(("https" if pool.tls else "http", pool.host, pool.port), None)
            pool.close()

    def close(self) -> None:
        """Close all idle connections, and stop the watchdog."""
        self._watchdog.stop()
        for pool in self._pools.values():
            pool.close()
        self._pools.clear()

    # Called by requests

    def send(
        self,
        request: requests.PreparedRequest,
        stream: bool = False,  # noqa: FBT001, FBT002 - requests defines the signature
        timeout: float | tuple[float, float] | tuple[float, None] | None = None,
        verify: bool | str = True,  # noqa: FBT001, FBT002
        cert: Any = None,
        proxies: Mapping[str, str] | None = None,
    ) -> requests.Response:
        """Send a prepared request for ``Session.send``. Raise requests.ConnectionError."""
        url = urlsplit(request.url or "")
        head = head_of(request, url)
        seconds = timeout if isinstance(timeout, float | int) else DEFAULT_TIMEOUT_SECONDS
        deadline = self._monotonic() + seconds
        pool = self.pool(url.scheme, url.hostname or "", url.port or DEFAULT_PORTS[url.scheme])
        try:
            connection, data = self._request(pool, head + to_bytes(request.body or b""), deadline)
            reader = connection.read(data)
        except TimeoutError as error:
            pool.close_unused_since(deadline)
            raise requests.ReadTimeout(error, request=request) from error
        except (InvalidResponse, OSError) as error:
            raise requests.ConnectionError(error, request=request) from error
        response = response_of(reader, request)
        reader.clear()
        pool.release(connection)
        return response


def _response_for(error: Exception, pool: HostPool, deadline: float) -> DeliveryResponse:
    """Return the response of an attempt that got none, or an invalid one."""
    if isinstance(error, TimeoutError):
        pool.close_unused_since(deadline)
        return DeliveryResponse(None, error="timed out")
    return failed_response(error) if isinstance(error, OSError) else DeliveryResponse(None, error=str(error))
