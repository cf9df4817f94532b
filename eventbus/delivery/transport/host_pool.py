"""The connections that are kept to one host and port."""

import math
import ssl
from collections import deque

from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.delivery.transport.base import KEPT_CONNECTIONS
from eventbus.delivery.transport.connection import Connection

#: Equals nothing that can be received, the end of a connection least of all.
_NOTHING = b"\0"
#: An answer that says: delivered, with nothing more to know.
_PLAIN = DeliveryResponse(200)


class HostPool:
    """A host and a port, with its idle connections, and the answer that it gave last.

    A subscriber's answers are mostly the same to the byte. One that equals an answer that was read with the
    parser, in the same situation, means the same, and is not read again.
    """

    __slots__ = ("answer", "host", "idle", "known", "port", "tls", "users")

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self.host, self.port = host, port
        self.tls = tls  # verifies who is there; None for http
        self.users = 0  # routes that lead here
        self.idle: deque[Connection] = deque()  # the last one used stands last
        self.known = _NOTHING
        self.answer = _PLAIN

    def take(self) -> Connection | None:
        """Return the connection that was used last, if one is open."""
        while self.idle:
            connection = self.idle.pop()
            if connection.open:
                return connection
        return None

    def keep(self, connection: Connection) -> None:
        """Keep a connection for the next request, if it may have one; close it otherwise."""
        if not connection.open:
            connection.close()
            return
        connection.last_deadline, connection.deadline = connection.deadline, math.inf
        self.idle.append(connection)
        if len(self.idle) > KEPT_CONNECTIONS:
            self.idle.popleft().close()

    def drop_unused(self, deadline: float) -> None:
        """Close what has not been used since the attempt that had to end by ``deadline``, and timed out, began.

        The host behind these connections may be gone without a word; each would cost a time-out of its own.
        """
        for connection in list(self.idle):
            if connection.last_deadline < deadline:
                self.idle.remove(connection)
                connection.close()

    def drop_half(self) -> None:
        """Close half of the idle connections, those used longest ago."""
        for _ in range((len(self.idle) + 1) // 2):
            self.idle.popleft().close()

    def drop_closed(self) -> None:
        """Forget the idle connections that have been closed."""
        open_ones = [connection for connection in self.idle if connection.open]
        if len(open_ones) < len(self.idle):
            self.idle.clear()  # the same deque: an attempt under way gives its connection back to it
            self.idle.extend(open_ones)

    def close(self) -> None:
        """Close all idle connections."""
        while self.idle:
            self.idle.pop().close()
