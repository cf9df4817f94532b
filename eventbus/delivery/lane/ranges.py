"""A stretch of the journal that a lane works through: a cursor, and a window of numbers in memory. Pure."""

from collections import deque
from collections.abc import Sequence

from eventbus.core.model import Span

#: Event numbers that a stretch holds in memory; the rest stay in the journal.
WINDOW = 1_024
#: With fewer than this many left, the next page is fetched.
LOW_WATER = 128


class Stretch:
    """Numbers that match and wait, in order: ``ready`` ones in memory, ``behind`` ones in the journal only."""

    __slots__ = ("behind", "cursor", "ready", "run", "topics", "upto")

    def __init__(self, span: Span) -> None:
        self.run = span.run
        self.cursor = span.cursor
        self.upto = span.upto
        self.behind = span.behind
        self.topics = span.topics
        self.ready: deque[int] = deque()

    def offer(self, seqs: Sequence[int]) -> None:
        """Take new events' numbers; past the window they are only counted, and read later."""
        room = 0 if self.behind else max(0, WINDOW - len(self.ready))
        taken = seqs if len(seqs) <= room else seqs[:room]
        self.behind += len(seqs) - len(taken)
        if taken:
            self.ready.extend(taken)
            self.cursor = taken[-1]

    def wants_page(self) -> bool:
        """Whether the next numbers should be read now."""
        return self.behind > 0 and len(self.ready) < LOW_WATER

    def load(self, seqs: Sequence[int], cursor: int) -> None:
        """Take the matching numbers of a page that ended at ``cursor``."""
        self.ready.extend(seqs)
        self.behind -= len(seqs)
        self.cursor = max(self.cursor, cursor)

    def rewind(self, seq: int) -> None:
        """Forget the numbers in memory from ``seq``, which was the next, on: they are read again later."""
        self.behind += 1 + len(self.ready)
        self.ready.clear()
        self.cursor = seq - 1

    def shed(self) -> None:
        """Keep only the next number in memory."""
        if len(self.ready) > 1:
            first, second = self.ready.popleft(), self.ready.popleft()
            self.rewind(second)
            self.ready.append(first)

    def empty(self) -> None:
        """Count nothing any more."""
        self.behind = 0
        self.ready.clear()

    @property
    def left(self) -> int:
        """How many wait, in memory and in the journal."""
        return self.behind + len(self.ready)

    def span(self) -> Span:
        """Where this stretch would carry on after a restart."""
        cursor = self.ready[0] - 1 if self.ready else self.cursor
        return Span(self.run, cursor, self.upto, self.left, self.topics)
