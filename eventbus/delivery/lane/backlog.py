"""The backlog of one lane: what is pending, and which delivery is attempted next. Pure."""

import math
from collections import deque
from collections.abc import Iterable, Iterator, Sequence
from typing import cast

from eventbus.core.filters import parse_filter
from eventbus.core.model import Interest
from eventbus.core.override import override
from eventbus.core.records import LaneRecord, Span
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.health import Health, Rules
from eventbus.delivery.lane.keyed_range import KeyedRange
from eventbus.delivery.lane.keyed_retries import KeyedRetries
from eventbus.delivery.lane.ranges import Range
from eventbus.delivery.lane.retries import Retries

#: While a lane is held back, one probe in so many is a retry though there are events that were not attempted yet.
RETRY_EVERY_PROBES = 4


class Backlog(Health):
    """The ranges that a lane works through, its retries, and its deliveries in flight."""

    def __init__(self, record: LaneRecord, rules: Rules, retries: int) -> None:
        super().__init__(record, rules)
        self.in_flight: set[Delivery] = set()
        self.expiring = False  #: whether the last event had expired: the next may have, too
        self.retries = Retries(
            ordered=record.subscriber.options.one_at_a_time, count=retries, limit=self.limits.retries
        )
        self._replace_ranges(record.spans)
        self._apply_options()
        self._retried: set[Delivery] = set()  # those of them that are retries
        self._retries_yield_until = -math.inf  # until then (monotonic) events that were not attempted yet go first
        self._delivered_before_pause = self.delivered
        self.runs = record.runs
        self.interests, self.replayed = record.interests, record.replayed
        self.former_filters = record.former_filters
        self._replay_next = False  # whose turn it is, a replay's or the live events'

    def _apply_options(self) -> None:
        """Filter and order what is pending as the options say."""
        options, former = self.subscriber.options, self.retries
        self.filter = parse_filter(options.filter)
        self.looks_ahead = (
            self.expiring or self.filter is not None
        )  #: whether what is next is looked at before it is taken
        if options.by_key is not isinstance(former, KeyedRetries):
            former.unload(self.in_flight)
            self.retries = self._new_retries()
            self.retries.take_over(former)
            self._replace_ranges([part.span() for part in self.ranges()])
            self.retries.unload(self.in_flight)
        self.retries.reorder(ordered=options.one_at_a_time)

    def _new_retries(self) -> Retries:
        if self.subscriber.options.by_key:
            return KeyedRetries(self.limits, self._keyed_ranges, self.touch)
        return Retries(ordered=False, limit=self.limits.retries)

    def _replace_ranges(self, spans: Iterable[Span]) -> None:
        self.live, *replays = map(self.new_range, spans)
        self.replays = deque(replays)

    def new_range(self, span: Span) -> Range:
        """Return a range of this lane."""
        if isinstance(self.retries, KeyedRetries):
            return KeyedRange(span, self.limits, self._rules.find, self.retries.sort)
        return Range(span, self.limits)

    def _keyed_ranges(self) -> Sequence[KeyedRange]:
        return cast("Sequence[KeyedRange]", self.ranges())

    def ranges(self) -> Sequence[Range]:
        """Return all ranges, the live one first."""
        return (self.live, *self.replays)

    @property
    def backlog(self) -> int:
        """Return how many deliveries are pending, in flight included."""
        waiting = self.live.left + sum(replay.left for replay in self.replays)
        return waiting + self.retries.count + len(self.in_flight)

    def oldest(self) -> int | None:
        """Return the sequence number of the oldest pending event that memory knows of."""
        seqs = [d.seq for d in self.in_flight] + [d.seq for d in self.retries.in_memory()]
        seqs += [part.span().cursor + 1 for part in self.ranges() if part.left]
        seqs += [seq for seq, _ in self.retries.unattempted()]
        return min(seqs, default=None)

    # What is next

    def unread(self) -> Range | None:
        """Return the range that needs a page: the live one, or the first replay; for a probe one event is enough."""
        if self.held and self._source() is not None:
            return None
        if self.live.wants_page():
            return self.live
        return self.replays[0] if self.replays and self.replays[0].wants_page() else None

    def _has_next(self, now: float) -> bool:
        """Return whether a retry or an event that was not attempted yet may be next; for a lane with either kind."""
        if self.subscriber.options.one_at_a_time and self.retries.wants_rows(now):
            return False
        return (self.retries.due(now) and self._retry_allowed()) or self._fresh_waits()

    def _fresh_allowed(self) -> bool:
        return not (self.subscriber.options.one_at_a_time and self.retries.count)

    def _fresh_waits(self) -> bool:
        """Return whether an event that was not attempted yet may be."""
        return self._fresh_allowed() and self._source() is not None

    def _retry_allowed(self) -> bool:
        """Return whether one more retry may start: half of the window is for events not attempted yet."""
        return len(self._retried) < max(1, (self.limit - self.companions) // 2)

    def _source(self) -> Range | None:
        """Return the range to take from: replay and live events in turn; if ordered, the replay first.

        If ordered by key, what may be taken has been sorted: from a replay before the live events.
        """
        while self.replays and not self.replays[0].left:
            self.replays.popleft()
            self.touch()
        if self.replays:
            options = self.subscriber.options
            if options.by_key:
                return next((part for part in (*self.replays, self.live) if part.buffered), None)
            replay, ordered = self.replays[0], options.one_at_a_time
            if replay.buffered and (ordered or not self.live.buffered or self._replay_next):
                return replay
            if ordered:
                return None
        return self.live if self.live.buffered else None

    def _next(self, now: float) -> Delivery:
        """Start a retry that is due, else an event that was not attempted yet; return it.

        While the lane is held back it is the other way round, so that each probe is another event, one of which may get
        an answer. Still, a retry whose time is over comes first, and each fourth probe is a retry. It is also the other
        way round for as long as the last retry kept all others from being attempted.
        """
        retry = self._next_retry(now)
        if retry is None:
            return self._take_fresh(1, now)[0]
        self._retried.add(retry)
        return self._take_retry(now)

    def _next_retry(self, now: float) -> Delivery | None:
        """Return the retry that is next; None where that is an event which was not attempted yet."""
        retry = self.retries.first(now) if self._retry_allowed() else None
        if retry is None:
            return None
        over = retry.tries > 0 and now - retry.first >= self.retry_for
        yields = now < self._retries_yield_until or (self.held and self.failures % RETRY_EVERY_PROBES)
        return None if yields and not over and self._fresh_waits() else retry

    def _let_others_go(self, delivery: Delivery, pause: float, now: float) -> None:
        """Give other events as much time as an attempt took from them that failed, and the pause that followed it.

        Only a retry counts: retries are without end, and would leave no time for anything else.
        """
        if delivery in self._retried:
            duration = now - delivery.began if self.limit - self.companions == 1 and not self.held else 0.0
            self._retries_yield_until = now + duration + 2 * pause

    def _take_fresh(self, count: int, now: float) -> list[Delivery]:
        """Start the next events that were not attempted yet, all of one range, in which so many are in memory."""
        source = self._source()
        assert source is not None  # noqa: S101 - sendable() has just said so
        self._replay_next = source is self.live
        take, replay_id = source.buffered.popleft, source.replay_id
        taken = [Delivery(take(), replay_id, 1, now, now) for _ in range(count)]
        if not source.buffered:
            self.retries.sort()
        return taken

    def _take_retry(self, now: float) -> Delivery:
        """Start the first retry, which is due."""
        delivery = self.retries.pop(now)
        assert delivery is not None  # noqa: S101 - it was looked at just before
        return delivery.begin(now)

    # Which events are here

    def holds(self, seq: int, topic: str | None) -> bool:
        """Return whether an event is pending or newly dead here, as far as memory knows; rows are not read."""
        return seq in self.numbers() or any(
            part.left and part.span().cursor < seq and self.covers(part, seq, topic) for part in self.ranges()
        )

    def holds_first(self, seq: int, topic: str | None) -> bool:
        """Return the same of an event's first delivery alone: whether it is replayed makes no difference."""
        live = self.live
        if live.left and live.span().cursor < seq and self.covers(live, seq, topic):
            return True
        return (seq, 0) in self.pairs()

    def numbers(self) -> Iterator[int]:
        """Yield the sequence numbers of the events that are in flight, about to be, newly waiting, or newly dead."""
        return (seq for seq, _ in self.pairs())

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Yield the same with the replay of each delivery, 0 for the first one of an event."""
        yield from ((delivery.seq, delivery.replay_id) for delivery in self.in_flight)
        yield from self.retries.unattempted()
        yield from self.retries.unsaved_rows
        yield from ((letter.seq, letter.replay_id) for letter in self.dead_letters)

    def covers(self, part: Range, seq: int, topic: str | None) -> bool:
        """Return whether an event is one of those that a range of this lane counts."""
        if seq in part.skipped:
            return False
        if part is self.live:
            return any(interest.covers(seq, topic) for interest in self.interests)
        return Interest(-1, part.end, part.topics).covers(seq, topic)

    def covers_all(self, part: Range) -> bool:
        """Return whether every event after a range's cursor is one of those that it counts."""
        if part is not self.live or part.skipped:
            return not part.topics and not part.skipped
        first = self.interests[0]
        return len(self.interests) == 1 and not first.topics and first.until is None and first.after <= part.cursor

    @override
    def clear_changes(self) -> None:
        super().clear_changes()
        self.retries.unsaved_rows.clear()
        self.retries.removed_rows.clear()
        self.retries.sort()

    def count_missing(self, count: int) -> None:
        """Count deliveries as discarded that the journal has no rows for any more."""
        self.discarded += count
        self.touch()

    def drop_remaining(self, part: Range) -> int:
        """Discard what a range still counts, since the journal has no more events for it; return how many."""
        lost, part.remaining = part.remaining, 0
        self.discarded += lost
        self.touch()
        return lost
