"""Batches of a subscriber with an order: in order, whatever fails, and whatever it says of each event."""

import json
from collections import defaultdict
from typing import Any

import pytest

from tests.support.accounts import settled
from tests.support.batches import array, cloud_event, publish_cloud_events, written
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.subscriber import Answer, Received, Subscribe


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
