"""The events in memory: the newest ones, and pages read for lanes that lag. Bounded in bytes."""

from collections import OrderedDict
from collections.abc import Collection, Iterable, Sequence

from eventbus.core.columns import body_bytes, head_bytes, seqs_of
from eventbus.core.model import Event

#: Bytes of the newest events that are kept.
TAIL_BYTES = 16 * 1024 * 1024
#: Bytes of the pages that are kept.
PAGE_BYTES = 8 * 1024 * 1024
#: Bytes that an event costs beside its body and headers, about.
OVERHEAD = 600


class RecentEvents:
    """Events by sequence number. Those that are not here are read from the journal."""

    def __init__(self, tail_bytes: int = TAIL_BYTES, page_bytes: int = PAGE_BYTES) -> None:
        self._tail: OrderedDict[int, Event] = OrderedDict()
        self._pages: OrderedDict[int, Event] = OrderedDict()
        self._room = tail_bytes
        self._page_room = page_bytes
        self.after = 0  # every event after this one, up to the newest, is in the tail
        self.newest = 0
        self.epoch = 0  #: how often all was forgotten: what a number stands for may have changed each time

    def start(self, newest: int) -> None:
        """Begin the tail after an event."""
        self.after = self.newest = newest

    def expire(self) -> None:
        """Begin another epoch: sequence numbers may stand for other events from now on."""
        self.epoch += 1

    def reset(self, newest: int) -> None:
        """Drop all events: the journal is another one."""
        self._room += _sizes(self._tail.values())
        self._page_room += _sizes(self._pages.values())
        self._tail.clear()
        self._pages.clear()
        self.expire()
        self.start(newest)

    def add(self, events: Sequence[Event]) -> None:
        """Add the newest events, at least one, and drop the oldest of the tail if there is no room."""
        tail = self._tail
        tail.update(zip(seqs_of(events), events, strict=True))
        room = self._room - _sizes(events)
        self.newest = events[-1].seq
        while room < 0 and len(tail) > 1:
            self.after, (_, _, _, head, body, _, _) = tail.popitem(last=False)
            room += len(body) + len(head) + OVERHEAD  # _size inlined: once for each event
        self._room = room

    def forget(self, end: int) -> None:
        """Drop the events up to one that may be gone from the journal."""
        while self._tail and next(iter(self._tail)) <= end:
            _, oldest = self._tail.popitem(last=False)
            self._room += _size(oldest)
        self.after = max(self.after, min(end, self.newest))

    def add_page(self, events: Iterable[Event]) -> None:
        """Add events that were read for a lane, and drop older pages if there is no room."""
        tail, pages = self._tail, self._pages
        new = [event for event in events if event.seq not in pages and event.seq not in tail]
        pages.update(zip(seqs_of(new), new, strict=True))
        self._page_room -= _sizes(new)
        while self._page_room < 0 and len(self._pages) > 1:
            _, oldest = self._pages.popitem(last=False)
            self._page_room += _size(oldest)

    def get(self, seq: int) -> Event | None:
        """Return the event with this sequence number if it is in memory."""
        return self._tail.get(seq) or self._pages.get(seq)

    def tail_after(self, cursor: int, limit: int) -> list[Event] | None:
        """Return the events of up to ``limit`` sequence numbers after ``cursor``; None if the tail begins later."""
        if cursor < self.after:
            return None
        numbers = range(cursor + 1, min(self.newest, cursor + limit) + 1)
        return [event for seq in numbers if (event := self._tail.get(seq)) is not None]


def _size(event: Event) -> int:
    _, _, _, head, body, _, _ = event  # cheaper than two looks by name
    return len(body) + len(head) + OVERHEAD


def _sizes(events: Collection[Event]) -> int:
    return body_bytes(events) + head_bytes(events) + OVERHEAD * len(events)
