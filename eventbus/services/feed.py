"""The journal as a feed: each reader has its own cursor, and costs no memory while it waits."""

from collections.abc import Sequence
from dataclasses import dataclass

from gevent.event import Event as Signal

from eventbus.core.model import Event
from eventbus.core.topics import matches
from eventbus.delivery.recent_events import RecentEvents
from eventbus.delivery.shared_pages import SharedPages

#: Events that are read in one step, and the bytes of a page.
PAGE_EVENTS = 256
PAGE_BYTES = 1_048_576


@dataclass(frozen=True, slots=True)
class Part:
    """Events of a feed, and the sequence number after which its reader continues."""

    events: tuple[Event, ...]
    cursor: int


class Feed:
    """Reads events after any cursor, and wakes readers when there are new ones."""

    def __init__(self, pages: SharedPages, recent: RecentEvents) -> None:
        self._pages = pages
        self._recent = recent
        self._news = Signal()
        self._waiting = 0

    @property
    def epoch(self) -> int:
        """A counter that invalidates cursors: after a change a sequence number may stand for another event."""
        return self._recent.epoch

    @property
    def newest(self) -> int:
        """The sequence number of the newest event."""
        return self._recent.newest

    def committed(self) -> None:
        """Wake the readers that wait for new events."""
        if self._waiting:
            news, self._news = self._news, Signal()
            news.set()

    def wait(self, cursor: int, seconds: float) -> bool:
        """Wait for events after ``cursor``, another epoch, or the end of the time; return whether there are events."""
        if self._recent.newest <= cursor:
            self._waiting += 1
            try:
                self._news.wait(seconds)
            finally:
                self._waiting -= 1
        return self._recent.newest > cursor

    def read(self, cursor: int, patterns: tuple[str, ...], limit: int) -> Part:
        """Return up to ``limit`` events after ``cursor`` whose topics match; reads a bounded part of the journal."""
        end = self._recent.newest
        tail = self._recent.tail_after(cursor, PAGE_EVENTS)
        if tail is None:
            page = self._pages.page(cursor, end, PAGE_EVENTS, PAGE_BYTES)
            events, end = page.events, page.cursor
        else:
            events, end = _fitting(tail), min(end, cursor + PAGE_EVENTS)
        mine = [event for event in events if matches(patterns, event.topic)]
        if len(mine) > limit:
            mine = mine[:limit]
            end = mine[-1].seq
        elif tail is not None and len(events) < len(tail):
            end = events[-1].seq
        return Part(tuple(mine), max(cursor, end))


def _fitting(events: Sequence[Event]) -> tuple[Event, ...]:
    """Return as many of the first events as fit a page's bytes, and at least one."""
    room = PAGE_BYTES
    for number, event in enumerate(events):
        room -= len(event.body)
        if room < 0 and number:
            return tuple(events[:number])
    return tuple(events)
