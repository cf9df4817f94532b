"""Collects a response that arrives while its request is still being sent (RFC 9112, section 9.5)."""

import socket

from eventbus.delivery.transport.response_reader import ResponseReader
from eventbus.delivery.transport.tls import TlsSocket

#: Bytes that one call receives at most.
RECEIVE_BYTES = 65_536


class EarlyResponse:
    """The bytes received before the whole request was sent, and whether to send the rest of the request."""

    __slots__ = ("_parts", "_reader", "complete")

    def __init__(self) -> None:
        self._reader = ResponseReader()
        self._parts: list[bytes] = []
        self.complete = False

    def receive(self, subscriber: socket.socket | TlsSocket) -> bool:
        """Add received bytes; return whether there were any.

        Raise InvalidResponse, or ConnectionError if the subscriber has closed the connection.
        """
        try:
            data = subscriber.recv(RECEIVE_BYTES)
        except BlockingIOError:
            return False
        if not data:
            raise ConnectionResetError("closed without a response")
        self._parts.append(data)
        self.complete = self._reader.feed(data) or self.complete
        return True

    @property
    def data(self) -> bytes:
        """All bytes received so far."""
        return b"".join(self._parts)

    @property
    def final(self) -> bool:
        """Whether to stop sending the request.

        A 2xx response that leaves the connection open may come from a subscriber that still reads the body.
        """
        return self.complete and not (self._reader.reusable and 200 <= self._reader.status < 300)
