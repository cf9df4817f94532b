"""The rules of recovery: a lane is offered what it had not been offered, once, and nothing after its end."""

from typing import Any, cast

from eventbus.core.records import Recovered
from eventbus.delivery.lane.lane import Lane
from eventbus.services.recovery import adopt, restore
from tests.support.lanes import EPOCH
from tests.support.memory_node import A, B, MemoryNode, backlogs, ended


def restored(scene: MemoryNode, recovered: Recovered) -> list[Lane]:
    """Restore what was recovered."""
    return restore(recovered, cast(Any, scene.journal), scene.dispatcher, scene.rules, scene.clock)


def test_a_lane_is_offered_what_came_after_its_last_checkpoint() -> None:
    """Of the events after ``scanned``, those that match its topics are pending."""
    scene = MemoryNode()
    records = scene.record(A, topics=("a",)), scene.record(B)
    scene.journal.publish("a", "b", "a", "a")
    lanes = restored(scene, scene.recovered(*records, scene.record("127.0.0.1:8003"), scanned=2))
    assert backlogs(lanes[:2]) == {A: 2, B: 2}
    assert scene.dispatcher.recent.newest == 4


def test_each_lease_gets_its_full_time_again() -> None:
    """Nobody could renew while the bus was away."""
    scene = MemoryNode()
    record = scene.record(A, lease=30)
    scene.now = 1_000.0
    (lane,) = restored(scene, scene.recovered(record, scanned=0))
    assert lane.lease.ends == 1_030.0


def test_a_lane_whose_lease_has_ended_gets_nothing_new() -> None:
    """It keeps what is pending, and events after the restart go past it; one with a kept position gets them."""
    scene = MemoryNode()
    parked = ended(scene.record(A, resume=True), EPOCH)
    over = ended(scene.record(B), EPOCH)
    lanes = restored(scene, scene.recovered(parked, over, scanned=0))
    scene.publish(None)
    assert backlogs(lanes) == {A: 1, B: 0}
    assert [lane.durable for lane in lanes] == [True, False]


def test_an_adopted_lane_misses_nothing() -> None:
    """It is offered what came since its last owner saved it, and its next registration is saved, whatever it asks."""
    scene = MemoryNode()
    record = scene.record(A)
    scene.publish(None, None, None)
    (lane,) = adopt([(record, 0)], cast(Any, scene.journal), scene.dispatcher, scene.rules, scene.clock)
    scene.publish(None)
    assert lane.backlog == 4
    assert not lane.durable
