"""Keeps the idle connections to one host and port."""

import math
from collections import deque

from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.delivery.transport.client_tls import ClientTls
from eventbus.delivery.transport.connection import Connection
from eventbus.delivery.transport.limits import MAX_BATCH_RESPONSE_BYTES, MAX_IDLE_CONNECTIONS
from eventbus.delivery.transport.tls_session import TlsSession

#: Bytes of the longest response that is cached.
MAX_CACHED_RESPONSE_BYTES = 1_024
#: Differs from everything that can be received, and from the empty bytes of a closed connection.
_NEVER_RECEIVED = b"\0"


class HostPool:
    """The idle connections to a host and port, and its last response: to an event, and to a batch.

    A subscriber's responses are mostly equal byte for byte. Bytes equal to ``cached_bytes`` mean ``cached_response``,
    and are not parsed again.
    """

    __slots__ = (
        "_cached_batch_bytes",
        "_cached_batch_response",
        "cached_bytes",
        "cached_response",
        "host",
        "idle",
        "port",
        "route_count",
        "session",
        "tls",
    )

    def __init__(self, host: str, port: int, tls: ClientTls | None = None) -> None:
        self.host, self.port = host, port
        self.tls = tls  # for new connections; None for http
        self.session = TlsSession()
        self.route_count = 0  # open routes to this host and port
        self.idle: deque[Connection] = deque()  # the most recently used is last
        self.cached_bytes = self._cached_batch_bytes = _NEVER_RECEIVED
        self.cached_response = self._cached_batch_response = DeliveryResponse(200)

    def read(self, connection: Connection, data: bytes) -> DeliveryResponse:
        """Read the response to an event, which begins with ``data``. Raise InvalidResponse and OSError."""
        reader = connection.read(data)
        response = reader.response()
        if reader.cacheable and 0 < len(data) <= MAX_CACHED_RESPONSE_BYTES:
            self.cached_bytes, self.cached_response = data, response
        reader.clear()
        return response

    def read_batch(self, connection: Connection, data: bytes) -> DeliveryResponse:
        """Read the response to a batch as ``read`` does; a 2xx has its body."""
        if data == self._cached_batch_bytes:
            return self._cached_batch_response
        reader = connection.read(data, MAX_BATCH_RESPONSE_BYTES)
        response = reader.batch_response()
        if reader.cacheable and 0 < len(data) <= MAX_CACHED_RESPONSE_BYTES:
            self._cached_batch_bytes, self._cached_batch_response = data, response
        reader.clear()
        return response

    def acquire(self) -> Connection | None:
        """Return the most recently used open connection, or None."""
        while self.idle:
            connection = self.idle.pop()
            if connection.open:
                return connection
        return None

    def release(self, connection: Connection) -> None:
        """Keep a connection for the next request if it is open; close it otherwise."""
        if not connection.open:
            connection.close()
            return
        connection.previous_deadline, connection.deadline = connection.deadline, math.inf
        self.idle.append(connection)
        if len(self.idle) > MAX_IDLE_CONNECTIONS:
            self.idle.popleft().close()

    def close_unused_since(self, deadline: float) -> None:
        """Close the connections not used since the start of an attempt that timed out at ``deadline``.

        The host may have disappeared; each of these connections would cost another time-out.
        """
        for connection in list(self.idle):
            if connection.previous_deadline < deadline:
                self.idle.remove(connection)
                connection.close()

    def close_half(self) -> None:
        """Close the least recently used half of the idle connections."""
        for _ in range((len(self.idle) + 1) // 2):
            self.idle.popleft().close()

    def drop_closed(self) -> None:
        """Remove closed connections from the idle ones."""
        open_ones = [connection for connection in self.idle if connection.open]
        if len(open_ones) < len(self.idle):
            self.idle.clear()  # the same deque: a running attempt holds a reference to it
            self.idle.extend(open_ones)

    def close(self) -> None:
        """Close all idle connections."""
        while self.idle:
            self.idle.pop().close()
