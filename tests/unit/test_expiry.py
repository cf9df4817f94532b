"""The rules of a lease's end: what is pending waits for the subscriber, becomes dead letters, or is discarded."""

import gevent
import pytest

from eventbus.core.errors import JournalUnavailable, NotOwner
from eventbus.delivery.lane.lane import Lane
from eventbus.services.expiry import LeaseExpiry
from eventbus.services.memberships import Memberships
from eventbus.services.sweeper import Sweeper
from tests.support.deadline import eventually
from tests.support.memory_node import A, B, MemoryNode


class Scene(MemoryNode):
    """A node with leases that expire when the test says."""

    def __init__(self) -> None:
        super().__init__()
        self.expired: list[Lane] = []
        self.expiry = LeaseExpiry(self.node, self.expired.append)
        self.sweeper = Sweeper(self.node, self.expiry, Memberships(self.node, self.expiry), 60.0)


def test_a_lease_expires_when_it_was_not_renewed() -> None:
    """The sweeper expires what is over, and leaves what is not."""
    scene = Scene()
    scene.lane(A, lease=10)
    scene.lane(B, lease=100)
    scene.now = 10.0
    scene.sweeper.sweep()
    eventually(lambda: list(scene.dispatcher.lanes) == [B], 10)
    assert scene.node.leases.get(B, scene.now) is not None


def test_what_is_pending_becomes_dead_letters() -> None:
    """A lane without a kept position ends with all in its account dead, saved, and is announced as expired."""
    scene = Scene()
    lane = scene.lane(A, lease=10)
    scene.publish(None, None, None)
    scene.now = 10.0
    scene.sweeper.sweep()
    eventually(lambda: scene.expired == [lane], 10)
    record = scene.journal.records[A]
    assert (record.account.dead, record.account.pending, record.expired, record.open) == (3, 0, True, False)
    assert sum(len(saved.dead) for saved in scene.journal.checkpoints) == 3


def test_a_position_that_is_kept_waits() -> None:
    """With ``resume`` the lane stays, and is offered what comes."""
    scene = Scene()
    lane = scene.lane(A, lease=10, resume=True)
    scene.now = 10.0
    scene.sweeper.sweep()
    scene.publish(None, None)
    assert (lane.backlog, lane.dead, scene.dispatcher.lanes[A]) == (2, 0, lane)


def test_discarding_closes_the_lane() -> None:
    """All that was pending counts as discarded; a second time there is no lane to discard."""
    scene = Scene()
    lane = scene.lane(A)
    scene.publish(None, None)
    assert scene.expiry.discard(lane) == 2
    assert (lane.discarded, lane.backlog, lane.closed, dict(scene.dispatcher.lanes)) == (2, 0, True, {})
    with pytest.raises(NotOwner):
        scene.expiry.discard(lane)


def test_an_end_that_cannot_be_saved_is_tried_again() -> None:
    """Whoever waits for it is told why meanwhile, and the lane stays until it is saved."""
    scene = Scene()
    lane = scene.lane(A)
    scene.publish(None)
    scene.journal.failures = [JournalUnavailable(f"it fails, {number}") for number in range(1_000)]
    assert scene.expiry.discard_in_time(lane)
    assert not scene.expiry.discard_in_time(lane)
    gevent.idle()
    with pytest.raises(JournalUnavailable, match="it fails"):
        scene.expiry.wait(A)
    assert not lane.closed
    scene.journal.failures.clear()
    scene.expiry.wait(A)
    assert (lane.closed, lane.discarded) == (True, 1)


def test_the_sweeper_wakes_for_a_shorter_lease() -> None:
    """It sleeps until the next lease expires, and looks again when there is one that expires sooner."""
    scene = Scene()
    scene.sweeper.start()
    gevent.idle()
    scene.lane(A, lease=10)
    scene.now = 10.0
    scene.sweeper.wake()
    eventually(lambda: not scene.dispatcher.lanes, 10)
    scene.sweeper.stop()
