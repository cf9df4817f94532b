"""What an operator does in an incident: pauses, resumes, retries at once, and skips."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from eventbus.core.clock import rfc3339
from tests.support.accounts import account, settled
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.repair import RepairClient
from tests.support.responders import Gate, Switch
from tests.support.server import BusServer
from tests.support.subscriber import Answer, Received, RecordingSubscriber, Subscribe

POISON = b"poison"


def refuse_poison(request: Received) -> Answer:
    """Takes everything but one event."""
    return (500 if request.body == POISON else 200), (), b""


@pytest.fixture
def operator(bus: BusServer) -> RepairClient:
    """Asks the shared bus."""
    return RepairClient(bus.port)


@pytest.fixture
def own(tmp_path: Path) -> Iterator[BusServer]:
    """A bus that may be killed."""
    with BusServer(tmp_path) as found:
        yield found


def test_an_ordered_subscriber_is_freed_from_a_poison_event(
    caller: Caller, subscribe: Subscribe, operator: RepairClient
) -> None:
    """Those behind it come in their order once it is skipped, and it is a dead letter that can be delivered again."""
    subscriber = subscribe(refuse_poison, ordered=True)
    first, poison, *rest = [caller.publish(body) for body in (b"1", POISON, b"2", b"3")]
    subscriber.wait_for(lambda found: found.counts[poison] >= 2)
    assert account(caller, subscriber.address)["delivered"] == 1
    eventually(lambda: not caller.subscriber(subscriber.address)["in_flight"], 10)
    done = operator.act("skip", subscriber.address, id=poison)
    assert done["skipped"] + done["in_flight"] == 1
    eventually(settled(caller, subscriber.address, delivered=3, dead=1), 20)
    assert list(dict.fromkeys(request.id for request in subscriber.received)) == [first, poison, *rest]
    (letter,) = operator.dead_letters(address=subscriber.address)
    assert (letter["event"], letter["reason"], letter["last_status"]) == (poison, "skipped", 500)
    assert operator.states(poison) == {subscriber.address: "dead"}
    subscriber.respond = Switch()
    assert operator.replay_dead(address=subscriber.address) == 1
    eventually(settled(caller, subscriber.address, delivered=4, dead=0), 20)


def test_an_ordered_subscriber_frees_itself_by_a_number_of_attempts(
    caller: Caller, subscribe: Subscribe, operator: RepairClient
) -> None:
    """With ``max_attempts=3`` nobody has to skip an event that can never be taken."""
    subscriber = subscribe(refuse_poison, ordered=True, max_attempts=3, backoff="0.1,0.1")
    poison, *rest = [caller.publish(body) for body in (POISON, b"1", b"2")]
    eventually(settled(caller, subscriber.address, delivered=2, dead=1), 20)
    assert [request.id for request in subscriber.received] == [poison] * 3 + rest
    (letter,) = operator.dead_letters(address=subscriber.address)
    assert (letter["event"], letter["reason"]) == (poison, "not delivered in 3 attempts")


def test_a_key_is_freed_from_a_poison_event(caller: Caller, subscribe: Subscribe, operator: RepairClient) -> None:
    """Events with other keys have come meanwhile, and those with its key come when it is skipped."""
    subscriber = subscribe(refuse_poison, ordered="key")
    key = ("ce-partitionkey", "x")
    poison, behind = [caller.publish(body, key, *_event(body)) for body in (POISON, b"1")]
    other = caller.publish(b"2", ("ce-partitionkey", "y"), *_event(b"2"))
    subscriber.wait_for(lambda found: found.counts[other] and found.counts[poison] >= 2)
    assert not subscriber.counts[behind]
    operator.act("skip", subscriber.address, id=poison)
    eventually(settled(caller, subscriber.address, delivered=2, dead=1), 20)


def _event(body: bytes) -> list[tuple[str, str]]:
    return [("ce-id", body.decode()), ("ce-source", "/test"), ("ce-type", "test"), ("ce-specversion", "1.0")]


def test_a_skipped_attempt_that_succeeds_is_delivered(
    caller: Caller, subscribe: Subscribe, operator: RepairClient
) -> None:
    """What is in flight may still come to a good end; then nothing is dead."""
    gate = Gate()
    subscriber = subscribe(gate)
    event = caller.publish()
    subscriber.wait_for(1)
    assert operator.act("skip", subscriber.address, id=event)["in_flight"] == 1
    gate.open()
    eventually(settled(caller, subscriber.address, delivered=1, dead=0), 20)


def test_a_pause_of_an_hour_outlives_a_kill(own: BusServer) -> None:
    """Nothing comes while it lasts, through a renewal, a kill and a restart; all comes once it is resumed."""
    caller, operator = Caller(own.port), RepairClient(own.port)
    with RecordingSubscriber() as subscriber:
        caller.register(subscriber.address, lease=600, ordered=True)
        until = rfc3339(time.time() + 3_600)
        assert operator.act("pause", subscriber.address, until=until)["until"] == until
        ids = [caller.publish(b"%d" % number) for number in range(20)]
        own.kill()
        own.start()
        ids += [caller.publish(b"%d" % number) for number in range(20, 40)]
        shown = caller.register(subscriber.address)
        assert (shown["state"], shown["pending"], shown["pause"]["until"]) == ("paused", 40, until)
        metrics = caller.call("GET", "/metrics").text
        assert f'eventbus_subscriber_state{{state="paused",subscriber="{subscriber.address}"}} 1.0' in metrics
        assert not subscriber.received
        assert operator.act("resume", subscriber.address)["resumed"] is True
        eventually(settled(caller, subscriber.address, delivered=40), 20)
        assert [request.id for request in subscriber.received] == ids


def test_a_retry_at_once_reaches_a_subscriber_that_is_down(
    caller: Caller, subscribe: Subscribe, operator: RepairClient
) -> None:
    """Nobody waits for the backoff, which would take minutes."""
    subscriber = subscribe(backoff="600,600", retry_for=3_600)
    subscriber.down()
    for number in range(5):
        caller.publish(b"%d" % number)
    eventually(lambda: caller.subscriber(subscriber.address)["state"] == "down", 20)
    subscriber.up()
    assert operator.act("retry", subscriber.address)["retried"] >= 1
    eventually(settled(caller, subscriber.address, delivered=5), 20)
