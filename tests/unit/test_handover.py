"""The rules of a handover: the smallest backlogs first, nothing in flight, everything saved before it is released."""

from collections.abc import Sequence
from typing import Any, cast

import pytest

from eventbus.cluster.handover import Handover
from eventbus.cluster.timing import ClusterTiming
from eventbus.core.errors import JournalUnavailable
from eventbus.delivery.lane.phase import Phase
from eventbus.delivery.shared_pages import SharedPages
from eventbus.services.expiry import LeaseExpiry
from eventbus.services.feed import Feed
from eventbus.services.memberships import Memberships
from eventbus.services.node_subscriptions import NodeSubscriptions
from eventbus.services.sweeper import Sweeper
from tests.support.deadline import eventually
from tests.support.lanes import TAKEN, answer
from tests.support.memory_node import A, B, C, MemoryNode

TIMING = ClusterTiming(in_flight_seconds=5.0, check_interval_seconds=0.01, retry_delay_seconds=0.01)


class Members:
    """What the handover asks the cluster's journal."""

    def __init__(self) -> None:
        self.peers_now = ["peer"]
        self.released: list[str] = []
        self.withdrawn = False

    def peers(self) -> list[str]:
        """Return the peers."""
        return self.peers_now

    def withdraw(self) -> None:
        """Acquire no more."""
        self.withdrawn = True

    def release(self, lanes: Sequence[str]) -> None:
        """Note who was released."""
        self.released += lanes


class NoRetention:
    """Takes note of nothing."""

    def lanes_moved(self) -> None:
        """Do nothing."""


class Scene(MemoryNode):
    """A node that hands over."""

    def __init__(self) -> None:
        super().__init__()
        self.members = Members()
        expiry = LeaseExpiry(self.node, lambda _: None)
        sweeper = Sweeper(self.node, expiry, Memberships(self.node, expiry), 60.0)
        feed = Feed(SharedPages(cast(Any, self.journal), self.dispatcher.recent), self.dispatcher.recent)
        local = NodeSubscriptions(self.node, sweeper, expiry, cast(Any, NoRetention()), feed)
        self.handover = Handover(local, cast(Any, self.members), TIMING)


def test_the_smallest_backlogs_go_first() -> None:
    """What costs the next owner least is moved, and no more than was asked for."""
    scene = Scene()
    for address in (A, B, C):
        scene.lane(address, topics=("busy",) if address != B else ("quiet",))
    scene.publish("busy", "busy")
    scene.handover.hand_over(1)
    eventually(lambda: scene.members.released == [B], 10)
    assert sorted(scene.dispatcher.lanes) == [A, C]
    scene.handover.stop()


def test_what_is_handed_over_is_saved_as_it_is() -> None:
    """The journal's record has the whole backlog, and the lease goes with it."""
    scene = Scene()
    scene.lane(A)
    scene.publish(None, None, None)
    scene.handover.hand_over(1)
    eventually(lambda: scene.members.released == [A], 10)
    assert (scene.journal.records[A].account.pending, scene.journal.records[A].open) == (3, True)
    assert scene.node.leases.get(A, scene.now) is None


def test_a_delivery_in_flight_ends_first() -> None:
    """Until then the lane starts nothing; what was answered is in the record that the next owner reads."""
    scene = Scene()
    lane = scene.lane(A)
    scene.publish(None, None)
    delivery = lane.take(0.0)
    assert delivery is not None
    scene.handover.hand_over(1)
    eventually(lambda: lane.phase is Phase.LEAVING, 10)
    assert (lane.take(0.0), scene.members.released) == (None, [])
    answer(lane, delivery, TAKEN, 0.0)
    eventually(lambda: scene.members.released == [A], 10)
    assert scene.journal.records[A].account.delivered == 1


def test_a_delivery_that_takes_long_keeps_the_lane_here() -> None:
    """After a while the lane stays, and delivers again."""
    scene = Scene()
    lane = scene.lane(A)
    scene.publish(None)
    assert lane.take(0.0) is not None
    scene.handover.hand_over(1)
    eventually(lambda: lane.phase is Phase.LEAVING, 10)
    scene.now = TIMING.in_flight_seconds
    eventually(lambda: lane.phase is Phase.ACTIVE, 10)
    assert (scene.members.released, list(scene.dispatcher.lanes)) == ([], [A])


def test_what_cannot_be_saved_stays() -> None:
    """A lane with changes that the journal does not take is not released."""
    scene = Scene()
    lane = scene.lane(A)
    scene.publish(None)
    scene.journal.failures = [JournalUnavailable("it fails")]
    scene.handover.hand_over(1)
    eventually(lambda: not scene.journal.failures and lane.phase is Phase.ACTIVE, 10)
    assert (scene.members.released, list(scene.dispatcher.lanes)) == ([], [A])


@pytest.mark.parametrize("peers", [[], ["peer"]])
def test_a_node_that_ends_hands_over_all_if_there_are_peers(peers: list[str]) -> None:
    """Without peers the lanes stay, so that the node goes on delivering until it has ended."""
    scene = Scene()
    scene.members.peers_now = peers
    for address in (A, B, C):
        scene.lane(address)
    scene.handover.hand_over_all()
    eventually(lambda: len(scene.members.released) == 3 * len(peers), 10)
    scene.handover.stop()
    assert sorted(scene.members.released) == ([A, B, C] if peers else [])
    assert scene.members.withdrawn is bool(peers)
    assert len(scene.dispatcher.lanes) == (0 if peers else 3)
