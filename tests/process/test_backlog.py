"""Memory is bounded: what cannot be delivered yet waits on disk, and costs its own lane alone."""

from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.caller import Caller
from tests.support.publisher import publish_all
from tests.support.server import BusServer
from tests.support.silent_subscriber import SilentSubscriber
from tests.support.subscriber import RecordingSubscriber

MIB = 1_048_576
#: Seconds that a lease lasts: longer than any of these tests.
LEASE = 3_600
BODY = b"x" * 1_024


@pytest.mark.parametrize(("events", "seconds"), [(10_000, 120), pytest.param(200_000, 1_200, marks=pytest.mark.soak)])
def test_a_backlog_stays_on_disk(tmp_path: Path, events: int, seconds: float) -> None:
    """However much waits for a subscriber that is down, the worker stays small, and all arrives later."""
    with BusServer(tmp_path) as bus, RecordingSubscriber(keep_bodies=False) as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address, lease=LEASE)
        subscriber.down()
        published = publish_all(bus.port, (BODY for _ in range(events)), timeout=seconds)
        assert (len(published.accepted), published.refused, published.failed) == (events, 0, 0)
        assert bus.resident_bytes() < 200 * MIB
        found = caller.subscriber(subscriber.address)
        assert found["backlog"] + found["in_flight"] == events
        subscriber.up()
        caller.register(subscriber.address)
        subscriber.wait_for_ids(published.accepted, seconds)
        assert bus.resident_bytes() < 200 * MIB


@pytest.mark.parametrize(("events", "seconds"), [(1_000, 60), pytest.param(5_000, 300, marks=pytest.mark.soak)])
def test_black_hole_costs_only_its_own_lane(tmp_path: Path, events: int, seconds: float) -> None:
    """Ten subscribers get everything while an eleventh accepts and never answers; memory is flat."""
    with ExitStack() as stack:
        bus = stack.enter_context(BusServer(tmp_path))
        caller = Caller(bus.port)
        hole = stack.enter_context(SilentSubscriber())
        subscribers = [stack.enter_context(RecordingSubscriber(keep_bodies=False)) for _ in range(10)]
        for address in (hole.address, *(subscriber.address for subscriber in subscribers)):
            caller.register(address, lease=LEASE)
        before = bus.resident_bytes()
        published = publish_all(bus.port, (BODY for _ in range(events)), timeout=seconds)
        assert (len(published.accepted), published.refused, published.failed) == (events, 0, 0)
        for subscriber in subscribers:
            subscriber.wait_for_ids(published.accepted, seconds)
        assert bus.resident_bytes() < before + 64 * MIB
        assert hole.connections > 0
        assert caller.subscriber(hole.address)["delivered"] == 0
