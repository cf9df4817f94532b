"""Remember which events were handled, so that "at least once" becomes "once" for as many as are remembered."""

import threading
from collections import OrderedDict
from enum import Enum
from typing import Protocol

from eventbus.core.override import override

#: Ids that are remembered: more than any crash of the bus repeats.
REMEMBERED = 100_000


class EventStatus(Enum):
    """The status of an event with its handler."""

    NEW = "new"
    BUSY = "busy"  # it is being handled at this moment
    DONE = "done"


class Memory(Protocol):
    """Remembers events by id. Several processes of one service can share one in their database."""

    def begin(self, event_id: str) -> EventStatus:
        """Mark a new event as busy. Return the status before."""

    def done(self, event_id: str) -> None:
        """Mark an event as handled."""

    def forget(self, event_id: str) -> None:
        """Forget an event that was not handled, and may come again."""


class Seen(Memory):
    """Remembers the newest ``limit`` ids in this process; none with 0."""

    def __init__(self, limit: int = REMEMBERED) -> None:
        self._limit = limit
        self._done: OrderedDict[str, None] = OrderedDict()  # the oldest first
        self._busy: set[str] = set()
        self._lock = threading.Lock()

    @override
    def begin(self, event_id: str) -> EventStatus:
        with self._lock:
            if event_id in self._done:
                self._done.move_to_end(event_id)
                return EventStatus.DONE
            if event_id in self._busy:
                return EventStatus.BUSY
            self._busy.add(event_id)
            return EventStatus.NEW

    @override
    def done(self, event_id: str) -> None:
        with self._lock:
            self._busy.discard(event_id)
            self._done[event_id] = None
            while len(self._done) > self._limit:
                self._done.popitem(last=False)

    @override
    def forget(self, event_id: str) -> None:
        with self._lock:
            self._busy.discard(event_id)
