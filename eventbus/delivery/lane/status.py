"""The state of a subscriber, as users see it. Pure."""

from eventbus.core.model import State
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.member import Member

#: States in which nobody needs to do anything.
WELL = frozenset({State.NEW, State.OK})
#: Pauses one after another, without a delivery in between, that are failing: a subscriber takes nothing.
STUCK_PAUSES = 3


def status(lane: Lane | Member, now: float) -> State:
    """Return the state of a subscriber, or of a member of a group, at a moment of the monotonic clock."""
    if lane.lease.ends <= now:
        return State.EXPIRED
    if _lacks_credentials(lane):
        return State.WAITING
    state = lane.state_at(now)
    if state is not State.OK:
        return state
    if lane.recent.failing:
        return State.FAILING
    return State.NEW if lane.delivered + lane.failed_attempts == lane.former_attempts else State.OK


def _lacks_credentials(lane: Lane | Member) -> bool:
    """Return whether a subscriber waits for its credentials; a group does where all of its members do."""
    if isinstance(lane, Lane) and lane.roster:
        return all(member.lacks_credentials for member in lane.roster)
    return lane.lacks_credentials


def observe(lane: Lane, now: float) -> bool:
    """Sample a lane's counters; return whether its subscriber has started or stopped failing."""
    for member in lane.roster or ():
        member.recent.sample(now, member.delivered, member.failed_attempts)
        member.recent.judge(now, 0)
    recent, failing = lane.recent, lane.recent.failing
    changed = recent.sample(now, lane.delivered, lane.failed_attempts)
    state = lane.state_at(now)
    if lane.pauses >= STUCK_PAUSES and state is not State.DOWN and lane.lease.ends > now:
        recent.failing = True
    elif state is not State.OK or lane.lease.ends <= now:
        recent.clear(now)
        return False
    elif changed or failing:
        recent.judge(now, oldest_failures(lane))
    return recent.failing is not failing


def oldest_failures(lane: Lane) -> int:
    """Return how often the oldest pending event has failed, as far as memory knows."""
    tried = [(delivery.seq, delivery.attempts) for delivery in lane.retries.in_memory()]
    tried += [(delivery.seq, delivery.attempts - 1) for delivery in lane.in_flight]
    if not tried:
        return 0
    seq, failures = min(tried)
    fresh = [part.span().cursor for part in lane.ranges() if part.left]
    return failures if seq <= min(fresh, default=seq) else 0
