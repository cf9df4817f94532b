"""Many order keys, of which one in twenty fails: the others go on, and what the failing ones hold back is bounded."""

import json
from pathlib import Path

import pytest

from tests.support.accounts import account, settled
from tests.support.caller import JSON, Caller
from tests.support.deadline import eventually
from tests.support.server import BusServer
from tests.support.subscriber import Answer, Received, RecordingSubscriber

#: One key in so many fails.
FAILING = 20
BATCH = "application/cloudevents-batch+json"


def publish(caller: Caller, keys: int, rounds: int) -> list[list[str]]:
    """Publish an event of each key, round by round; the ids of each round, by key."""
    ids = []
    for number in range(rounds):
        events = [
            {"specversion": "1.0", "id": f"{number}-{key}", "source": "/t", "type": "t", "partitionkey": f"{key}"}
            for key in range(keys)
        ]
        response = caller.call("POST", "/sendMessage", [("Content-Type", BATCH), JSON], json.dumps(events).encode())
        ids.append(response.json()["ids"])
    return ids


@pytest.mark.parametrize(
    ("keys", "rounds"), [(2_000, 3), pytest.param(10_000, 10, marks=pytest.mark.soak)], ids=["short", "long"]
)
def test_failing_keys_leave_the_others_alone(tmp_path: Path, keys: int, rounds: int) -> None:
    """All events of the other keys come while those keys fail, of which each is sent its first event alone."""
    failing = True

    def respond(request: Received) -> Answer:
        fails = failing and int(request.header("Eventbus-Key") or 0) % FAILING == 0
        return 500 if fails else 200, (), b""

    with BusServer(tmp_path) as bus, RecordingSubscriber(respond, keep_bodies=False) as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address, ordered="key", lease=3_600, max_in_flight=64)
        ids = publish(caller, keys, rounds)
        held = range(0, keys, FAILING)
        good = [event for one in ids for key, event in enumerate(one) if key % FAILING]
        eventually(lambda: account(caller, subscriber.address)["delivered"] == len(good), 300)
        assert set(good) <= set(subscriber.counts)
        assert set(subscriber.counts) - set(good) <= {ids[0][key] for key in held}
        eventually(lambda: caller.subscriber(subscriber.address)["held_keys"] == len(held), 30)
        bus.kill()
        bus.start()
        eventually(lambda: caller.subscriber(subscriber.address)["held_keys"] == len(held), 60)
        failing = False
        eventually(settled(caller, subscriber.address, delivered=keys * rounds), 300)
        assert caller.subscriber(subscriber.address)["oldest_held_key"] is None
