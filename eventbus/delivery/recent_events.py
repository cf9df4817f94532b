"""The events in memory: the journal's newest, and pages read for lanes that lag. Bounded in bytes."""

from collections import OrderedDict
from collections.abc import Iterable, Sequence

from eventbus.core.model import Event

#: Bytes of the newest events that are kept.
TAIL_BYTES = 24 * 1024 * 1024
#: Bytes of the pages that are kept.
PAGE_BYTES = 16 * 1024 * 1024
#: Bytes that an event costs beside its body and headers, about.
OVERHEAD = 600


class RecentEvents:
    """Events by number. What it does not hold is read from the journal again."""

    def __init__(self, tail_bytes: int = TAIL_BYTES, page_bytes: int = PAGE_BYTES) -> None:
        self._tail: OrderedDict[int, Event] = OrderedDict()
        self._pages: OrderedDict[int, Event] = OrderedDict()
        self._room = tail_bytes
        self._page_room = page_bytes
        self.after = 0  # every event after this one, up to the newest, is in the tail
        self.newest = 0
        self.epoch = 0  #: how often all was forgotten: what a number stands for may have changed each time

    def start(self, newest: int) -> None:
        """The tail begins after this event."""
        self.after = self.newest = newest

    def expire(self) -> None:
        """What a number stands for may be something else from now on."""
        self.epoch += 1

    def reset(self, newest: int) -> None:
        """Forget all: the journal is not what it was."""
        self._room += sum(map(_size, self._tail.values()))
        self._page_room += sum(map(_size, self._pages.values()))
        self._tail.clear()
        self._pages.clear()
        self.expire()
        self.start(newest)

    def add(self, events: Sequence[Event]) -> None:
        """Take the newest events, one at least, and let the oldest of the tail go where there is no room."""
        tail, size = self._tail, 0
        for event in events:
            seq, _, _, head, body, _ = event  # cheaper than three looks by name
            tail[seq] = event
            size += len(body) + len(head)
        self._room -= size + OVERHEAD * len(events)
        self.newest = events[-1].seq
        while self._room < 0 and len(self._tail) > 1:
            seq, oldest = self._tail.popitem(last=False)
            self._room += _size(oldest)
            self.after = seq

    def forget(self, end: int) -> None:
        """Events up to this one may be gone from the journal: the tail begins after it."""
        while self._tail and next(iter(self._tail)) <= end:
            _, oldest = self._tail.popitem(last=False)
            self._room += _size(oldest)
        self.after = max(self.after, min(end, self.newest))

    def add_page(self, events: Iterable[Event]) -> None:
        """Take events that were read for a lane, and let older pages go where there is no room."""
        tail, pages = self._tail, self._pages
        for event in events:
            seq = event.seq
            if seq not in pages and seq not in tail:
                pages[seq] = event
                self._page_room -= len(event.body) + len(event.head) + OVERHEAD
        while self._page_room < 0 and len(self._pages) > 1:
            _, oldest = self._pages.popitem(last=False)
            self._page_room += _size(oldest)

    def get(self, seq: int) -> Event | None:
        """The event with this number, if it is in memory."""
        return self._tail.get(seq) or self._pages.get(seq)

    def tail_after(self, cursor: int, limit: int) -> list[Event] | None:
        """Up to ``limit`` numbers' events after ``cursor``, in order; None where the tail begins later."""
        if cursor < self.after:
            return None
        numbers = range(cursor + 1, min(self.newest, cursor + limit) + 1)
        return [event for seq in numbers if (event := self._tail.get(seq)) is not None]


def _size(event: Event) -> int:
    return len(event.body) + len(event.head) + OVERHEAD
