"""What a subscriber says while a request is still being sent to it (RFC 9112, section 9.5)."""

import socket

from eventbus.delivery.transport.response_reader import ResponseReader
from eventbus.delivery.transport.tls import TlsSocket

#: Bytes that are received at once, at most.
RECEIVE = 65_536


class EarlyResponse:
    """Collects what comes before a request has been sent whole, and tells whether it has to be sent on."""

    __slots__ = ("_parts", "_reader", "complete")

    def __init__(self) -> None:
        self._reader = ResponseReader()
        self._parts: list[bytes] = []
        self.complete = False

    def receive(self, subscriber: socket.socket | TlsSocket) -> bool:
        """Add what has come; return whether anything has. Raises InvalidResponse, ConnectionError at the end."""
        try:
            data = subscriber.recv(RECEIVE)
        except BlockingIOError:
            return False
        if not data:
            raise ConnectionResetError("closed without an answer")
        self._parts.append(data)
        self.complete = self._reader.feed(data) or self.complete
        return True

    @property
    def data(self) -> bytes:
        """All that has come; nothing where nothing has."""
        return b"".join(self._parts)

    @property
    def final(self) -> bool:
        """Whether the rest of the request is of no use to the subscriber.

        A success that leaves the connection open may be an acknowledgement by a subscriber that still reads the body.
        """
        return self.complete and not (self._reader.reusable and 200 <= self._reader.status < 300)
