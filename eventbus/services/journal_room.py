"""How much room the journal has: a publish that does not fit waits for settled events to go, or is refused."""

import logging
import math
from collections.abc import Sequence

from gevent.event import Event as Signal

from eventbus.core.columns import body_bytes, head_bytes
from eventbus.core.errors import BacklogFull
from eventbus.core.log_once import LogOnce
from eventbus.core.model import Message
from eventbus.journal.base import Journal

#: Part of the limit, or of the memory of the journal's server, past which settled events go early; and the part of the
#: limit to which they are brought back.
HIGH_WATER, LOW_WATER = 0.9, 0.8
#: Of the room that is left above the high-water mark one publish takes at most one of so many parts.
LAST_ROOM_PARTS = 8
#: Bytes that an event takes in the journal beside its body and headers, about.
EVENT_OVERHEAD_BYTES = 250

log = logging.getLogger(__name__)


def room_for(messages: Sequence[Message]) -> int:
    """Return about how many bytes messages take in the journal."""
    return body_bytes(messages) + head_bytes(messages) + EVENT_OVERHEAD_BYTES * len(messages)


class JournalRoom:
    """Measures the journal, and counts what is published since."""

    def __init__(self, journal: Journal, max_bytes: int, wait_seconds: float) -> None:
        self._journal = journal
        self._wait_seconds = wait_seconds
        self._needed = Signal()  # somebody publishes while there is little room
        self._retention_ran = Signal()
        self._is_full = False
        self._full_logged = LogOnce()
        self._refused = math.inf  # bytes of the smallest publish that was refused since that was logged
        self._low_memory_logged = LogOnce()
        self._capacity = max_bytes  # bytes that it may hold: less than its limit where the disk is full
        self.limit = max_bytes
        self.bytes = 0  #: in use, as far as is known
        self.low_memory = False  #: the journal's server has hardly any memory left

    @property
    def above_high_water(self) -> bool:
        """Whether the journal is nearly full of what it may hold by its limit, whatever the disk says."""
        return self.bytes > HIGH_WATER * self.limit

    @property
    def under_pressure(self) -> bool:
        """Whether settled events have to go before their retention is over."""
        return self.low_memory or self.bytes > HIGH_WATER * self._capacity

    @property
    def goal(self) -> int | None:
        """The bytes to which settled events are removed early; None where there is room enough."""
        return int(LOW_WATER * self._capacity) if self.bytes > HIGH_WATER * self._capacity else None

    @property
    def excess(self) -> int:
        """The bytes above the low-water mark of the limit."""
        return int(self.bytes - LOW_WATER * self.limit)

    def reserve(self, size: int) -> None:
        """Count bytes that are about to be kept. Raises BacklogFull where nothing is removed in time for them."""
        if self.bytes + size > HIGH_WATER * self._capacity:
            self._needed.set()
        if not self._has_room(size) and not self._is_full:
            self._retention_ran.clear()
            self._retention_ran.wait(self._wait_seconds)
        if not self._has_room(size):
            self._refused = min(self._refused, size)
            if self._full_logged.raised():
                log.warning(
                    "the journal is full; publishing is refused until pending events are settled or settled ones go"
                )
            self._is_full = True
            raise BacklogFull(
                f"The journal holds {self.limit} bytes of events that are pending, or not removed yet;"
                " publish again later."
            )
        self.bytes += size

    def reserve_spare(self, size: int) -> None:
        """Count bytes that the bus itself is about to keep. Raises BacklogFull where they would take the last room.

        That is for publishers: what the bus keeps can wait until settled events have been removed.
        """
        if self.bytes + size > HIGH_WATER * self._capacity:
            self._needed.set()
            raise BacklogFull("The journal is nearly full, and its last room is for publishers.")
        self.bytes += size

    def _has_room(self, size: int) -> bool:
        """Return whether a publish fits. Of the last room it takes a small part, which leaves some to small ones."""
        left = self.limit - self.bytes
        return left >= (size * LAST_ROOM_PARTS if self.above_high_water else size)

    def wait_until_needed(self, seconds: float) -> None:
        """Return when room is needed for a publish, or after so many seconds."""
        self._needed.wait(seconds)
        self._needed.clear()

    def notify_publishers(self) -> None:
        """Let publishers that wait for room look whether there is some."""
        self._retention_ran.set()

    def measure(self) -> None:
        """Ask the journal how much it holds. Raises JournalError."""
        usage = self._journal.usage()
        self.bytes, self.low_memory = usage.bytes, usage.memory > HIGH_WATER
        self._capacity = self.limit if usage.max_bytes is None else min(self.limit, usage.max_bytes)
        self._log_memory(usage.memory)
        if self.bytes < self.limit:
            self._is_full = False
        if self._refused < math.inf and self._has_room(int(self._refused)) and self._full_logged.cleared():
            log.info("the journal has room again")
            self._refused = math.inf

    def _log_memory(self, memory: float) -> None:
        """Log once when the server's memory becomes low, and once when it no longer is."""
        if self.low_memory and self._low_memory_logged.raised():
            log.warning(
                "the journal's server uses %d percent of its maxmemory: settled events go early, and"
                " past 100 publishing is refused",
                100 * memory,
            )
        elif not self.low_memory and self._low_memory_logged.cleared():
            log.info("the journal's server has memory again")
