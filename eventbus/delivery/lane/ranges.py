"""A range of the journal that a lane works through: a cursor, and sequence numbers in memory. Pure."""

from collections import deque
from collections.abc import Sequence

from eventbus.core.errors import TooMany
from eventbus.core.model import Event
from eventbus.core.records import Span
from eventbus.delivery.lane.limits import DEFAULT_LIMITS, LaneLimits

#: Events of one range that may be skipped while others before them wait.
MAX_SKIPPED = 1_000


class Range:
    """Events that match and wait, in order: ``buffered`` ones in memory, ``remaining`` ones only in the journal."""

    __slots__ = ("_low_water", "_room", "buffered", "cursor", "end", "remaining", "replay_id", "skipped", "topics")

    def __init__(self, span: Span, limits: LaneLimits = DEFAULT_LIMITS) -> None:
        self._room, self._low_water = limits.buffered_events, limits.low_water
        self.replay_id = span.replay_id
        self.cursor = span.cursor
        self.end = span.end
        self.remaining = span.remaining
        self.topics = span.topics
        self.skipped = frozenset(span.skipped)  #: events after the cursor that do not wait any more
        self.buffered: deque[int] = deque()

    def offer(self, seqs: Sequence[int]) -> None:
        """Take the sequence numbers of new events; those for which memory has no room are counted, and read later."""
        if self.remaining:  # thousands of subscribers may be so, and each is offered each event
            self.remaining += len(seqs)
            return
        room = self._room - len(self.buffered)
        if room <= 0:
            self.remaining = len(seqs)
            return
        taken = seqs if len(seqs) <= room else seqs[:room]
        self.remaining += len(seqs) - len(taken)
        if taken:
            self.buffered.extend(taken)
            self.cursor = taken[-1]

    def wants_page(self) -> bool:
        """Return whether the next page should be read."""
        return self.remaining > 0 and len(self.buffered) < self._low_water

    def load(self, seqs: Sequence[int], cursor: int) -> None:
        """Take the matching events of a page that ended at ``cursor``."""
        self.buffered.extend(seqs)
        self.remaining -= len(seqs)
        self.cursor = max(self.cursor, cursor)

    def load_events(self, events: Sequence[Event], cursor: int) -> None:
        """Take the events of a page that match."""
        self.load([event.seq for event in events], cursor)

    def check_skips(self) -> None:
        """Raise TooMany if no further event may be taken out."""
        if len(self.skipped) >= MAX_SKIPPED:
            raise TooMany(f"{MAX_SKIPPED} events were skipped behind others that still wait; those come first.")

    def take_out(self, seq: int) -> None:
        """Remove an event that waits, in memory or in the journal."""
        self._remove(seq)
        self.skipped |= {seq}

    def _remove(self, seq: int) -> None:
        if seq in self.buffered:
            self.buffered.remove(seq)
        else:
            self.remaining -= 1

    def has(self, seq: int) -> bool:
        """Return whether an event waits in memory."""
        return seq in self.buffered

    def rewind(self, seq: int) -> None:
        """Drop the sequence numbers in memory from ``seq``, which was the next; they are read again later."""
        self.remaining += 1 + len(self.buffered)
        self.buffered.clear()
        self.cursor = seq - 1

    def shrink(self) -> None:
        """Keep only the next sequence number in memory."""
        if len(self.buffered) > 1:
            first, second = self.buffered.popleft(), self.buffered.popleft()
            self.rewind(second)
            self.buffered.append(first)

    def empty(self) -> None:
        """Drop everything."""
        self.remaining = 0
        self.buffered.clear()

    @property
    def left(self) -> int:
        """Return how many events wait, in memory and in the journal."""
        return self.remaining + len(self.buffered)

    def span(self) -> Span:
        """Return the range as it is to be saved."""
        cursor = self.buffered[0] - 1 if self.buffered else self.cursor
        return Span(self.replay_id, cursor, self.end, self.left, self.topics, self._skipped_after(cursor))

    def _skipped_after(self, cursor: int) -> tuple[int, ...]:
        if self.skipped:
            self.skipped = frozenset(seq for seq in self.skipped if seq > cursor)
        return tuple(sorted(self.skipped))
