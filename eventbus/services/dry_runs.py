"""Dry runs of registrations: what one would be refused for, and which of the journal's events it would have got."""

from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from eventbus.core.errors import TooMany
from eventbus.core.event_view import EventView
from eventbus.core.filters import Filter, parse_filter
from eventbus.core.model import Event, Options
from eventbus.core.topics import matches
from eventbus.services.node import Node

#: Seconds of the past whose events are looked at.
SPAN_SECONDS = 86_400.0
#: Seconds that this may take, and bytes of bodies that it may read.
MAX_SECONDS, MAX_BYTES = 2.0, 32 * 1024 * 1024
#: Events that are looked at in one step, and bytes of a page with their bodies.
STEP_EVENTS, PAGE_BYTES = 1_000, 1_048_576
#: Events that match and are named.
MAX_EXAMPLES = 3
#: Number, topic and time of an event; the time in seconds since 1970.
Row = tuple[int, str | None, float]
#: Dry runs at once.
MAX_AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class DryRun:
    """The options that a subscription would have, and whether it would be ``new``."""

    options: Options
    new: bool


@dataclass(frozen=True, slots=True)
class Example:
    """An event that matches; ``at`` is when it was accepted, in seconds since 1970."""

    id: str
    topic: str | None
    at: float


@dataclass(frozen=True, slots=True)
class PastMatches:
    """How many of the last day's ``events`` match, and the newest of these; not ``complete`` if there are more."""

    events: int
    count: int
    complete: bool
    newest: tuple[Example, ...]


class PastEvents:
    """Looks at the last day's events, the newest first."""

    def __init__(self, node: Node) -> None:
        self._dispatcher = node.dispatcher
        self._journal = node.journal
        self._clock = node.clock
        self._running = 0

    def matching(self, options: Options) -> PastMatches:
        """Count the events that match topics and filter, as far as time and bytes allow. Raises JournalError, TooMany.

        Events of before a filter's registration are looked at as it would look at them now.
        """
        if self._running >= MAX_AT_ONCE:
            raise TooMany(f"{MAX_AT_ONCE} dry runs are under way; ask again in a moment.")
        self._running += 1
        try:
            return _Search(self, options).result()
        finally:
            self._running -= 1

    def steps(self) -> Iterator[tuple[int, int]]:
        """Yield parts of the last day, the newest first: the number before the first, and that of the last."""
        first = self._journal.position_at(self._clock.wall() - SPAN_SECONDS)
        end = self._dispatcher.recent.newest
        while end > first:
            after = max(first, end - STEP_EVENTS)
            yield after, end
            end = after

    def topics(self, after: int, end: int) -> Sequence[Row]:
        """Return number, topic and time of the events of a part. Raises JournalError."""
        return self._journal.topics(after, end, STEP_EVENTS)

    def bodies(self, after: int, end: int) -> Iterator[Event]:
        """Yield the events of a part, page by page; give way after each. Raises JournalError."""
        while after < end:
            page = self._journal.page(after, end, STEP_EVENTS, PAGE_BYTES)
            for event in page.events:
                yield event
                self._dispatcher.load.give_way()
            after = page.cursor

    def examples(self, found: Sequence[Row]) -> tuple[Example, ...]:
        """Return events by number, topic and time as examples. Raises JournalError."""
        names = self._journal.names([seq for seq, _, _ in found])
        return tuple(Example(names[seq].id, topic, at) for seq, topic, at in found if seq in names)

    def now(self) -> float:
        """Return the seconds on the monotonic clock."""
        return self._clock.monotonic()


class _Search:
    """One look at the last day's events."""

    def __init__(self, past: PastEvents, options: Options) -> None:
        self._past = past
        self._topics, self._filter = options.topics, parse_filter(options.filter)
        self._ends, self._bytes = past.now() + MAX_SECONDS, MAX_BYTES
        self._events = self._count = 0
        self._newest: deque[Row] = deque(maxlen=MAX_EXAMPLES)

    def result(self) -> PastMatches:
        complete = True
        newest: list[Row] = []
        for after, end in self._past.steps():
            if self._is_over():
                complete = False
                break
            self._newest.clear()
            complete = self._look(after, end)
            newest += [*reversed(self._newest)][: MAX_EXAMPLES - len(newest)]
            if not complete:
                break
        return PastMatches(self._events, self._count, complete, self._past.examples(newest))

    def _is_over(self) -> bool:
        return self._past.now() >= self._ends or self._bytes <= 0

    def _look(self, after: int, end: int) -> bool:
        """Look at one part; return whether at all of it."""
        rows = self._past.topics(after, end)
        mine = {row[0]: row for row in rows if matches(self._topics, row[1])}
        if self._filter is None or not mine:
            self._events += len(rows)
            self._count += len(mine)
            self._newest.extend(mine.values())
            return True
        return self._look_into(self._filter, mine, rows)

    def _look_into(
        self,
        chosen: Filter,
        mine: dict[int, Row],
        rows: Sequence[Row],
    ) -> bool:
        """Look at the bodies of a part's events whose topics match; return whether at all of them."""
        seqs = sorted(mine)
        for event in self._past.bodies(seqs[0] - 1, seqs[-1]):
            self._bytes -= len(event.body) + len(event.head)
            if event.seq in mine and chosen.matches(EventView(event)):
                self._count += 1
                self._newest.append(mine[event.seq])
            if self._is_over() and event.seq != seqs[-1]:
                self._events += sum(seq <= event.seq for seq, _, _ in rows)
                return False
        self._events += len(rows)
        return True
