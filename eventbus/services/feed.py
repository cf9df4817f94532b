"""The journal as a feed: a reader goes on from its own place, and costs no memory while it waits."""

from collections.abc import Sequence
from dataclasses import dataclass

from gevent.event import Event as Signal

from eventbus.core.model import Event
from eventbus.core.topics import matches
from eventbus.delivery.recent_events import RecentEvents
from eventbus.journal.base import Journal

#: Events that are looked at in one step, and the bytes of a page.
PAGE = 256
PAGE_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class Part:
    """Events of a feed, and the number after which it goes on."""

    events: tuple[Event, ...]
    cursor: int


class Feed:
    """Reads on from any place, and tells when something new has come."""

    def __init__(self, journal: Journal, recent: RecentEvents) -> None:
        self._journal = journal
        self._recent = recent
        self._news = Signal()
        self._waiting = 0

    @property
    def epoch(self) -> int:
        """Changes when numbers, and so a reader's cursor, may stand for something else than before."""
        return self._recent.epoch

    @property
    def newest(self) -> int:
        """The number of the newest event."""
        return self._recent.newest

    def committed(self) -> None:
        """Wake whoever waits for something new."""
        if self._waiting:
            news, self._news = self._news, Signal()
            news.set()

    def wait(self, cursor: int, seconds: float) -> bool:
        """Return when there is something after ``cursor``, all has changed, or the time is over; whether there is."""
        if self._recent.newest <= cursor:
            self._waiting += 1
            try:
                self._news.wait(seconds)
            finally:
                self._waiting -= 1
        return self._recent.newest > cursor

    def read(self, cursor: int, patterns: tuple[str, ...], limit: int) -> Part:
        """Up to ``limit`` events after ``cursor`` whose topics match; looks at a bounded part of the journal."""
        end = self._recent.newest
        tail = self._recent.tail_after(cursor, PAGE)
        if tail is None:
            page = self._journal.page(cursor, end, PAGE, PAGE_BYTES)
            events, end = page.events, page.cursor
        else:
            events, end = _fitting(tail), min(end, cursor + PAGE)
        mine = [event for event in events if matches(patterns, event.topic)]
        if len(mine) > limit:
            mine = mine[:limit]
            end = mine[-1].seq
        elif tail is not None and len(events) < len(tail):
            end = events[-1].seq
        return Part(tuple(mine), max(cursor, end))


def _fitting(events: Sequence[Event]) -> tuple[Event, ...]:
    """As many of the first events as fit a page's bytes, and at least one."""
    room = PAGE_BYTES
    for number, event in enumerate(events):
        room -= len(event.body)
        if room < 0 and number:
            return tuple(events[:number])
    return tuple(events)
