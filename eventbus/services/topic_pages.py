"""Pages of the topics of a journal, for lanes with about the same cursor: each is read once for all of them."""

from bisect import bisect_right
from collections.abc import Sequence

from eventbus.core.model import Interest
from eventbus.core.topics import matches
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.ranges import Range
from eventbus.journal.base import Journal


class TopicPages:
    """Knows the page that was read last. No page reaches beyond the event ``newest``."""

    def __init__(self, journal: Journal, page_events: int, newest: int) -> None:
        self._journal = journal
        self._page_events = page_events
        self._newest = newest
        self._keep(0, 0, ())

    def _keep(self, after: int, last: int, rows: Sequence[tuple[int, str | None]]) -> None:
        self._after, self._last, self._rows = after, last, rows
        self._matching: dict[tuple[str, ...], list[int]] = {}  # sequence numbers on the page, by topics

    def next_of(self, lane: Lane, part: Range, end: int) -> tuple[list[int], int]:
        """Return the next events of a range, up to ``end``, by their numbers, and the cursor after them.

        Raises JournalError.
        """
        if not self._after <= part.cursor < self._last:
            after = part.cursor
            page = self._journal.topics(after, self._newest, self._page_events)
            full = len(page) == self._page_events
            self._keep(after, page[-1][0] if full else self._newest, [row[:2] for row in page])
        cursor = min(end, self._last)
        interests = lane.interests if part is lane.live else (Interest(-1, part.end, part.topics),)
        found = {seq for one in interests for seq in self._of(one, part.cursor, cursor)}
        return sorted(found - part.skipped), cursor

    def _of(self, one: Interest, after: int, end: int) -> list[int]:
        seqs = self._matching.get(one.topics)
        if seqs is None:
            seqs = self._matching[one.topics] = [seq for seq, topic in self._rows if matches(one.topics, topic)]
        last = end if one.until is None else min(end, one.until)
        return seqs[bisect_right(seqs, max(after, one.after)) : bisect_right(seqs, last)]
