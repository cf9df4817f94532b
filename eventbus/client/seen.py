"""Which events were handled: at least once becomes once, for as many as are remembered."""

import threading
from collections import OrderedDict
from enum import Enum
from typing import Protocol

#: Ids that are remembered: more than any crash of the bus repeats.
REMEMBERED = 100_000


class EventStatus(Enum):
    """Where an event stands with its handler."""

    NEW = "new"
    BUSY = "busy"  # it is being handled at this moment
    DONE = "done"


class Memory(Protocol):
    """Remembers events by id. Several processes of one service can share one that is kept in their database."""

    def begin(self, event_id: str) -> EventStatus:
        """Take an event in hand where it is new; tells where it stood."""

    def done(self, event_id: str) -> None:
        """It was handled."""

    def forget(self, event_id: str) -> None:
        """It was not handled, and may come again."""


class Seen:
    """Remembers in this process, the newest ``limit`` ids; none with 0."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._done: OrderedDict[str, None] = OrderedDict()  # the oldest first
        self._busy: set[str] = set()
        self._lock = threading.Lock()

    def begin(self, event_id: str) -> EventStatus:
        """See Memory.begin."""
        with self._lock:
            if event_id in self._done:
                self._done.move_to_end(event_id)
                return EventStatus.DONE
            if event_id in self._busy:
                return EventStatus.BUSY
            self._busy.add(event_id)
            return EventStatus.NEW

    def done(self, event_id: str) -> None:
        """See Memory.done."""
        with self._lock:
            self._busy.discard(event_id)
            self._done[event_id] = None
            while len(self._done) > self._limit:
                self._done.popitem(last=False)

    def forget(self, event_id: str) -> None:
        """See Memory.forget."""
        with self._lock:
            self._busy.discard(event_id)
