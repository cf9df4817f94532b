"""Batches of a subscriber with an order: in order, whatever fails, and whatever it says of each event."""

import json
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.accounts import account, settled
from tests.support.batches import array, cloud_event, publish_cloud_events, written
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.publisher import Publisher
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.repair import RepairClient
from tests.support.server import BusServer
from tests.support.subscriber import Answer, Received, RecordingSubscriber, Subscribe


class Strict:
    """Handles the events of a batch one by one, stops a key at one that fails, and names what it has not handled.

    Each third request fails as a whole, and in each third one event of five fails. ``by_key`` is false where all events
    stop.
    """

    def __init__(self, *, by_key: bool) -> None:
        self._by_key = by_key
        self._requests = 0
        self.handled: dict[str, list[int]] = defaultdict(list)  # numbers of events by key
        self.most_of_a_key = 0  # in one request

    def __call__(self, request: Received) -> Answer:
        """Answer for each event."""
        self._requests += 1
        events = json.loads(request.body)
        keys = [self._key_of(event) for event in events]
        self.most_of_a_key = max(self.most_of_a_key, *(keys.count(key) for key in keys))
        if self._requests % 3 == 0:
            return 500, (), b""
        failed: list[dict[str, Any]] = []
        stopped = set()
        for key, event in zip(keys, events, strict=True):
            number = event["data"]
            if key in stopped or (self._requests % 3 == 1 and number % 5 == 0):
                stopped.add(key)
                failed.append({"id": event["eventbusid"]})
            else:
                self.handled[key].append(number)
        return 200, [("Content-Type", "application/json")], json.dumps({"failed": failed}).encode()

    def _key_of(self, event: dict[str, Any]) -> str:
        return str(event["key"]) if self._by_key else ""


def publish_with_keys(caller: Caller, numbers: range) -> None:
    """Publish an event of each number together, with seven keys in turn."""
    events = [
        cloud_event(number, partitionkey=f"key-{number % 7}", data=number, datacontenttype="application/json")
        for number in numbers
    ]
    response = publish_cloud_events(caller, array(map(written, events)))
    assert response.status == 200, response.text


@pytest.mark.parametrize(("ordered", "keys"), [("key", 7), ("true", 1)])
def test_events_are_handled_in_order_in_batches(caller: Caller, subscribe: Subscribe, ordered: str, keys: int) -> None:
    """Through requests and events that fail each event is handled once, after those before it with its key."""
    responder = Strict(by_key=ordered == "key")
    subscriber = subscribe(responder, batch=20, ordered=ordered, backoff="0.1,0.2", max_in_flight=4)
    for part in range(2):
        publish_with_keys(caller, range(part * 60, part * 60 + 60))
    eventually(settled(caller, subscriber.address, accepted=120, delivered=120), 60)
    assert len(responder.handled) == keys
    for numbers in responder.handled.values():
        assert numbers == sorted(numbers)
    assert sum(map(len, responder.handled.values())) == 120
    assert responder.most_of_a_key > 2


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=NEEDS_REDIS)])
def journal(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, str]]:
    """The setting that says where the journal is: in a file, or on a Redis server."""
    if request.param == "sqlite":
        yield {}
        return
    with RedisServer(tmp_path) as server:
        yield {"EVENTBUS_JOURNAL": server.url}


def test_order_by_key_in_batches_outlives_a_kill(tmp_path: Path, journal: dict[str, str]) -> None:
    """Over a kill under load nothing is lost, and each key's events come first in the journal's order, in batches."""
    with BusServer(tmp_path, journal) as bus, RecordingSubscriber() as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address, ordered="key", batch=5, lease=600)
        publishers = [
            Publisher(
                bus.port, (b"%d" % n for n in range(60)), connections=4, target=f"/sendMessage?key=k{key}"
            ).start()
            for key in range(4)
        ]
        publishers[0].wait_accepted(20)
        bus.kill()
        bus.start()
        accepted = [event for publisher in publishers for event in publisher.join().accepted]
        eventually(lambda: account(caller, subscriber.address)["pending"] == 0, 60)
        kept = RepairClient(bus.port).events(limit=1_000)
    first: dict[str, dict[str, None]] = defaultdict(dict)
    for event in (event for request in subscriber.received for event in json.loads(request.body)):
        first[event["key"]][event["id"]] = None
    assert set(accepted) <= {event for ids in first.values() for event in ids}
    for key, ids in first.items():
        assert [*ids] == [event["id"] for event in kept if event["key"] == key]
    assert max(len(json.loads(request.body)) for request in subscriber.received) > 1
