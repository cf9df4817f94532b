"""Subscribers whose lease ends by itself, and what is shown of them."""

import re
from collections.abc import Sequence
from typing import Any

from tests.support.caller import JSON, Caller
from tests.support.deadline import eventually
from tests.support.subscriber import RecordingSubscriber


def gone_by_itself(
    caller: Caller, subscribers: Sequence[tuple[RecordingSubscriber, bool]], lease: int, events: int
) -> list[str]:
    """Let subscribers register, with ``resume`` or not, and die with so many events pending; the events' ids."""
    for subscriber, resume in subscribers:
        subscriber.down()
        caller.register(subscriber.address, lease=lease, resume=resume)
    ids = [caller.publish(b"%d" % number) for number in range(events)]
    eventually(lambda: not caller.subscribers(), lease + 15)
    return ids


def expired_of(caller: Caller) -> dict[str, dict[str, Any]]:
    """The expired subscribers by address."""
    response = caller.call("GET", "/listSubscribers?expired=true", [JSON])
    assert response.status == 200, response.text
    return {each["address"]: each for each in response.json()["subscribers"]}


def all_expired(caller: Caller, count: int) -> dict[str, dict[str, Any]]:
    """The expired subscribers by address, as soon as there are so many."""
    return eventually(lambda: found if len(found := expired_of(caller)) == count else None, 20) or {}


def states(caller: Caller) -> dict[str, int]:
    """How many subscribers are in each state, by the metrics."""
    text = caller.call("GET", "/metrics").text
    found = re.findall(r'^eventbus_subscribers\{state="(\w+)"\} (\d+)', text, re.MULTILINE)
    return {state: int(count) for state, count in found}
