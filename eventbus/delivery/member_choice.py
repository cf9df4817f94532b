"""Which member of a group gets an event: the lane's choice, where there is a slot for it."""

from collections.abc import Mapping

from eventbus.core.clock import Clock
from eventbus.core.model import Event
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.group_lane import GroupLane
from eventbus.delivery.lane.health import Health, Moment
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.member import Member
from eventbus.delivery.slots import Slot
from eventbus.delivery.slow_pool import SlowPool


class MemberChoice:
    """Chooses members; ``groups`` has the lanes of the groups by the address of each member."""

    def __init__(self, groups: Mapping[str, GroupLane], pool: SlowPool, clock: Clock) -> None:
        self._groups = groups
        self.pool = pool  #: where slow subscribers wait for a slot
        self._clock = clock

    def choose(self, lane: Lane, delivery: Delivery, event: Event, slot: Slot) -> Member | None:
        """Return the member that gets an event; return None, and let the event wait, if none can take it now."""
        assert isinstance(lane, GroupLane)  # noqa: S101 - no other lane has members
        now = self._clock.monotonic()
        while (member := lane.choose(delivery, event.topic, now)) is not None:
            if not member.slow:
                return member
            slot.turn = self.pool.admit(member)
            if slot.turn is not None:
                return member
            lane.refuse_slot(member, now)
        wall = self._clock.wall()
        lane.postpone(delivery, event.topic, Moment(now, wall, wall - event.accepted_at))
        return None

    def lane_of(self, target: Health) -> Lane | None:
        """Return the lane of a subscriber for which there may be a slot now; None if it has left its group."""
        if isinstance(target, Lane):
            return target
        lane = self._groups.get(target.subscriber.key)
        if lane is not None and isinstance(target, Member):
            lane.grant_slot(target, self._clock.monotonic())
        return lane
