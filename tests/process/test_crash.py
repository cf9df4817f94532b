"""``kill -9`` at any moment loses no accepted event, and no lease."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.caller import Caller
from tests.support.publisher import Publisher
from tests.support.server import BusServer
from tests.support.silent_subscriber import SilentSubscriber
from tests.support.subscriber import RecordingSubscriber

SUBSCRIBERS = 10
#: Seconds that a lease lasts: longer than any of these tests.
LEASE = 3_600
BODY = b"x" * 1_024


def start_subscribers(stack: ExitStack, bus: BusServer) -> list[RecordingSubscriber]:
    """Subscribers that take everything and are registered once."""
    found = [stack.enter_context(RecordingSubscriber(keep_bodies=False)) for _ in range(SUBSCRIBERS)]
    for subscriber in found:
        Caller(bus.port).register(subscriber.address, lease=LEASE)
    return found


def publish_through_kills(bus: BusServer, *, events: int, kills: int, connections: int) -> list[str]:
    """Publish, and kill and restart the bus so often meanwhile; the ids that were accepted."""
    publisher = Publisher(bus.port, (BODY for _ in range(events)), connections=connections, timeout=300)
    publisher.start()
    for kill in range(1, kills + 1):
        publisher.wait_accepted(kill * events // (kills + 2))
        bus.kill()
        bus.start()
    published = publisher.join()
    assert published.refused == 0
    assert published.failed <= 2 * kills * connections  # one kill may break a connection, and what it tries next
    assert len(published.accepted) + published.failed == events
    return published.accepted


def assert_all_arrive(subscribers: list[RecordingSubscriber], accepted: list[str], timeout: float) -> None:
    """Every accepted event reaches every subscriber at least once, and each has an id of its own."""
    for subscriber in subscribers:
        subscriber.wait_for_ids(accepted, timeout)
    assert len(set(accepted)) == len(accepted)


def test_two_kills_lose_nothing(tmp_path: Path) -> None:
    """Killed twice while it is published to, the bus delivers all it accepted; nobody registers again."""
    with ExitStack() as stack:
        bus = stack.enter_context(BusServer(tmp_path))
        subscribers = start_subscribers(stack, bus)
        accepted = publish_through_kills(bus, events=1_500, kills=2, connections=16)
        assert_all_arrive(subscribers, accepted, 60)


@pytest.mark.soak
def test_five_kills_beside_a_black_hole_lose_nothing(tmp_path: Path) -> None:
    """Killed five times under load, with a subscriber that never answers, it delivers all it accepted."""
    with ExitStack() as stack:
        bus = stack.enter_context(BusServer(tmp_path))
        subscribers = start_subscribers(stack, bus)
        hole = stack.enter_context(SilentSubscriber())
        Caller(bus.port).register(hole.address, lease=LEASE, timeout=2)
        accepted = publish_through_kills(bus, events=5_000, kills=5, connections=32)
        assert_all_arrive(subscribers, accepted, 300)
        assert hole.connections > 0


def test_a_lease_outlives_a_kill(tmp_path: Path) -> None:
    """After a kill the list shows the same subscribers with their options, each with a full fresh term."""
    with BusServer(tmp_path) as bus, RecordingSubscriber() as subscriber:
        caller = Caller(bus.port)
        before = caller.register(subscriber.address, lease=600, topic="orders.*", max_in_flight=3, timeout=4)
        bus.kill()
        bus.start()
        after = caller.subscriber(subscriber.address)
        options = ("lease", "topics", "max_in_flight", "timeout", "ordered", "resume")
        assert {name: after[name] for name in options} == {name: before[name] for name in options}
        assert after["expires_at"] >= before["expires_at"]


def test_a_deregistration_outlives_a_kill(tmp_path: Path) -> None:
    """Who deregistered before a kill is not there after it."""
    with BusServer(tmp_path) as bus, RecordingSubscriber() as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address)
        caller.deregister(subscriber.address)
        bus.kill()
        bus.start()
        assert not caller.listed(subscriber.address)
