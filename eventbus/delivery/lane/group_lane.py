"""The lane of a group: one subscription whose deliveries go to its members, each delivery to one of them. Pure.

What is next is up to the lane, as for any subscription; to which member it goes is up to the roster. A delivery that
fails at one member goes to another at once. Only where all have failed, it waits.
"""

import math
from collections.abc import Sequence

from eventbus.core.leases import Lease
from eventbus.core.override import override
from eventbus.core.records import LaneRecord
from eventbus.delivery.lane.companions import Candidates
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.group_members import GroupMembers
from eventbus.delivery.lane.health import Moment, Rules
from eventbus.delivery.lane.member import Member
from eventbus.delivery.lane.outcome import AttemptResult, DeliveryResponse, Verdict
from eventbus.delivery.lane.phase import ACTIVE, CLOSED

#: Seconds until an event is looked at again whose topic no member wants that is there, or has room.
UNWANTED_SECONDS, FULL_SECONDS = 10.0, 0.2
#: Why a delivery is dead whose topic no member wanted for as long as deliveries are tried.
UNWANTED = "no member of the group wants its topic"


class GroupLane(GroupMembers):
    """The deliveries of a group."""

    def __init__(self, record: LaneRecord, lease: Lease, rules: Rules, *, retries: int = 0) -> None:
        self._best: Member | None = None  # the one that sendable() has found last
        self._at: dict[Delivery, Member] = {}  # where each delivery in flight is
        super().__init__(record, lease, rules, retries=retries)

    def member_of(self, delivery: Delivery) -> Member:
        """Return the member that a delivery in flight is reserved for."""
        return self._at[delivery]

    # What there is to do

    @override
    def sendable(self, now: float) -> bool:
        if self.phase is not ACTIVE or len(self.in_flight) >= self.limit or now < self.not_before:
            return False
        self._best = self.roster.best(now)
        if self._best is None:
            return False
        retries = self.retries
        if (self.dead_letters or retries.unsaved_rows or retries.removed_rows) and self.waits_for_save():
            return False
        if self.paced and self._best.gather_seconds and self._gathers(self._best, now):
            return False
        if not retries.count and not self.replays:
            return bool(self.live.buffered)
        return self._has_next(now)

    @override
    def next_moment(self) -> float:
        due = -math.inf if self._fresh_waits() else self.retries.next_due()
        return max(due, self.not_before, self.roster.next_moment(), self._gather_until)

    @override
    def _retry_allowed(self) -> bool:
        return len(self._retried) < max(1, sum(member.limit for member in self.roster) // 2)

    # Deliveries

    @override
    def take(self, now: float) -> Delivery | None:
        delivery = super().take(now)
        if delivery is not None:
            assert self._best is not None  # noqa: S101 - sendable() has just found it
            self._assign(delivery, self._best, now)
        return delivery

    def _assign(self, delivery: Delivery, member: Member, now: float) -> None:
        self._at[delivery] = member
        self.roster.begin(member, now)

    def choose(self, delivery: Delivery, topic: str | None, now: float) -> Member | None:
        """Return the member that a delivery goes to, which may be another than it was reserved for.

        It is the best one that wants the topic and at which the delivery has not failed lately. None if those are all
        full, down, paused or draining.
        """
        reserved, failed_at = self._at[delivery], delivery.failed_at
        if not reserved.waits_for_slot and now >= reserved.not_before:
            if not failed_at and not self.topics_differ:  # as is usual
                return reserved
            if reserved.wants(topic) and reserved.subscriber.key not in failed_at:
                return reserved
        self._end(delivery, now)
        found = self.roster.choose(now, lambda m: m.wants(topic) and m.subscriber.key not in failed_at)
        if found is not None:
            self._assign(delivery, found, now)
        return found

    @override
    def suits(self, first: Delivery, topic: str | None) -> bool:
        return not self.topics_differ or self._at[first].wants(topic)

    @override
    def _goes_with(self, last: Delivery, delivery: Delivery, size: int) -> bool:
        return super()._goes_with(last, delivery, size) and self._at[last].subscriber.key not in delivery.failed_at

    @override
    def take_along(self, first: Delivery, candidates: Candidates, count: int, now: float) -> list[Delivery]:
        taken = super().take_along(first, candidates, count, now)
        self._at |= dict.fromkeys(taken, self._at[first])
        self._at[first].pace.add(len(taken))
        return taken

    def postpone(self, delivery: Delivery, topic: str | None, moment: Moment) -> None:
        """Let a delivery wait that no member can take now; it was not attempted. It may have waited too long.

        One that has failed waits as it would for one subscriber, and may go to any member then.
        """
        self._leave(delivery)
        if self.phase is CLOSED:
            return
        wanted = any(member.wants(topic) for member in self.roster)
        delivery.attempts -= 1
        if not wanted and moment.waited >= self.retry_for:
            self.dead_letter(delivery, UNWANTED, b"", moment.now, moment.wall)
            return
        if wanted and delivery.failed_at:
            delay = self._own_wait(delivery, Verdict.RETRY, held=False)
        else:
            delay = FULL_SECONDS if wanted else UNWANTED_SECONDS
        delivery.failed_at = ()
        self._wait_again(delivery, moment.now + delay)
        self.touch()

    def refuse_slot(self, member: Member, now: float) -> None:
        """Pass a slow member over until there is a slot for it."""
        member.waits_for_slot = True
        self.roster.refresh(member, now)

    def grant_slot(self, member: Member, now: float) -> None:
        """Let a slow member have deliveries again: there may be a slot for it."""
        member.waits_for_slot = False
        self.roster.refresh(member, now)

    def _end(self, delivery: Delivery, now: float) -> None:
        """Take a delivery from the member that it was reserved for."""
        member = self._at.pop(delivery, None)
        if member is not None:
            self.roster.end(member, now)

    @override
    def release(self, delivery: Delivery, due: float) -> None:
        super().release(delivery, due)
        self._end(delivery, delivery.began)

    @override
    def drop_missing(self, delivery: Delivery) -> None:
        super().drop_missing(delivery)
        self._end(delivery, delivery.began)

    @override
    def expire(self, delivery: Delivery, now: float, wall: float) -> None:
        super().expire(delivery, now, wall)
        self._end(delivery, now)

    # What came back

    @override
    def deliver(self, delivery: Delivery, now: float) -> None:
        super().deliver(delivery, now)
        member = self._at.pop(delivery)
        member.delivered += 1
        member.answered_at = now
        if not member.steady:
            state = member.state
            member.count_success(now)
            if member.state is not state:
                self._fit()
        self.roster.end(member, now)

    @override
    def fail(self, delivery: Delivery, outcome: AttemptResult, answer: DeliveryResponse, moment: Moment) -> None:
        super().fail(delivery, outcome, answer, moment)
        self._end(delivery, moment.now)
        self._fit()

    @override
    def deliver_along(self, deliveries: Sequence[Delivery]) -> None:
        super().deliver_along(deliveries)
        for delivery in deliveries:
            self._at.pop(delivery).delivered += 1

    @override
    def fail_along(
        self,
        delivery: Delivery,
        outcome: AttemptResult,
        answer: DeliveryResponse,
        moment: Moment,
        *,
        wait: float | None = None,
    ) -> None:
        super().fail_along(delivery, outcome, answer, moment, wait=wait)
        self._at.pop(delivery, None)

    @override
    def release_along(self, delivery: Delivery, due: float) -> None:
        self._at.pop(delivery, None)
        super().release_along(delivery, due)

    @override
    def describe_failure(self, delivery: Delivery, answer: DeliveryResponse) -> None:
        member = self.member_of(delivery)
        member.describe_failure(delivery, answer)
        delivery.error = f"{member.subscriber.text}: {delivery.error}"

    @override
    def count_failure(self, delivery: Delivery, answer: DeliveryResponse, wall: float) -> None:
        member = self.member_of(delivery)
        member.count_failure(delivery, answer, wall)
        super().count_failure(delivery, answer, wall)

    @override
    def count_rejection(self, delivery: Delivery, now: float) -> None:
        self.member_of(delivery).count_rejection(delivery, now)

    @override
    def slow_down(self, outcome: AttemptResult, delivery: Delivery, now: float) -> None:
        self.member_of(delivery).slow_down(outcome, delivery, now)
        self._fit()

    @override
    def _wait(self, delivery: Delivery, outcome: AttemptResult, *, held: bool) -> float:
        """Return 0 where another member can take the delivery at once, else what it waits on its own."""
        if outcome.verdict is Verdict.SPLIT:
            return 0.0
        key = self.member_of(delivery).subscriber.key
        if key not in delivery.failed_at:
            delivery.failed_at = (*delivery.failed_at, key)
        rest = [member for member in self.roster if member.is_fit and member.subscriber.key not in delivery.failed_at]
        if rest:
            return 0.0
        delivery.failed_at = ()
        return super()._wait(delivery, outcome, held=held)
