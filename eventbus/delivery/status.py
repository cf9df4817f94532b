"""How a subscriber is doing, as it is shown. Pure."""

from eventbus.delivery.lane import Lane
from eventbus.model import State


def status(lane: Lane, now: float) -> State:
    """Return the state of a subscriber at a moment of the monotonic clock."""
    return State.EXPIRED if lane.lease.ends <= now else lane.state_at(now)
