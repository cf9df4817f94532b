"""What a subscriber says while a request is still being sent to it (RFC 9112, section 9.5)."""

from eventbus.delivery.transport.answers import AnswerReader


class EarlyAnswer:
    """Collects what comes before a request has been sent whole, and tells whether it has to be sent on."""

    __slots__ = ("_parts", "_reader", "complete")

    def __init__(self) -> None:
        self._reader = AnswerReader()
        self._parts: list[bytes] = []
        self.complete = False

    def take(self, data: bytes) -> None:
        """Add what was received. Raises NotAnAnswer."""
        self._parts.append(data)
        self.complete = self._reader.feed(data) or self.complete

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
