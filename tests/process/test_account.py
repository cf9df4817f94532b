"""Nothing vanishes: for each subscriber accepted = pending + delivered + dead + discarded, and it can be asked for."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.support.accounts import account, holds, settled
from tests.support.answers import assert_problem
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.repair import RepairClient
from tests.support.responders import Switch, always
from tests.support.server import BusServer
from tests.support.subscriber import Answer, Received, RecordingSubscriber, Subscribe


def kill(bus: BusServer) -> None:
    """End it without a word."""
    bus.kill()


def terminate(bus: BusServer) -> None:
    """Stop it as it likes to be stopped."""
    assert bus.terminate() == 0


RESTARTS = pytest.mark.parametrize("end", [kill, terminate])


@pytest.fixture
def own_bus(tmp_path: Path) -> Iterator[BusServer]:
    """A bus that may be stopped."""
    with BusServer(tmp_path, {"EVENTBUS_DRAIN_SECONDS": "2"}) as server:
        yield server


@pytest.fixture
def repair(bus: BusServer) -> RepairClient:
    """Looks into the shared bus."""
    return RepairClient(bus.port)


def numbers(
    *, accepted: int, pending: int, delivered: int, dead: int, discarded: int, filtered: int = 0
) -> dict[str, int]:
    """A whole account, to compare with."""
    return {
        "accepted": accepted,
        "pending": pending,
        "delivered": delivered,
        "dead": dead,
        "discarded": discarded,
        "filtered": filtered,
    }


def by_body(request: Received) -> Answer:
    """Answer with the status that the body asks for."""
    return int(request.body), (), b""


def test_the_account_adds_up_in_every_state(caller: Caller, repair: RepairClient, subscribe: Subscribe) -> None:
    """Delivered, failing, rejected and discarded events are all told of, and add up to what was accepted."""
    subscriber = subscribe(by_body)
    for status in (200, 500, 422, 200, 422, 500, 422):
        caller.publish(b"%d" % status)
    address = subscriber.address
    eventually(holds(caller, address, accepted=7, pending=2, delivered=2, dead=3, discarded=0), 30)
    assert repair.discard_dead(address=address) == 3
    assert account(caller, address) == numbers(accepted=7, pending=2, delivered=2, dead=0, discarded=3)
    subscriber.respond = always(200)
    eventually(settled(caller, address, accepted=7, delivered=4, dead=0, discarded=3), 60)


def test_what_waits_for_a_subscriber_that_is_down_is_pending(caller: Caller, subscribe: Subscribe) -> None:
    """Events for a subscriber that is down are pending, from the moment each publish is answered."""
    subscriber = subscribe()
    subscriber.down()
    for number in range(1, 21):
        caller.publish(b"%d" % number)
        assert account(caller, subscriber.address) == numbers(
            accepted=number, pending=number, delivered=0, dead=0, discarded=0
        )


def test_deregistering_discards_what_was_pending(caller: Caller, subscribe: Subscribe) -> None:
    """The account goes on where it stopped when an address registers again: what was pending is discarded."""
    subscriber = subscribe()
    subscriber.down()
    for number in range(5):
        caller.publish(b"%d" % number)
    caller.deregister(subscriber.address)
    subscriber.up()
    caller.register(subscriber.address)
    assert account(caller, subscriber.address) == numbers(accepted=5, pending=0, delivered=0, dead=0, discarded=5)
    caller.publish()
    eventually(settled(caller, subscriber.address, accepted=6, delivered=1, discarded=5), 30)


def test_a_replay_is_accepted_once_more(caller: Caller, repair: RepairClient, subscribe: Subscribe) -> None:
    """Each event that is replayed counts as accepted again, and is delivered again."""
    subscriber = subscribe()
    first = caller.publish()
    caller.publish()
    eventually(settled(caller, subscriber.address, accepted=2, delivered=2), 30)
    assert repair.replay(subscriber.address, first) == 2
    eventually(settled(caller, subscriber.address, accepted=4, delivered=4), 30)


@RESTARTS
def test_the_account_outlives_a_restart(own_bus: BusServer, end: Callable[[BusServer], None]) -> None:
    """After a restart the account is what it was, but that what was delivered at the last moment may come again."""
    caller, repair = Caller(own_bus.port), RepairClient(own_bus.port)
    with RecordingSubscriber(by_body) as subscriber:
        address = subscriber.address
        caller.register(address)
        for status in (200, 422, 422, 200, 500, 200):
            caller.publish(b"%d" % status)
        eventually(holds(caller, address, accepted=6, delivered=3, dead=2, pending=1), 30)
        assert repair.discard_dead(id=repair.dead_letters()[0]["id"]) == 1
        before = account(caller, address)
        end(own_bus)
        own_bus.start()
        after = account(caller, address)
        assert before == after == numbers(accepted=6, pending=1, delivered=3, dead=1, discarded=1)
        subscriber.respond = always(200)
        eventually(settled(caller, address, accepted=6, delivered=4, dead=1, discarded=1), 60)


@RESTARTS
def test_a_backlog_outlives_a_restart(own_bus: BusServer, end: Callable[[BusServer], None]) -> None:
    """What was pending at the end is pending after it, and arrives once where nothing had been sent."""
    caller = Caller(own_bus.port)
    with RecordingSubscriber() as subscriber:
        caller.register(subscriber.address)
        subscriber.down()
        ids = [caller.publish(b"%d" % number) for number in range(300)]
        end(own_bus)
        own_bus.start()
        assert account(caller, subscriber.address)["pending"] == 300
        subscriber.up()
        caller.register(subscriber.address)
        subscriber.wait_for_ids(ids)
        eventually(settled(caller, subscriber.address, accepted=300, delivered=300), 30)
        assert subscriber.counts == dict.fromkeys(ids, 1)


def test_what_became_of_an_event_can_be_asked_for(caller: Caller, repair: RepairClient, subscribe: Subscribe) -> None:
    """``GET /events/ID`` right after the publish tells the state for each subscriber that it is for."""
    taking, waiting, rejecting = subscribe(), subscribe(), subscribe(always(422))
    subscribe(topic="another")
    waiting.down()
    event = caller.publish(b'{"a":1}', ("Content-Type", "application/json"), topic="orders.created")
    told = repair.event(event)
    assert (told["id"], told["topic"], told["body"]) == (event, "orders.created", {"text": '{"a":1}'})
    assert told["headers"] == {"Content-Type": "application/json"}
    assert {delivery["address"] for delivery in told["deliveries"]} == {
        taking.address, waiting.address, rejecting.address
    }  # fmt: skip
    assert repair.states(event)[waiting.address] == "pending"
    eventually(lambda: repair.states(event)[taking.address] == "delivered", 30)
    eventually(lambda: repair.states(event)[rejecting.address] == "dead", 30)
    repair.discard_dead(address=rejecting.address)
    caller.deregister(waiting.address)
    assert repair.states(event) == {
        taking.address: "delivered",
        waiting.address: "discarded",
        rejecting.address: "discarded",
    }


def test_an_event_is_known_at_once_whatever_becomes_of_it(
    caller: Caller, repair: RepairClient, subscribe: Subscribe
) -> None:
    """No event is ever without a state: right after each of many publishes it is pending or delivered."""
    subscriber = subscribe()
    seen = {repair.states(caller.publish())[subscriber.address] for _ in range(100)}
    assert seen <= {"pending", "delivered"}
    eventually(settled(caller, subscriber.address, accepted=100, delivered=100), 30)


def test_a_pending_delivery_tells_its_attempts(caller: Caller, repair: RepairClient, subscribe: Subscribe) -> None:
    """A delivery that is tried again says how often it was, how it failed, and when it is due."""
    subscriber = subscribe(switch := Switch(500))
    event = caller.publish()
    subscriber.wait_for(lambda seen: seen.counts[event] >= 2)
    eventually(lambda: repair.event(event)["deliveries"][0].get("attempts", 0) >= 2, 30)
    (delivery,) = repair.event(event)["deliveries"]
    assert (delivery["state"], delivery["last_status"], delivery["last_error"]) == ("pending", 500, "answered 500")
    assert delivery["next_attempt_at"]
    switch.status = 200
    eventually(lambda: repair.states(event) == {subscriber.address: "delivered"}, 60)


def test_a_dead_delivery_tells_its_attempts(caller: Caller, repair: RepairClient, subscribe: Subscribe) -> None:
    """How many there were, and how the last one failed; nothing is due any more."""
    subscriber = subscribe(Switch(500), max_attempts=2, backoff="0.1,0.1")
    event = caller.publish()
    eventually(lambda: repair.states(event) == {subscriber.address: "dead"}, 30)
    (delivery,) = repair.event(event)["deliveries"]
    assert (delivery["attempts"], delivery["last_status"], delivery["last_error"]) == (2, 500, "answered 500")
    assert "next_attempt_at" not in delivery


def test_an_event_that_is_not_there_is_404(repair: RepairClient) -> None:
    """An id that no event has is 404 with a sentence."""
    assert_problem(repair.ask("GET", "/events/01890000-0000-7000-8000-000000000000"), 404)
