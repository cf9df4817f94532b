"""A lane: one subscriber's share of the deliveries, and how the subscriber is doing. Pure.

It is told the time (seconds on the monotonic clock) and the dice, and does no I/O. Every delivery that was
accepted for the subscriber is in exactly one place: in a stretch, deferred, under way, or settled and counted.
"""

import math
from collections import deque
from collections.abc import Sequence

from eventbus.delivery import backoff, interests
from eventbus.delivery.deferred import Deferred, Delivery
from eventbus.delivery.health import Health, Moment, Rules
from eventbus.delivery.interests import MAX_SPANS
from eventbus.delivery.outcome import Answer, Outcome, Verdict
from eventbus.delivery.stretch import Stretch
from eventbus.errors import TooMany
from eventbus.leases import Lease
from eventbus.model import DeadLetter, Interest, LaneRecord, Span

#: Changes that may wait for the journal; a lane with more starts no attempt until they are saved.
MAX_UNSAVED = 2_000


class Lane(Health):
    """One subscriber's deliveries."""

    def __init__(self, record: LaneRecord, lease: Lease, rules: Rules, *, deferred: int = 0) -> None:
        super().__init__(record, rules)
        self.lease = lease
        self.ended_at = record.ended_at  # seconds since 1970
        self.live = Stretch(record.spans[0])
        self.replays = deque(Stretch(span) for span in record.spans[1:])
        self.deferred = Deferred(ordered=record.subscriber.options.ordered, count=deferred)
        self.in_flight: set[Delivery] = set()
        self.runs = record.runs
        self.interests, self.replayed = record.interests, record.replayed
        self._replay_next = False  # whose turn it is, a replay's or the live events'
        self.confirmed = True  # its registration is known to be in the journal
        self.closed = False  # nothing is delivered, or counted, any more
        self.expired = record.expired  # its lease ended, and what was pending then has become dead letters
        self.ending = False  # its lease has ended for good: what is pending becomes dead letters
        self.leaving = False  # it is handed over to another bus: nothing new starts here
        self.queued = False  # it stands in the dispatcher's queue
        self.reading = False  # a page is being read for it

    # What there is to do

    def sendable(self, now: float) -> bool:
        """Whether an attempt may start."""
        if len(self.in_flight) >= self.limit or now < self.not_before or now >= self.lease.ends or self.closed:
            return False
        if self.leaving or (self.spacing and now < self._started + self.spacing):
            return False
        deferred = self.deferred
        if (self.dead_letters or deferred.saved or deferred.gone) and self.unsaved() >= MAX_UNSAVED:
            return False
        if self.usual():
            return bool(self.live.ready)
        if self.subscriber.options.ordered and deferred.wants_rows(now):
            return False
        return deferred.due(now) or (self._fresh_allowed() and self._source() is not None)

    def wants_page(self, now: float) -> bool:
        """Whether numbers or deferred deliveries should be read from the journal."""
        if self.usual():
            if not self.live.wants_page():
                return False
        elif not self.deferred.wants_rows(now) and self.unread() is None:
            return False
        return not (self.closed or self.leaving or self.reading or now >= self.lease.ends)

    def unread(self) -> Stretch | None:
        """The stretch that should be read on: the live one or the first replay."""
        if self.live.wants_page():
            return self.live
        return self.replays[0] if self.replays and self.replays[0].wants_page() else None

    def unsaved(self) -> int:
        """Deferrals and dead letters that the journal has not got yet."""
        return len(self.dead_letters) + len(self.deferred.saved) + len(self.deferred.gone)

    def usual(self) -> bool:
        """Whether there is nothing but live events to think of."""
        return not self.deferred.count and not self.replays

    def next_moment(self) -> float:
        """When this lane should be looked at again though nothing happens to it; infinity for never."""
        due = -math.inf if self._fresh_allowed() and self._source() is not None else self.deferred.next_due()
        return max(due, self.not_before, self._started + self.spacing)

    # Deliveries

    def offer(self, seqs: Sequence[int]) -> None:
        """New events are for this subscriber."""
        self.accepted += len(seqs)
        if not self.dirty:
            self.touch()
        self.live.offer(seqs)

    def take(self, now: float) -> Delivery | None:
        """The next delivery to attempt, now under way; None when there is none to start."""
        if not self.sendable(now):
            return None
        if self.usual():
            delivery = Delivery(self.live.ready.popleft(), 0, 1, now, now)
        else:
            delivery = self.deferred.pop(now) or self._fresh()
            if not delivery.attempts:
                delivery.first = now
            delivery.began = now
            delivery.attempts += 1
        if self.spacing:
            self._started = now
        if not self.dirty:
            self.touch()
        self.in_flight.add(delivery)
        return delivery

    def put_back(self, delivery: Delivery, due: float) -> None:
        """The attempt did not take place after all: the delivery waits until then as if it had not been taken."""
        self.in_flight.discard(delivery)
        if self.closed:
            return
        delivery.attempts -= 1
        delivery.due = due
        self.deferred.push(delivery)
        self.touch()

    def vanish(self, delivery: Delivery) -> None:
        """The event is not in the journal any more, so that nothing can be attempted: discarded."""
        self.in_flight.discard(delivery)
        if not self.closed:
            self.deferred.forget(delivery)
            self.discarded += 1
            self.touch()

    def _fresh_allowed(self) -> bool:
        return not (self.subscriber.options.ordered and self.deferred.count)

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

    def _fresh(self) -> Delivery:
        source = self._source()
        assert source is not None  # noqa: S101 - sendable() has just said so
        self._replay_next = source is self.live
        return Delivery(source.ready.popleft(), source.run)

    # What came back

    def settle(self, delivery: Delivery, outcome: Outcome, answer: Answer, moment: Moment) -> None:
        """Take an attempt's outcome."""
        if outcome.verdict is Verdict.DELIVERED:
            self.deliver(delivery, moment.now)
            return
        now, wall = moment.now, moment.wall
        self.in_flight.discard(delivery)
        if self.closed:
            return
        self.touch()
        self._failed(delivery, answer)
        if outcome.verdict is Verdict.REJECTED:
            self._answered(now)
            self.bury(delivery, "rejected", answer.excerpt, now, wall)
            return
        if self.ending:
            self.bury(delivery, "lease ended", answer.excerpt, now, wall)
            return
        self._slow_down(outcome, delivery.began, now)
        if outcome.verdict is Verdict.DOWN:
            self.live.shed()
        if outcome.verdict is not Verdict.GONE and self._tried_for(delivery, moment) >= self._rules.retry_seconds:
            reason = f"not delivered within {self._rules.retry_seconds:g} s"
            self.bury(delivery, reason, answer.excerpt, now, wall)
            self.not_before = min(self.not_before, now)  # so that others as old need not wait their turn
            return
        retried = outcome.verdict is Verdict.RETRY
        delivery.due = now + backoff.delay(delivery.attempts, self._rules.dice) if retried else now
        self.deferred.push(delivery)

    def bury(self, delivery: Delivery, reason: str, excerpt: bytes, now: float, wall: float) -> None:
        """Make a delivery a dead letter."""
        self.deferred.forget(delivery)
        self.dead += 1
        self.touch()
        first = wall - (now - delivery.first) if delivery.attempts else None
        self.dead_letters.append(
            DeadLetter(
                self.subscriber.key, delivery.seq, delivery.run, reason, delivery.attempts,
                first, wall, delivery.status, delivery.error, excerpt,
            )
        )  # fmt: skip

    def deliver(self, delivery: Delivery, now: float) -> None:
        """The subscriber has taken a delivery."""
        self.in_flight.discard(delivery)
        if self.closed:
            return
        if not self.dirty:
            self.touch()
        self.delivered += 1
        if delivery.kept:
            self.deferred.forget(delivery)
        if not self.steady:
            self._succeeded(now)

    # Registration

    def renew(self, lease: Lease, scanned: int, now: float) -> None:
        """The subscriber has shown that it lives; what it asks for now holds from now on."""
        self.touch()
        subscriber = lease.subscriber
        if self.interests[-1].until is not None:
            self._reopen(subscriber.options.topics, scanned)
        elif subscriber.options.topics != self.subscriber.options.topics:
            place = self.live.span().cursor
            self.interests = interests.changed(self.interests, subscriber.options.topics, scanned, place)
        self.subscriber, self.lease, self.ended_at, self.expired = subscriber, lease, None, False
        self.deferred.reorder(ordered=subscriber.options.ordered)
        self._fit()
        self._wake(now)

    def _reopen(self, topics: tuple[str, ...], scanned: int) -> None:
        """What comes after ``scanned`` is for the subscriber, though nothing was since its lease ended."""
        self.interests = (*self.interests[1 - MAX_SPANS :], Interest(scanned, None, topics))
        self.live = Stretch(Span(0, scanned, None, 0))

    def lose_interest(self, scanned: int) -> None:
        """Nothing after ``scanned`` is for this subscriber, until it registers again."""
        self.interests = interests.ended(self.interests, scanned)

    def revive(self, count: int) -> None:
        """So many dead letters wait for an attempt again."""
        self.dead -= count
        self.deferred.count += count
        self.touch()

    def add_replay(self, after: int, upto: int, count: int) -> None:
        """Work through a part of the journal again; ``count`` events there match the topics."""
        if len(self.replays) >= MAX_SPANS:
            raise TooMany(f"This subscriber has {MAX_SPANS} replays under way; wait until one has ended.")
        self.runs += 1
        self.accepted += count
        self.touch()
        topics = self.subscriber.options.topics
        self.replays.append(Stretch(Span(self.runs, after, upto, count, topics)))
        self.replayed = (*self.replayed, Interest(after, upto, topics))[-MAX_SPANS:]

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

    # The account

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

    def stretches(self) -> Sequence[Stretch]:
        """All stretches, the live one first."""
        return (self.live, *self.replays)
