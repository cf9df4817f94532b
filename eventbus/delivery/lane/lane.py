"""A lane: the in-memory delivery state of one subscription. Pure.

The time (seconds on the monotonic clock) and the random generator are passed in; there is no I/O. Every delivery that
was accepted for the subscription is in a range, waits for a retry, is in flight, or is settled and counted.
"""

import math
from collections.abc import Sequence

from eventbus.core.errors import TooMany
from eventbus.core.leases import Lease
from eventbus.core.model import Interest
from eventbus.core.records import Discard, LaneRecord, Span
from eventbus.delivery.lane.companions import Companions
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.interests import MAX_SPANS
from eventbus.delivery.lane.phase import ACTIVE, CLOSED
from eventbus.delivery.lane.roster import Roster


class QueueEntry:
    """What the dispatcher notes about a lane; a table of its own would cost more for each delivery."""

    __slots__ = ("queued",)

    def __init__(self) -> None:
        self.queued = False  # whether the lane is in the dispatcher's queue, or held back from it


class Lane(Companions):
    """The deliveries of one subscription."""

    def __init__(
        self, record: LaneRecord, lease: Lease, rules: Rules, *, retries: int = 0, roster: Roster | None = None
    ) -> None:
        super().__init__(record, lease, rules, retries=retries)
        self.roster = roster  #: the members of a group; without them deliveries go to the lane's own subscriber
        self.queue_entry = QueueEntry()  # the dispatcher's

    # What there is to do

    def sendable(self, now: float) -> bool:
        """Return whether an attempt may start."""
        retries = self.retries
        usual = not retries.count and not self.replays
        if usual and not self.live.buffered:
            return False
        if len(self.in_flight) >= self.limit or now < self.not_before or now >= self.lease.ends:
            return False
        if self.phase is not ACTIVE or (self.paced and not self._may_start(now)):
            return False
        if (self.dead_letters or retries.unsaved_rows or retries.removed_rows) and self.waits_for_save():
            return False
        return usual or self._has_next(now)

    def wants_page(self, now: float) -> bool:
        """Return whether events or retries should be read from the journal."""
        live = self.live
        if not self.retries.count and not self.replays:
            if not live.remaining or not live.wants_page() or (self.held and live.buffered):
                return False
        elif not self.retries.wants_rows(now) and self.unread() is None:
            return False
        return self.phase is ACTIVE and now < self.lease.ends

    def waits_for_save(self) -> bool:
        """Return whether so much has changed that no attempt starts until the journal has it."""
        return self.unsaved() >= self.limits.unsaved_changes

    def unsaved(self) -> int:
        """Return how many retries and dead letters the journal does not have yet."""
        return len(self.dead_letters) + len(self.retries.unsaved_rows) + len(self.retries.removed_rows)

    def next_moment(self) -> float:
        """Return the next wake-up time (monotonic seconds), or inf if there is none."""
        due = -math.inf if self._fresh_waits() else self.retries.next_due()
        return max(due, self.not_before, self.pace.ready_at, self._gather_until)

    # Deliveries

    def offer(self, seqs: Sequence[int]) -> None:
        """Accept new events, whose sequence numbers rise."""
        self.accepted += len(seqs)
        if not self.dirty:
            self.touch()
        self.live.offer(seqs)

    def offer_unread(self, count: int) -> None:
        """Count events that match and come after the cursor, to be read from the journal later."""
        self.accepted += count
        self.live.remaining += count
        self.touch()

    def skip_to(self, scanned: int) -> None:
        """Move the cursor up to ``scanned`` if nothing is pending: no event before that is for this lane."""
        if not self.live.left:
            self.live.cursor = max(self.live.cursor, scanned)

    def take(self, now: float) -> Delivery | None:
        """Start the next delivery and return it; return None if none may start."""
        if not self.sendable(now):
            return None
        if not self.retries.count and not self.replays:
            delivery = Delivery(self.live.buffered.popleft(), 0, 1, now, now)
        else:
            delivery = self._next(now)
        if self.paced:
            self.pace.start(now)
            self._gather_until = -math.inf
        if not self.dirty:
            self.touch()
        self.in_flight.add(delivery)
        return delivery

    def drop_missing(self, delivery: Delivery) -> None:
        """Discard a delivery whose event is not in the journal any more."""
        self._leave(delivery)
        if self.phase is not CLOSED:
            self.retries.forget(delivery)
            self.discarded += 1
            self.touch()

    # What came back

    def discard(self, first: int, last: int, count: int) -> None:
        """Discard ``count`` deliveries: all that were pending from one sequence number to another."""
        self.discarded += count
        self.touch()
        if self.discards and self.discards[-1].last + 1 == first:
            first = self.discards.pop().first
        self.discards.append(Discard(self.subscriber.key, first, last))

    def deliver(self, delivery: Delivery, now: float) -> None:
        """Count a delivery that the subscriber has accepted; ``now`` is when the attempt began."""
        self.in_flight.discard(delivery)
        if self.phase is CLOSED:
            self._leave(delivery)
            return
        if not self.dirty:
            self.touch()
        self.delivered += 1
        self.answered_at = now
        if self.steady and not delivery.kept:
            return
        self._retried.discard(delivery)
        self.retries.forget(delivery)
        if not self.steady:
            self.count_success(now)

    # What an operator asks for

    def retry_now(self, now: float) -> int:
        """Have all attempted at once that waits for its backoff, whether the subscriber is down or not.

        Return how many wait. The journal's rows are due by now.
        """
        self.end_backoff(now)
        self._retries_yield_until = -math.inf
        self.touch()
        return self.retries.hasten_all(now)

    # Redeliveries and replays

    def requeue(self, count: int) -> None:
        """Count dead letters as retries again; the journal has their rows by now."""
        self.dead -= count
        self.retries.count += count
        self.retries.expect_rows()
        self.touch()

    def check_replays(self) -> None:
        """Raise TooMany if no further replay may begin."""
        if len(self.replays) >= MAX_SPANS:
            raise TooMany(f"This subscriber has {MAX_SPANS} replays in progress; wait until one has ended.")

    def add_replay(self, after: int, end: int, count: int) -> None:
        """Begin to deliver a past range of the journal again; ``count`` events in it match the topics."""
        self.runs += 1
        self.accepted += count
        self.touch()
        topics = self.subscriber.options.topics
        self.replays.append(self.new_range(Span(self.runs, after, end, count, topics)))
        self.replayed = (*self.replayed, Interest(after, end, topics))[-MAX_SPANS:]
