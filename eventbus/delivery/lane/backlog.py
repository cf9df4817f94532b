"""What is pending for one subscriber, where it is, and what is attempted next. Pure."""

from collections import deque
from collections.abc import Sequence

from eventbus.core.model import Interest, LaneRecord
from eventbus.delivery.lane.health import Health, Rules
from eventbus.delivery.lane.ranges import Stretch
from eventbus.delivery.lane.retries import Deferred, Delivery

#: While a lane is held back, one probe in so many is a retry though there are events that were not attempted yet.
PROBES = 4


class Backlog(Health):
    """The stretches that a lane works through, its retries, and what is under way."""

    def __init__(self, record: LaneRecord, rules: Rules, deferred: int) -> None:
        super().__init__(record, rules)
        self.live = Stretch(record.spans[0])
        self.replays = deque(Stretch(span) for span in record.spans[1:])
        self.deferred = Deferred(ordered=record.subscriber.options.ordered, count=deferred)
        self.in_flight: set[Delivery] = set()
        self._retried: set[Delivery] = set()  # those of them that are retries
        self.runs = record.runs
        self.interests, self.replayed = record.interests, record.replayed
        self._replay_next = False  # whose turn it is, a replay's or the live events'

    def stretches(self) -> Sequence[Stretch]:
        """All stretches, the live one first."""
        return (self.live, *self.replays)

    @property
    def backlog(self) -> int:
        """Deliveries that are not settled, counted where they are."""
        waiting = self.live.left + sum(replay.left for replay in self.replays)
        return waiting + self.deferred.count + len(self.in_flight)

    def oldest(self) -> int | None:
        """The number of the oldest event that is pending, as far as memory knows."""
        seqs = [d.seq for d in self.in_flight] + [d.seq for d in self.deferred.in_memory()]
        seqs += [stretch.span().cursor + 1 for stretch in self.stretches() if stretch.left]
        return min(seqs, default=None)

    # What is next

    def unread(self) -> Stretch | None:
        """The stretch that should be read on: the live one or the first replay; for a probe one number is enough."""
        if self.held and self._source() is not None:
            return None
        if self.live.wants_page():
            return self.live
        return self.replays[0] if self.replays and self.replays[0].wants_page() else None

    def _fresh_allowed(self) -> bool:
        return not (self.subscriber.options.ordered and self.deferred.count)

    def _fresh_waits(self) -> bool:
        """Whether an event that was not attempted yet may be."""
        return self._fresh_allowed() and self._source() is not None

    def _retry_allowed(self) -> bool:
        """Whether one more retry may start: half of the window is for other events, as retries may take their time."""
        return len(self._retried) < max(1, self.limit // 2)

    def _source(self) -> Stretch | None:
        """The stretch to take from: a replay in turn with live events; alone, before them, when ordered."""
        while self.replays and not self.replays[0].left:
            self.replays.popleft()
            self.touch()
        if self.replays:
            replay, ordered = self.replays[0], self.subscriber.options.ordered
            if replay.ready and (ordered or not self.live.ready or self._replay_next):
                return replay
            if ordered:
                return None
        return self.live if self.live.ready else None

    def _next(self, now: float) -> Delivery:
        """A retry that is due, else an event that was not attempted yet.

        The other way round while the lane is held back, so that each probe is another event: there may be one that gets
        an answer. A retry whose time is over comes first all the same, and each fourth probe is a retry.
        """
        retry = self.deferred.first(now) if self._retry_allowed() else None
        if retry is None:
            return self._fresh()
        over = now - retry.first >= self._rules.retry_seconds
        if self.held and self.failures % PROBES and not over and self._fresh_waits():
            return self._fresh()
        self.deferred.pop(now)
        self._retried.add(retry)
        return retry

    def _fresh(self) -> Delivery:
        source = self._source()
        assert source is not None  # noqa: S101 - sendable() has just said so
        self._replay_next = source is self.live
        return Delivery(source.ready.popleft(), source.run)

    # Which events are here

    def holds(self, seq: int, topic: str | None) -> bool:
        """Whether an event is pending or newly dead here, as far as memory knows; the journal's rows are not read."""
        if any(delivery.seq == seq for delivery in self.in_flight):
            return True
        if any(number == seq for number, _ in self.deferred.saved):
            return True
        if any(letter.seq == seq for letter in self.dead_letters):
            return True
        return any(
            stretch.left and stretch.span().cursor < seq and self.covers(stretch, seq, topic)
            for stretch in self.stretches()
        )

    def covers(self, stretch: Stretch, seq: int, topic: str | None) -> bool:
        """Whether an event is one of those that a stretch of this lane counts."""
        if stretch is self.live:
            return any(interest.covers(seq, topic) for interest in self.interests)
        return Interest(-1, stretch.upto, stretch.topics).covers(seq, topic)

    def covers_all(self, stretch: Stretch) -> bool:
        """Whether every event after a stretch's cursor is one of those that it counts."""
        if stretch is not self.live:
            return not stretch.topics
        first = self.interests[0]
        return len(self.interests) == 1 and not first.topics and first.until is None and first.after <= stretch.cursor

    def lose(self, stretch: Stretch) -> int:
        """The journal has no more events for what a stretch still counts: discarded. Answers how many."""
        lost, stretch.behind = stretch.behind, 0
        self.discarded += lost
        self.touch()
        return lost
