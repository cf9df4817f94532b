"""How members leave their groups: they deregister, their lease expires, or they answer 410 Gone.

The last member's end is the end of the group's lease: its position is kept, or what is pending is dead-lettered.
"""

import logging
from contextlib import suppress
from dataclasses import replace

from eventbus.core.errors import NotOwner, TooMany
from eventbus.core.records import Checkpoint
from eventbus.delivery.decision import Decision
from eventbus.delivery.lane.group_lane import GroupLane
from eventbus.delivery.lane.lane_record import left_record
from eventbus.delivery.lane.member import Member
from eventbus.delivery.lane.phase import CloseReason
from eventbus.services.expiry import LeaseExpiry
from eventbus.services.node import Node

#: Why most leases end.
NOT_RENEWED = "not renewed"

log = logging.getLogger(__name__)


class Memberships:
    """Removes members."""

    def __init__(self, node: Node, expiry: LeaseExpiry) -> None:
        self._node = node
        self._dispatcher = node.dispatcher
        self._clock = node.clock
        self._expiry = expiry

    def find(self, key: str) -> tuple[GroupLane, Member] | None:
        """Return the group that an address is a member of, and the member; None if it is in none."""
        lane = self._dispatcher.registry.groups.get(key)
        member = None if lane is None else lane.roster.get(key)
        return None if lane is None or member is None else (lane, member)

    def deregister(self, key: str) -> bool:
        """Remove a member that asks for it, and return when that is saved; return False for an address in no group.

        Raises NotOwner and JournalError; then it is still a member.
        """
        found = self.find(key)
        if found is None:
            return False
        lane, member = found
        checkpointer, recent = self._dispatcher.checkpointer, self._dispatcher.recent

        def change() -> Checkpoint:
            if lane.close_reason is CloseReason.LOST:
                raise NotOwner
            now, wall = self._clock.monotonic(), self._clock.wall()
            return Checkpoint(wall, recent.newest, lanes=(left_record(lane, member, recent.newest, now, wall),))

        def happen() -> None:
            self._remove(lane, member, "it deregistered")

        with self._node.locks.hold(lane.subscriber.key, key):
            if not lane.closed and lane.roster.get(key) is member:
                checkpointer.decide(Decision(change, happen, [lane], [lane.subscriber.key]))
            elif lane.close_reason is CloseReason.LOST:
                raise NotOwner
        return True

    def gone(self, key: str) -> None:
        """Remove a member that answered 410 Gone. What it has refused goes to other members."""
        if (found := self.find(key)) is not None:
            self._remove(*found, "it answered 410")

    def expire(self, key: str, why: str = NOT_RENEWED) -> bool:
        """Remove a member whose lease is over; what is in flight to it is sent to other members at once.

        An ordered group waits for the attempt's end, since no two may overlap. Return False for an address in no group.
        """
        found = self.find(key)
        if found is None:
            return False
        lane, member = found
        self._remove(lane, member, f"its lease ended: {why}")
        if lane.subscriber.options.ordered is False:
            self._dispatcher.cut_short(member)
        return True

    def _remove(self, lane: GroupLane, member: Member, why: str) -> None:
        key, group = member.subscriber.key, lane.subscriber
        if lane.closed or lane.roster.get(key) is not member:
            return
        now, topics = self._clock.monotonic(), lane.topics_without(member)
        lane.remove_member(member, now)
        self._node.leases.end(key)
        message = "%s left the group %s, since %s: %d members are left, %d pending"
        log.info(message, key, group.name, why, len(lane.roster), lane.backlog, extra={"address": key})
        if not len(lane.roster):
            self._end(lane, now)
        elif topics != group.options.topics:
            other = replace(group, options=replace(group.options, topics=topics))
            with suppress(TooMany):  # then events wait that no member wants, and a later change tries again
                lane.renew(replace(lane.lease, subscriber=other), self._dispatcher.recent.newest, now)
        self._dispatcher.registry.remove_member(lane, member)
        self._dispatcher.schedule(lane)

    def _end(self, lane: GroupLane, now: float) -> None:
        """End the lease of a group whose last member has left."""
        lane.end_lease(now)
        if lane.subscriber.options.resume:
            lane.park(self._clock.wall())
        else:
            self._expiry.dead_letter(lane)
