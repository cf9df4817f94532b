"""``ordered=true``: one at a time, in order; a failing event holds back those behind it."""

from pathlib import Path

from tests.support.accounts import account, settled
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.publisher import Publisher
from tests.support.repair import RepairClient
from tests.support.responders import FailsOnce
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber, Subscribe


def firsts(ids: list[str]) -> list[str]:
    """Each id where it stands first."""
    return list(dict.fromkeys(ids))


def test_a_failing_event_holds_back_those_behind_it(caller: Caller, subscribe: Subscribe) -> None:
    """With every third event failing once, attempts come strictly in order, and none overtakes."""
    responder = FailsOnce()
    subscriber = subscribe(responder, ordered=True)
    ids = [caller.publish(b"%d" % number) for number in range(30)]
    eventually(settled(caller, subscriber.address, accepted=30, delivered=30), 60)
    expected = [event for number, event in enumerate(ids, 1) for event in [event] * (1 + (number % 3 == 0))]
    assert [request.id for request in subscriber.received] == expected
    assert responder.taken == ids


def test_one_is_under_way_at_a_time(caller: Caller, subscribe: Subscribe) -> None:
    """However much waits, an ordered subscriber has one delivery under way, over one connection."""
    subscriber = subscribe(ordered=True, max_in_flight=100)
    subscriber.down()
    ids = [caller.publish(b"%d" % number) for number in range(300)]
    before = subscriber.connections
    subscriber.up()
    caller.register(subscriber.address)
    subscriber.wait_for_ids(ids)
    assert [request.id for request in subscriber.received] == ids
    assert subscriber.connections - before == 1


def test_a_rejected_event_lets_those_behind_it_pass(caller: Caller, subscribe: Subscribe) -> None:
    """An event that is dead holds nothing back any more."""
    subscriber = subscribe(lambda request: (422 if request.body == b"bad" else 200, (), b""), ordered=True)
    ids = [caller.publish(body) for body in (b"1", b"bad", b"2", b"bad", b"3")]
    eventually(settled(caller, subscriber.address, delivered=3, dead=2), 30)
    assert [request.id for request in subscriber.received] == ids


def test_order_outlives_kills(tmp_path: Path) -> None:
    """Over kills under load each event's first attempt comes in the journal's order, failures and all."""
    with BusServer(tmp_path) as bus, RecordingSubscriber(FailsOnce()) as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address, ordered=True, lease=600)
        publisher = Publisher(bus.port, (b"%d" % number for number in range(60)), connections=4).start()
        for kill in (1, 2):
            publisher.wait_accepted(15 * kill)
            subscriber.wait_for(4 * kill)
            bus.kill()
            bus.start()
        accepted = publisher.join().accepted
        subscriber.wait_for_ids(accepted, 120)
        journal = [event["id"] for event in RepairClient(bus.port).events(limit=1_000)]
        eventually(lambda: account(caller, subscriber.address)["pending"] == 0, 30)
        assert set(accepted) <= set(journal)
        assert firsts([request.id for request in subscriber.received]) == journal


def test_a_replay_is_in_order(caller: Caller, subscribe: Subscribe, bus: BusServer) -> None:
    """A replay to an ordered subscriber is in order itself, and live events come after it."""
    responder = FailsOnce()
    subscriber = subscribe(responder, ordered=True)
    ids = [caller.publish(b"%d" % number) for number in range(12)]
    eventually(settled(caller, subscriber.address, delivered=12), 60)
    subscriber.down()
    assert RepairClient(bus.port).replay(subscriber.address, ids[0]) == 12
    live = [caller.publish(b"live") for _ in range(6)]
    subscriber.received.clear()
    responder.seen.clear()
    responder.taken.clear()
    subscriber.up()
    caller.register(subscriber.address)
    eventually(settled(caller, subscriber.address, accepted=30, delivered=30), 60)
    assert responder.taken == ids + live
    assert firsts([request.id for request in subscriber.received]) == ids + live
