"""A lane's life: each transition goes from the phases that it names to the one that it names, and raises elsewhere."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from eventbus.core.leases import Lease
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import lane_of, record_of
from eventbus.delivery.lane.phase import CloseReason, ImpossibleTransition, Phase
from tests.support.lanes import EPOCH, lane_with

Step = Callable[[Lane], object]


def renew(lane: Lane) -> None:
    """Let the subscriber renew as it is."""
    lane.renew(Lease(lane.subscriber, EPOCH, EPOCH, 1e6), scanned=2, now=0.0)


#: Every transition.
STEPS: dict[str, Step] = {
    "renew": renew,
    "park": lambda lane: lane.park(EPOCH),
    "leave": lambda lane: lane.leave(),
    "stay": lambda lane: lane.stay(),
    "begin_ending": lambda lane: lane.begin_ending(2, EPOCH),
    "finish_ending": lambda lane: lane.finish_ending(),
    "begin_discarding": lambda lane: lane.begin_discarding(0.0),
    "close": lambda lane: lane.close(CloseReason.LOST),
}
#: The transitions that bring a lane which has a lease to each phase but EXPIRED, which is only read from the journal.
WAYS: dict[Phase, list[str]] = {
    Phase.ACTIVE: [],
    Phase.PARKED: ["park"],
    Phase.EXPIRED: [],
    Phase.LEAVING: ["leave"],
    Phase.ENDING: ["begin_ending"],
    Phase.EMPTIED: ["begin_ending", "finish_ending"],
    Phase.DISCARDING: ["begin_discarding"],
    Phase.CLOSED: ["close"],
}
#: Where each transition leads from each phase that allows it.
ALLOWED: dict[tuple[str, Phase], Phase] = {
    ("renew", Phase.ACTIVE): Phase.ACTIVE,
    ("renew", Phase.PARKED): Phase.ACTIVE,
    ("renew", Phase.EXPIRED): Phase.ACTIVE,
    ("renew", Phase.LEAVING): Phase.LEAVING,
    ("park", Phase.ACTIVE): Phase.PARKED,
    ("park", Phase.LEAVING): Phase.LEAVING,
    ("leave", Phase.ACTIVE): Phase.LEAVING,
    ("leave", Phase.PARKED): Phase.LEAVING,
    ("leave", Phase.EXPIRED): Phase.LEAVING,
    ("stay", Phase.LEAVING): Phase.ACTIVE,
    ("begin_ending", Phase.ACTIVE): Phase.ENDING,
    ("begin_ending", Phase.PARKED): Phase.ENDING,
    ("begin_ending", Phase.EXPIRED): Phase.ENDING,
    ("begin_ending", Phase.LEAVING): Phase.ENDING,
    ("finish_ending", Phase.ENDING): Phase.EMPTIED,
    **{("begin_discarding", phase): Phase.DISCARDING for phase in Phase if phase.value not in ("discarding", "closed")},
    **{("close", phase): Phase.CLOSED for phase in Phase if phase is not Phase.CLOSED},
}


def lane_in(phase: Phase) -> Lane:
    """Return a lane in a phase."""
    lane = lane_with()
    if phase is Phase.EXPIRED:
        record = replace(record_of(lane, 0, 0.0, EPOCH), ended_at=EPOCH, expired=True)
        lane = lane_of(record, Rules(), retries=0, ends=0, now=0, wall=EPOCH)
    for step in WAYS[phase]:
        STEPS[step](lane)
    assert lane.phase is phase
    return lane


@pytest.mark.parametrize("phase", Phase)
@pytest.mark.parametrize("step", STEPS)
def test_a_transition_leads_where_it_says_or_raises(step: str, phase: Phase) -> None:
    """Every transition from every phase is either one of those that are allowed, or impossible and changes nothing."""
    lane = lane_in(phase)
    to = ALLOWED.get((step, phase))
    if to is None:
        before = vars(lane).copy()
        with pytest.raises(ImpossibleTransition, match=phase.value):
            STEPS[step](lane)
        assert vars(lane) == before
    else:
        STEPS[step](lane)
        assert lane.phase is to


@pytest.mark.parametrize("phase", Phase)
def test_only_an_active_lane_starts_attempts(phase: Phase) -> None:
    """An event that waits is attempted in no other phase, whatever the lease says."""
    lane = lane_in(phase)
    lane.offer([1, 2])
    lane.lease = replace(lane.lease, ends=1e9)
    assert lane.sendable(0.0) is (phase is Phase.ACTIVE)
    lane.offer_unread(5)
    lane.live.buffered.clear()
    assert lane.wants_page(0.0) is (phase is Phase.ACTIVE)


@pytest.mark.parametrize(("step", "after"), [("renew", Phase.ACTIVE), ("park", Phase.PARKED)])
def test_a_lane_that_stays_is_what_became_of_it_meanwhile(step: str, after: Phase) -> None:
    """A lease that is renewed, or ends, while its lane is about to be handed over counts when the lane stays."""
    lane = lane_in(Phase.LEAVING)
    STEPS[step](lane)
    lane.stay()
    assert lane.phase is after


def test_an_expired_lane_that_stays_or_leaves_is_expired() -> None:
    """The record says so while the lane is about to be handed over, and the lane does when it stays."""
    lane = lane_in(Phase.EXPIRED)
    lane.leave()
    assert record_of(lane, 0, 0.0, EPOCH).expired
    lane.stay()
    assert lane.phase is Phase.EXPIRED


@pytest.mark.parametrize("phase", Phase)
def test_a_record_says_whether_a_lane_is_expired(phase: Phase) -> None:
    """A lane is expired when its lease has ended and nothing of then is pending any more."""
    expired = record_of(lane_in(phase), 0, 0.0, EPOCH).expired
    assert expired is (phase in (Phase.EXPIRED, Phase.EMPTIED))


def test_a_lane_knows_why_it_was_closed() -> None:
    """The reason of the first close stays, and is in the error that a second one raises."""
    lane = lane_in(Phase.ACTIVE)
    lane.close(CloseReason.DISCARDED)
    assert (lane.closed, lane.close_reason) == (True, CloseReason.DISCARDED)
    with pytest.raises(ImpossibleTransition, match="closed since its subscriber wants no more"):
        lane.close(CloseReason.LOST)


def test_a_lane_that_ended_before_keeps_the_moment_when_it_did() -> None:
    """Making dead letters of a parked lane's events does not change when its lease ended."""
    lane = lane_in(Phase.PARKED)
    lane.begin_ending(2, EPOCH + 60)
    assert lane.ended_at == EPOCH
    assert not lane.covers(lane.live, 3, None)
