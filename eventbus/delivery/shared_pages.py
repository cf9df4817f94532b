"""Pages of the journal, read once for all lanes, and readers of the feed, that are at the same position."""

from collections import deque

from gevent.event import Event as Signal

from eventbus.delivery.recent_events import RecentEvents
from eventbus.journal.base import Journal, Page

#: Pages that are kept.
KEPT_PAGES = 4


class SharedPages:
    """Reads pages. Who asks for what is being read waits for it; the last few pages are kept."""

    def __init__(self, journal: Journal, recent: RecentEvents) -> None:
        self._journal = journal
        self._recent = recent
        self._kept: deque[tuple[int, Page]] = deque(maxlen=KEPT_PAGES)  # each with the number after which it begins
        self._epoch = recent.epoch  # in which they were read
        self._under_way: dict[int, Signal] = {}  # reads, by the number after which their pages begin

    def page(self, after: int, end: int, limit: int, max_bytes: int) -> Page:
        """Return a page of events; see JournalQueries.page. Raises JournalError."""
        while (found := self._find(after, end, limit)) is None and (signal := self._under_way.get(after)) is not None:
            signal.wait()
        return found or self._read(after, end, limit, max_bytes)

    def _find(self, after: int, end: int, limit: int) -> Page | None:
        """Return a page from those that are kept; None if none begins there, or ends before ``end``."""
        if self._epoch != self._recent.epoch:
            self._kept.clear()
            self._epoch = self._recent.epoch
        for began, page in self._kept:
            if began == after and page.cursor <= end:
                if len(page.events) <= limit:
                    return page
                events = page.events[:limit]
                return Page(events, events[-1].seq)
        return None

    def _read(self, after: int, end: int, limit: int, max_bytes: int) -> Page:
        self._under_way[after] = signal = Signal()
        epoch = self._recent.epoch
        try:
            page = self._journal.page(after, end, limit, max_bytes)
        finally:
            del self._under_way[after]
            signal.set()
        if page.events and self._recent.epoch == epoch == self._epoch:
            self._kept.append((after, page))
        return page
