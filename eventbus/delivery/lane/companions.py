"""Deliveries that go along with another in one request: a batch. Pure.

The first delivery of a batch is taken as any other, and stands for the attempt: it is what window, backoff and state
are judged by. The others are its companions. They are in flight and settled as any delivery, and change nothing else.
"""

import math
from collections.abc import Sequence
from itertools import islice
from typing import NamedTuple

from eventbus.core.leases import Lease
from eventbus.core.records import LaneRecord
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.failures import Failures
from eventbus.delivery.lane.health import Health, Moment, Rules
from eventbus.delivery.lane.outcome import AttemptResult, DeliveryResponse
from eventbus.delivery.lane.phase import ACTIVE, CLOSED

#: Events that are read from the journal together with the next one, at most: they may be large.
MAX_READ_TOGETHER = 32


class Candidates(NamedTuple):
    """What may go along with others next, in order: events that were not attempted yet, or a retry.

    Or those that wait for the last of the others, ``after``, with the same order key.
    """

    seqs: Sequence[int]
    is_retry: bool = False
    after: Delivery | None = None
    attempted: bool = False  # the first of them, before
    expires: bool = True  # the first of them: it is not attempted once its event has expired


class Companions(Failures):
    """The batches of one lane."""

    def __init__(self, record: LaneRecord, lease: Lease, rules: Rules, *, retries: int = 0) -> None:
        super().__init__(record, lease, rules, retries=retries)
        self._gather_until = -math.inf  # until then a batch that is not full waits for more

    # When a batch starts

    def _may_start(self, now: float) -> bool:
        """Return whether the last attempt was long enough ago, and the next batch is full or has waited long enough."""
        if now < self.pace.ready_at:
            return False
        return not self.gather_seconds or not self._gathers(self, now)

    def _gathers(self, target: Health, now: float) -> bool:
        """Return whether the next batch for a subscriber waits for more events."""
        waiting = self.live.left
        if not waiting or waiting >= target.together or self.replays or self.retries.due(now):
            self._gather_until = -math.inf
            return False
        if self._gather_until == -math.inf:
            self._gather_until = now + target.gather_seconds
        return now < self._gather_until

    # What is settled without an attempt

    def upcoming_delivery(self, now: float) -> Candidates | None:
        """Return what ``take`` would start, where an attempt may start."""
        retry = self._next_retry(now) if self.retries.count else None
        if retry is not None:
            return _candidate(retry)
        source = self._source()
        return Candidates((source.buffered[0],)) if source is not None else None

    def filter_out(self, candidates: Candidates, now: float) -> None:
        """Settle the first of what would be next, since the filter does not match it; it is not attempted."""
        delivery = self._take_unsent(candidates, now)
        if delivery.past is not None:
            self.filtered_rows.append((delivery.seq, delivery.replay_id))
        self.retries.forget(delivery)
        self.filtered += 1
        self.touch()

    def expire_next(self, candidates: Candidates, now: float, wall: float) -> None:
        """Make the first of what would be next dead, since its event has expired; it is not attempted."""
        delivery = self._take_unsent(candidates, now)
        self._dead_letter_unsent(delivery, now, wall)

    def _take_unsent(self, candidates: Candidates, now: float) -> Delivery:
        """Take the first of what would be next out of those that wait; no attempt of it begins."""
        if candidates.after is not None:
            (delivery,) = self.retries.take_waiting(candidates.after, 1)
            return delivery
        delivery = self._take_retry(now) if candidates.is_retry else self._take_fresh(1, now)[0]
        delivery.attempts -= 1
        return delivery

    # What goes along

    def candidates(self, last: Delivery, now: float, size: int, most: int) -> Candidates | None:
        """Return what may go in one request with ``size`` others that were taken at ``now``; None if nothing may.

        These are ``most`` at most, and perhaps not all that may. What waits for the ``last`` of the others, with its
        order key, goes first. While the lane is held back, each probe is one event.
        """
        if self.phase is not ACTIVE or self.held:
            return None
        if self.filter is not None:
            most = 1  # each is looked at by itself
        retries = self.retries
        if self.subscriber.options.by_key:
            if waiting := retries.waiting_for(last):
                return self._following(last, waiting, size, most)
            most = 1  # what waits for that one goes along next
        if retries.count or self.replays:
            if self.subscriber.options.one_at_a_time and retries.wants_rows(now):
                return None
            retry = retries.first(now)
            if retry is not None:
                found = _candidate(retry)
                return found if self._goes_with(last, retry, size) else None
            if not self._fresh_allowed():
                return None
            source = self._source()
            most = 1 if self.replays else most  # they take turns with the live events
        else:
            source = self.live
        return Candidates(list(islice(source.buffered, most))) if source is not None and source.buffered else None

    def _following(self, last: Delivery, waiting: Sequence[Delivery], size: int, most: int) -> Candidates | None:
        """Return as many of those that wait for the last of ``size`` others as may go along."""
        seqs: list[int] = []
        for delivery in waiting[:most]:
            if not self._goes_with(last, delivery, size + len(seqs)):
                break
            seqs.append(delivery.seq)
        if not seqs:
            return None
        return Candidates(seqs, after=last, attempted=waiting[0].attempts > 0, expires=waiting[0].expires)

    def _goes_with(self, last: Delivery, delivery: Delivery, size: int) -> bool:
        """Return whether one that may have failed may go in one request with ``size`` others, after the last one."""
        return delivery.max_batch > size

    def upcoming(self, first: Delivery | None) -> list[int]:
        """Return the sequence numbers of some events that may go along with the first one of a batch, or be next."""
        if self.batch == 1 and self.filter is None:
            return []
        count = MAX_READ_TOGETHER - 1 if self.filter is not None else min(self.batch, MAX_READ_TOGETHER) - 1
        waiting = () if first is None else self.retries.waiting_for(first)[:count]
        found = sorted(self.retries.in_memory(), key=lambda delivery: (delivery.due, delivery.seq))
        seqs = [delivery.seq for delivery in (*waiting, *found)][:count]
        for part in (*self.replays, self.live):
            seqs += list(part.buffered)[: count - len(seqs)]
        return seqs

    def suits(self, first: Delivery, topic: str | None) -> bool:
        """Return whether an event with this topic may go to the same subscriber as the first of a batch."""
        return True

    def take_along(self, first: Delivery, candidates: Candidates, count: int, now: float) -> list[Delivery]:
        """Start the first ``count`` deliveries of what goes along, in the same request as ``first``; return them."""
        if candidates.after is not None:
            taken = [delivery.begin(now) for delivery in self.retries.take_waiting(candidates.after, count)]
        else:
            taken = [self._take_retry(now)] if candidates.is_retry else self._take_fresh(count, now)
        self.in_flight.update(taken)
        self.pace.add(len(taken))
        self._count_companions(len(taken))
        return taken

    # What came back

    def deliver_along(self, deliveries: Sequence[Delivery]) -> None:
        """Count companions that the subscriber has accepted."""
        self._count_companions(-len(deliveries))
        self.in_flight.difference_update(deliveries)
        if self.phase is not CLOSED:
            self.delivered += len(deliveries)
            self.retries.forget_all(deliveries)

    def fail_along(
        self,
        delivery: Delivery,
        outcome: AttemptResult,
        answer: DeliveryResponse,
        moment: Moment,
        *,
        wait: float | None = None,
    ) -> None:
        """Let a companion wait for a retry, for ``wait`` seconds if they are given, or make it a dead letter."""
        self._leave_along(delivery)
        if self.phase is not CLOSED:
            self.touch()
            self.describe_failure(delivery, answer)
            self._settle_failed(delivery, outcome, answer, moment, held=self.held, wait=wait)

    def release_along(self, delivery: Delivery, due: float) -> None:
        """Let a companion wait until ``due``, since no attempt was made."""
        self._count_companions(-1)
        self.release(delivery, due)

    def _leave_along(self, delivery: Delivery) -> None:
        self._count_companions(-1)
        self._leave(delivery)

    def _count_companions(self, change: int) -> None:
        """Let as many more deliveries be in flight as go along with others."""
        self.companions += change
        self.limit += change


def _candidate(retry: Delivery) -> Candidates:
    return Candidates((retry.seq,), is_retry=True, attempted=retry.attempts > 0, expires=retry.expires)
