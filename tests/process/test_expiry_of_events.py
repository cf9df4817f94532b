"""Events expire by the clock of a real bus: over steps of it, a restart, and on the way to a subscriber."""

import json
import time
from datetime import UTC, datetime

import pytest

from eventbus.client import Bus
from tests.process.test_cli_commands import Shell, shell, topic
from tests.process.test_strain_time import HOUR, Clocked, needs_clock, stepped
from tests.support.caller import JSON, Caller
from tests.support.deadline import eventually
from tests.support.subscriber import RecordingSubscriber, Subscribe

__all__ = ["shell", "stepped", "topic"]


def publish(caller: Caller, expires: float | None = None) -> str:
    """Publish an event; its id."""
    query = "" if expires is None else f"?expires={expires}"
    response = caller.call("POST", f"/sendMessage{query}", [JSON], b"{}")
    assert response.status == 200, response.text
    return str(response.json()["id"])


def reasons(caller: Caller) -> dict[str, str]:
    """The reasons of the dead letters, by event."""
    letters = caller.call("GET", "/deadLetters", [JSON]).json()["dead_letters"]
    return {letter["event"]: letter["reason"] for letter in letters}


def pause(caller: Caller, subscriber: RecordingSubscriber) -> None:
    """Pause a subscriber."""
    assert caller.call("POST", f"/pause?address={subscriber.address}").status == 200


def resume(caller: Caller, subscriber: RecordingSubscriber) -> None:
    """Let a subscriber go on, and wait until nothing is pending for it."""
    caller.register(subscriber.address)
    assert caller.call("POST", f"/resume?address={subscriber.address}").status == 200
    eventually(lambda: caller.subscriber(subscriber.address)["pending"] == 0, 30)


@needs_clock
@pytest.mark.parametrize("restarts", [False, True])
def test_a_clock_that_is_set_forward_lets_events_expire(stepped: Clocked, *, restarts: bool) -> None:
    """What would have expired within the hour has, at run time as over a restart; the rest comes."""
    with RecordingSubscriber() as subscriber:
        caller = stepped.caller
        caller.register(subscriber.address, lease=HOUR)
        pause(caller, subscriber)
        ids = [publish(caller, HOUR / 2), publish(caller, 2 * HOUR), publish(caller)]
        if restarts:
            stepped.bus.kill()
            stepped.clock.step(HOUR)
            stepped.bus.start()
        else:
            stepped.step(HOUR, subscriber.address)
        resume(stepped.caller, subscriber)
        assert {request.id for request in subscriber.received} == set(ids[1:])
        assert reasons(stepped.caller) == {ids[0]: "expired"}


@needs_clock
def test_a_clock_that_is_set_back_lets_events_live_longer(stepped: Clocked) -> None:
    """An event of a second is delivered after two: the bus has only its clock."""
    with RecordingSubscriber() as subscriber:
        caller = stepped.caller
        caller.register(subscriber.address, lease=HOUR)
        pause(caller, subscriber)
        published_at = time.monotonic()
        event = publish(caller, 1)
        stepped.step(-HOUR, subscriber.address)
        eventually(lambda: time.monotonic() > published_at + 2, 10)
        resume(caller, subscriber)
        assert [request.id for request in subscriber.received] == [event]
        assert reasons(caller) == {}


def test_a_subscriber_is_told_when_an_event_expires(caller: Caller, subscribe: Subscribe) -> None:
    """By a header, and by an attribute of each element of a batch."""
    plain, batches = subscribe(), subscribe(batch=10)
    shown = caller.call("GET", f"/events/{publish(caller, 60)}", [JSON]).json()["expires_at"]
    for each in (plain, batches):
        each.wait_for(1)
    assert plain.received[0].header("ce-expirytime") == shown
    (element,) = json.loads(batches.received[0].body)
    assert element["expirytime"] == shown


def test_the_command_and_the_client_say_when_events_expire(
    shell: Shell, client: Bus, caller: Caller, subscribe: Subscribe, topic: str
) -> None:
    """One event, and each of many; what has expired is left by a replay of all, which the command says."""
    subscriber = subscribe(topic=topic)
    one = client.event(shell.does("send", topic, "{}", "--expires", "1h").strip())
    assert one.expires_at is not None
    assert abs((one.expires_at - one.at).total_seconds() - HOUR) < 2
    subscriber.wait_for(1)
    pause(caller, subscriber)
    ids = client.publish_many(topic, [1, 2], expires=0.1)
    assert all(client.event(each).expires_at is not None for each in ids)
    eventually(lambda: all(event.expires_at < datetime.now(UTC) for event in map(client.event, ids)), 10)  # type: ignore[operator]
    resume(caller, subscriber)
    replayed = shell.run("dead-letters", "replay", "--address", subscriber.address, "--yes")
    assert "2 events had expired: replay such a dead letter by its --id." in replayed.stderr.decode()
    assert client.replay_dead_letters(address=subscriber.address).expired == 2
    late = shell.run("send", topic, "{}", "--expires", "367d")
    assert late.returncode == 2
    assert "expires must be a number of seconds from 0.1 to 31622400 (366 days)" in late.stderr.decode()
