"""A lane: one subscriber's share of the deliveries, and how the subscriber is doing. Pure.

It is told the time (seconds on the monotonic clock) and the dice, and does no I/O. Every delivery that was
accepted for the subscriber is in exactly one place: in a stretch, deferred, under way, or settled and counted.
"""

import math
from collections.abc import Sequence

from eventbus.core import backoff
from eventbus.core.errors import TooMany
from eventbus.core.leases import Lease
from eventbus.core.model import DeadLetter, Interest, LaneRecord, Span, State
from eventbus.delivery.lane import interests
from eventbus.delivery.lane.backlog import Backlog
from eventbus.delivery.lane.health import Moment, Rules
from eventbus.delivery.lane.interests import MAX_SPANS
from eventbus.delivery.lane.outcome import AttemptResult, DeliveryResponse, Verdict
from eventbus.delivery.lane.ranges import Range
from eventbus.delivery.lane.retries import Delivery

#: Changes that may wait for the journal; a lane with more starts no attempt until they are saved.
MAX_UNSAVED = 2_000


class Lane(Backlog):
    """One subscriber's deliveries."""

    def __init__(self, record: LaneRecord, lease: Lease, rules: Rules, *, retries: int = 0) -> None:
        super().__init__(record, rules, retries)
        self.lease = lease
        self.ended_at = record.ended_at  # seconds since 1970
        self.durable = True  # its registration is known to be in the journal
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
        retries = self.retries
        if (self.dead_letters or retries.saved or retries.gone) and self.unsaved() >= MAX_UNSAVED:
            return False
        if not retries.count and not self.replays:  # as is usual
            return bool(self.live.buffered)
        if self.subscriber.options.ordered and retries.wants_rows(now):
            return False
        return (retries.due(now) and self._retry_allowed()) or self._fresh_waits()

    def wants_page(self, now: float) -> bool:
        """Whether numbers or deferred deliveries should be read from the journal."""
        live = self.live
        if not self.retries.count and not self.replays:
            if not live.remaining or not live.wants_page() or (self.held and live.buffered):
                return False
        elif not self.retries.wants_rows(now) and self.unread() is None:
            return False
        return not (self.closed or self.leaving or self.reading or now >= self.lease.ends)

    def unsaved(self) -> int:
        """Deferrals and dead letters that the journal has not got yet."""
        return len(self.dead_letters) + len(self.retries.saved) + len(self.retries.gone)

    def next_moment(self) -> float:
        """When this lane should be looked at again though nothing happens to it; infinity for never."""
        due = -math.inf if self._fresh_waits() else self.retries.next_due()
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
        if not self.retries.count and not self.replays:
            delivery = Delivery(self.live.buffered.popleft(), 0, 1, now, now)
        else:
            delivery = self._next(now)
            if not delivery.tries:
                delivery.first = now
            delivery.began = now
            delivery.attempts += 1
        if self.spacing:
            self._started = now
        if not self.dirty:
            self.touch()
        self.in_flight.add(delivery)
        return delivery

    def _leave(self, delivery: Delivery) -> None:
        """The attempt is over."""
        self.in_flight.discard(delivery)
        self._retried.discard(delivery)

    def release(self, delivery: Delivery, due: float) -> None:
        """The attempt did not take place after all: the delivery waits until then as if it had not been taken."""
        self._leave(delivery)
        if self.closed:
            return
        delivery.attempts -= 1
        delivery.due = due
        self.retries.push(delivery)
        self.touch()

    def drop_missing(self, delivery: Delivery) -> None:
        """The event is not in the journal any more, so that nothing can be attempted: discarded."""
        self._leave(delivery)
        if not self.closed:
            self.retries.forget(delivery)
            self.discarded += 1
            self.touch()

    # What came back

    def settle(self, delivery: Delivery, outcome: AttemptResult, answer: DeliveryResponse, moment: Moment) -> None:
        """Take an attempt's outcome."""
        if outcome.verdict is Verdict.DELIVERED:
            self.deliver(delivery, moment.now)
            return
        now, wall = moment.now, moment.wall
        self._leave(delivery)
        if self.closed:
            return
        self.touch()
        self._failed(delivery, answer, wall)
        if outcome.verdict is Verdict.REJECTED:
            self._answered_at = delivery.began
            self._answered(now)
            self.dead_letter(delivery, "rejected", answer.excerpt, now, wall)
            return
        if self.ending:
            self.dead_letter(delivery, "lease ended", answer.excerpt, now, wall)
            return
        was_held = self.held
        self._slow_down(outcome, delivery, now)
        if self.held:
            self.live.shrink()
        if outcome.verdict is not Verdict.GONE and self._tried_for(delivery, moment) >= self._rules.retry_seconds:
            reason = f"not delivered within {self._rules.retry_seconds:g} s"
            self.dead_letter(delivery, reason, answer.excerpt, now, wall)
            self.not_before = min(self.not_before, now)  # so that others as old need not wait their turn
            return
        delivery.due = now + outcome.wait + self._own_wait(delivery, outcome.verdict, held=was_held)
        self.retries.push(delivery)

    def _own_wait(self, delivery: Delivery, verdict: Verdict, *, held: bool) -> float:
        """Seconds that an event which failed waits by itself, so that it cannot hold up the others again and again.

        What fails while a lane is held back is the subscriber's failure: the event does not have to wait longer for it.
        """
        if verdict is Verdict.GONE:
            return 0.0
        if verdict is Verdict.PAUSE and (self.subscriber.options.ordered or self._source() is None):
            return 0.0  # there is no other
        return backoff.delay(1 if held else max(1, delivery.tries), self._rules.rng)

    def dead_letter(self, delivery: Delivery, reason: str, excerpt: bytes, now: float, wall: float) -> None:
        """Make a delivery a dead letter."""
        self.retries.forget(delivery)
        self.dead += 1
        self.touch()
        self.dead_letters.append(
            DeadLetter(
                self.subscriber.key, delivery.seq, delivery.replay_id, reason, delivery.attempts,
                delivery.first_at(now, wall), wall, delivery.status, delivery.error, excerpt,
            )
        )  # fmt: skip

    def deliver(self, delivery: Delivery, now: float) -> None:
        """The subscriber has taken a delivery."""
        self.in_flight.discard(delivery)
        if self.closed:
            self._leave(delivery)
            return
        if not self.dirty:
            self.touch()
        self.delivered += 1
        self._answered_at = now
        if delivery.kept:
            self._retried.discard(delivery)
            self.retries.forget(delivery)
        if not self.steady:
            self._succeeded(now)

    # Registration

    def renew(self, lease: Lease, scanned: int, now: float) -> None:
        """The subscriber has shown that it lives; what it asks for now holds from now on."""
        self.touch()
        subscriber = lease.subscriber
        begins = self.interests[-1].until is not None  # nothing was for the subscriber since its lease had ended
        self.interests = self.interests_with(subscriber.options.topics, scanned)
        if begins:
            self.live = Range(Span(0, scanned, None, 0))
        if self.ended_at is not None:
            self.former_attempts = self.delivered + self.failed_attempts
        self.subscriber, self.lease, self.ended_at, self.expired = subscriber, lease, None, False
        self.retries.reorder(ordered=subscriber.options.ordered)
        self._fit()
        self._wake(now)

    def interests_with(self, topics: tuple[str, ...], scanned: int) -> tuple[Interest, ...]:
        """The interests, where these topics are asked for from now on. Raises TooMany."""
        if self.interests[-1].until is not None:
            return (*self.interests[1 - MAX_SPANS :], Interest(scanned, None, topics))
        if topics == self.subscriber.options.topics:
            return self.interests
        return interests.changed(self.interests, topics, scanned, self.live.span().cursor)

    def _wake(self, now: float) -> None:
        """The subscriber has renewed: one that is down is probed at once."""
        if self.state is State.DOWN:
            self.not_before = min(self.not_before, now)
            if not self._fresh_waits():
                self.retries.hasten(now)

    def unsubscribe(self, scanned: int) -> None:
        """Nothing after ``scanned`` is for this subscriber, until it registers again."""
        self.interests = interests.ended(self.interests, scanned)

    def requeue(self, count: int) -> None:
        """So many dead letters wait for an attempt again."""
        self.dead -= count
        self.retries.count += count
        self.touch()

    def check_replays(self) -> None:
        """Raise TooMany where there may be no more replays at once."""
        if len(self.replays) >= MAX_SPANS:
            raise TooMany(f"This subscriber has {MAX_SPANS} replays under way; wait until one has ended.")

    def add_replay(self, after: int, end: int, count: int) -> None:
        """Work through a part of the journal again; ``count`` events there match the topics."""
        self.runs += 1
        self.accepted += count
        self.touch()
        topics = self.subscriber.options.topics
        self.replays.append(Range(Span(self.runs, after, end, count, topics)))
        self.replayed = (*self.replayed, Interest(after, end, topics))[-MAX_SPANS:]
