"""A page of events as JSON, bounded in events and in bytes."""

import json
from collections.abc import Callable, Sequence

from eventbus.core.model import Event
from eventbus.web.event_payload import event_json
from eventbus.web.pages import MAX_PAGE_BYTES
from eventbus.web.server.connections import ClientConnection


class EventPage:
    """A page of events as JSON: at most ``limit`` events and ``max_bytes`` bytes, but at least one event.

    While the page is filled, its bytes count as held by the connection.
    """

    def __init__(self, limit: int, connection: ClientConnection | None, max_bytes: int = MAX_PAGE_BYTES) -> None:
        self.left = limit
        self.size = 0  #: bytes
        self.last: list[Event] = []  #: the last event that was added, if there is one
        self.connection = connection  #: that counts them, if there is one
        self._max_bytes = max_bytes
        self._parts: list[bytes] = []

    def add(self, event: Event, give_way: Callable[[], None] = lambda: None) -> bool:
        """Add an event; return false if it does not fit. Raises TooManyStreams.

        Call ``give_way`` between the steps that a large one takes.
        """
        if not self.add_json(event_json(event, give_way)):
            return False
        self.last = [event]
        return True

    def add_json(self, part: bytes) -> bool:
        """Add an event's JSON; return false if it does not fit. Raises TooManyStreams."""
        if self._parts and self.size + len(part) > self._max_bytes:
            return False
        if self.connection is not None:
            self.connection.take(len(part))
        self.size += len(part)
        self._parts.append(part)
        self.left -= 1
        return True

    def encode(self, following: str | None) -> bytes:
        """Return the page and the event that the next page starts after. Release the counted bytes."""
        if self.connection is not None:
            self.connection.release(self.size)
        return b'{"events":[%s],"next":%s}\n' % (b",".join(self._parts), json.dumps(following).encode())


def page_bytes(events: Sequence[Event]) -> int:
    """Return the bytes that events take while a page is made of them: the JSON of one is made in two steps."""
    sizes = [len(event.body) for event in events]
    return sum(sizes) + 2 * max(sizes, default=0)
