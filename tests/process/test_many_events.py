"""A million events that nobody takes stay on disk: the worker stays small, and starts again at once."""

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.accounts import account
from tests.support.caller import Caller
from tests.support.publisher import publish_all
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber

MIB = 1_048_576
LINES = 5_000
#: Bytes in one event.
SIZE = 100
#: Seconds from the start of the process to ``/readyz``.
STARTS_WITHIN = 3.0


def batches(count: int) -> Iterator[bytes]:
    """So many batches of numbered events, each event as JSON of 100 bytes."""
    for batch in range(count):
        yield b"\n".join(b'{"n":%-94d}' % (batch * LINES + number) for number in range(LINES))


def resident_and_pending(bus: BusServer, address: str) -> tuple[float, int]:
    """MiB that the worker holds in RAM, and what is pending for the subscriber."""
    return bus.resident_bytes() / MIB, account(Caller(bus.port), address)["pending"]


def fill(bus: BusServer, address: str, events: int) -> None:
    """Publish so many events for a subscriber that is down, and look at what that costs."""
    published = publish_all(
        bus.port, batches(events // LINES), connections=2, timeout=900, target="/sendMessage?batch=lines"
    )
    assert (len(published.accepted), published.refused, published.failed) == (events // LINES, 0, 0)
    resident, pending = resident_and_pending(bus, address)
    print(f"{events} events: {resident:.0f} MiB resident, {bus.journal.stat().st_size / MIB:.0f} MiB on disk")  # noqa: T201 - figures for whoever reads the run
    assert pending == events
    assert resident < 200


def restart(bus: BusServer) -> float:
    """Kill it and start it again; seconds until it was ready."""
    bus.kill()
    began = time.monotonic()
    bus.start()
    return time.monotonic() - began


@pytest.mark.parametrize("events", [50_000, pytest.param(1_000_000, marks=pytest.mark.soak)])
def test_events_that_nobody_takes_stay_on_disk(tmp_path: Path, events: int) -> None:
    """However many events wait, memory stays below 200 MiB, and a start within three seconds finds all of them."""
    assert len(next(batches(1)).splitlines()[0]) == SIZE
    with BusServer(tmp_path) as bus, RecordingSubscriber(keep_bodies=False) as subscriber:
        Caller(bus.port).register(subscriber.address, lease=3_600)
        subscriber.down()
        fill(bus, subscriber.address, events)
        took = restart(bus)
        resident, pending = resident_and_pending(bus, subscriber.address)
        print(f"started in {took:.2f} s with {pending} events pending, {resident:.0f} MiB resident")  # noqa: T201 - figures for whoever reads the run
        assert pending == events
        assert resident < 200
        assert took < STARTS_WITHIN or events < 1_000_000
        subscriber.up()
        Caller(bus.port).register(subscriber.address)
        subscriber.wait_for(1_000, 60)
        assert bus.resident_bytes() < 200 * MIB
