"""A range of a lane that is ordered by key. Pure."""

from collections import deque
from collections.abc import Callable, Sequence

from eventbus.core.model import Event
from eventbus.core.override import override
from eventbus.core.records import Span
from eventbus.delivery.lane.limits import LaneLimits
from eventbus.delivery.lane.ranges import Range


class KeyedRange(Range):
    """A range of which ``buffered`` are those events that may be attempted now.

    Of the others in memory it is known that they wait for an earlier event with the same key, or they are ``unsorted``:
    not looked at yet. The cursor that is saved is before the first of those; what has left them is saved one by one.
    """

    __slots__ = ("_find", "_sort", "unsorted", "waiting")

    def __init__(
        self, span: Span, limits: LaneLimits, find: Callable[[int], Event | None], sort: Callable[[], None]
    ) -> None:
        """``find`` returns an event that is in memory; ``sort`` is called when there are unsorted events."""
        super().__init__(span, limits)
        self._find, self._sort = find, sort
        self.unsorted: deque[tuple[int, str]] = deque()  # sequence numbers and order keys
        self.waiting = 0  # events that wait for an earlier one with the same key, and have no row

    @override
    def offer(self, seqs: Sequence[int]) -> None:
        for number, seq in enumerate(seqs):
            event = self._find(seq) if not self.remaining and len(self.unsorted) < self._room else None
            if event is None:
                self.remaining += len(seqs) - number
                break
            self.unsorted.append((seq, event.key))
            self.cursor = seq
        self._sort()

    @override
    def wants_page(self) -> bool:
        return self.remaining > 0 and len(self.unsorted) < self._low_water

    @override
    def load_events(self, events: Sequence[Event], cursor: int) -> None:
        self.unsorted.extend((event.seq, event.key) for event in events)
        self.remaining -= len(events)
        self.cursor = max(self.cursor, cursor)
        self._sort()

    @override
    def shrink(self) -> None:
        """Drop what is unsorted; it is read again later."""
        if self.unsorted:
            self.cursor = self.unsorted[0][0] - 1
            self.remaining += len(self.unsorted)
            self.unsorted.clear()

    @override
    def _remove(self, seq: int) -> None:
        unsorted = next((entry for entry in self.unsorted if entry[0] == seq), None)
        if unsorted is None:
            super()._remove(seq)
        else:
            self.unsorted.remove(unsorted)

    @override
    def has(self, seq: int) -> bool:
        return super().has(seq) or any(entry[0] == seq for entry in self.unsorted)

    @override
    def empty(self) -> None:
        super().empty()
        self.unsorted.clear()
        self.waiting = 0

    @property
    @override
    def left(self) -> int:
        return self.remaining + len(self.unsorted) + len(self.buffered) + self.waiting

    @override
    def span(self) -> Span:
        cursor = self.unsorted[0][0] - 1 if self.unsorted else self.cursor
        left = self.remaining + len(self.unsorted)
        return Span(self.replay_id, cursor, self.end, left, self.topics, self._skipped_after(cursor))
