"""Who puts dead letters back can ask what became of them, and nothing of what was before is lost."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.support.answers import assert_problem
from tests.support.caller import Caller
from tests.support.cluster import LEASE, cluster_on
from tests.support.deadline import eventually
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.repair import RepairClient
from tests.support.responders import Switch
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber

DEAD = 4


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[BusServer]:
    """A bus of its own, which may be killed."""
    with BusServer(tmp_path) as found:
        yield found


@pytest.fixture
def repair(bus: BusServer) -> RepairClient:
    """Who looks and mends."""
    return RepairClient(bus.port)


class Rejecting:
    """A subscriber whose events are all dead, and which answers by ``switch`` from then on."""

    def __init__(self, stack: ExitStack, caller: Caller) -> None:
        self.switch = Switch()
        self.switch.status = 422
        self.subscriber = stack.enter_context(RecordingSubscriber(self.switch))
        caller.register(self.subscriber.address, lease=LEASE)


@pytest.fixture
def pair(bus: BusServer, repair: RepairClient) -> Iterator[tuple[Rejecting, Rejecting]]:
    """Two of them."""
    with ExitStack() as stack:
        found = Rejecting(stack, Caller(bus.port)), Rejecting(stack, Caller(bus.port))
        for number in range(DEAD):
            Caller(bus.port).publish(b"%d" % number)
        eventually(lambda: len(repair.dead_letters()) == 2 * DEAD, 30)
        yield found


def replayed(repair: RepairClient, **which: Any) -> str:
    """Put dead letters back; the replay's id."""
    said = repair.answer("POST", "/deadLetters/replay", **which)
    assert said["outcome"] == f"/deadLetters/replays/{said['replay']}"
    return str(said["replay"])


def counts(repair: RepairClient, replay: str) -> dict[str, int]:
    """What became of a replay, but for what there is none of."""
    said = repair.answer("GET", f"/deadLetters/replays/{replay}")
    assert said["replay"] == replay
    return {name: value for name, value in said.items() if isinstance(value, int) and value}


def test_what_became_of_a_replay_can_be_asked(
    bus: BusServer, repair: RepairClient, pair: tuple[Rejecting, Rejecting]
) -> None:
    """So many are delivered, so many dead again; a restart in between, even by kill, changes nothing of that."""
    pair[0].switch.status = 503
    replay = replayed(repair, all="true")
    eventually(lambda: counts(repair, replay) == {"replayed": 2 * DEAD, "dead_again": DEAD, "pending": DEAD}, 30)
    bus.kill()
    bus.start()
    assert counts(repair, replay) == {"replayed": 2 * DEAD, "dead_again": DEAD, "pending": DEAD}
    pair[0].switch.status = 200
    eventually(lambda: counts(repair, replay) == {"replayed": 2 * DEAD, "dead_again": DEAD, "delivered": DEAD}, 30)


def test_what_was_before_a_replay_is_not_lost(repair: RepairClient, pair: tuple[Rejecting, Rejecting]) -> None:
    """The attempts go on counting over replays, in the event and in the dead letter; its first one keeps its time."""
    rejecting = pair[0]
    (before, *_) = repair.dead_letters(address=rejecting.subscriber.address)
    letter = before
    for times in (2, 3):
        replay = replayed(repair, id=letter["id"])
        eventually(lambda replay=replay: counts(repair, replay) == {"replayed": 1, "dead_again": 1}, 30)
        letter = repair.dead_letters(address=rejecting.subscriber.address)[-1]
        kept = [before[name] for name in ("event", "first_attempt_at")]
        assert [letter[name] for name in ("event", "first_attempt_at", "attempts")] == [*kept, times]
        assert rejecting.subscriber.received[-1].header("Eventbus-Attempt") == str(times)
    rejecting.switch.status = 503
    replayed(repair, id=letter["id"])
    eventually(lambda: attempts(repair, letter["event"]) > 3, 30)


def attempts(repair: RepairClient, event: str) -> int:
    """How often a delivery of an event that waits has been attempted, as the event tells."""
    return max(int(delivery.get("attempts", 0)) for delivery in repair.event(event)["deliveries"])


def test_several_calls_count_for_one_replay(repair: RepairClient, pair: tuple[Rejecting, Rejecting]) -> None:
    """Whoever puts back one after the other names the first one's replay; one that is not known is 404."""
    for each in pair:
        each.switch.status = 200
    first, second, *_ = repair.dead_letters()
    replay = replayed(repair, id=first["id"])
    assert replayed(repair, id=second["id"], replay=replay) == replay
    eventually(lambda: counts(repair, replay) == {"replayed": 2, "delivered": 2}, 30)
    assert_problem(repair.ask("POST", "/deadLetters/replay", all="true", replay="nobody's"), 404)
    assert_problem(repair.ask("GET", "/deadLetters/replays/nobody's"), 404)
    assert len(repair.dead_letters()) == 2 * DEAD - 2


def test_what_is_given_up_is_told_and_nothing_put_back_is_no_replay(
    bus: BusServer, repair: RepairClient, pair: tuple[Rejecting, Rejecting]
) -> None:
    """What was pending of a replay when its subscriber deregistered is discarded."""
    for each in pair:
        each.switch.status = 503
    replay = replayed(repair, all="true")
    for each in pair:
        Caller(bus.port).deregister(each.subscriber.address)
    eventually(lambda: counts(repair, replay) == {"replayed": 2 * DEAD, "discarded": 2 * DEAD}, 30)
    nothing = repair.answer("POST", "/deadLetters/replay", all="true")
    assert nothing == {"replayed": 0, "expired": 0, "replay": None, "outcome": None}


@NEEDS_REDIS
def test_one_replay_counts_what_all_nodes_put_back(tmp_path: Path) -> None:
    """Dead letters of subscribers that two nodes have are one replay, which any of them tells of."""
    with RedisServer(tmp_path) as redis, cluster_on(tmp_path, redis, [redis.url] * 2) as cluster, ExitStack() as stack:
        callers, menders = cluster.callers(), [RepairClient(node.port) for node in cluster.nodes]
        pair = [Rejecting(stack, caller) for caller in callers]
        callers[0].publish(b"{}")
        eventually(lambda: len(menders[0].dead_letters()) == 2, 30)
        pair[0].switch.status = 200
        replay = replayed(menders[1], all="true")
        told = {"replayed": 2, "delivered": 1, "dead_again": 1}
        eventually(lambda: [counts(repair, replay) for repair in menders] == [told, told], 30)
