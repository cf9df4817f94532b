"""What the bus starts, it stops: nothing of it works on after a drain."""

import logging
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Message, Terms
from eventbus.core.settings import Settings
from eventbus.journal.sqlite import SqliteJournal
from eventbus.services.bus import Bus
from tests.support.deadline import eventually
from tests.support.lanes import TAKEN
from tests.support.scripted import ScriptedTransport

#: Seconds of a lease: shorter than a client may ask for, so that it is over soon.
LEASE_SECONDS = 0.3


@pytest.fixture
def bus(tmp_path: Path) -> Iterator[Bus]:
    """A bus with a subscriber, and an attempt in flight to it."""
    found = Bus(Settings(drain_seconds=10), SqliteJournal(str(tmp_path / "bus.db")), ScriptedTransport())
    found.start()
    found.register(parse_address("127.0.0.1:8000"), Terms(lease=LEASE_SECONDS))
    found.publish([Message(new_event_id(), None, b"", b"", found.clock.wall())])
    yield found
    found.stop()


def transport_of(bus: Bus) -> ScriptedTransport:
    """Return the transport that answers as the test says."""
    transport = bus.dispatcher._transport  # noqa: SLF001 - it was given there
    assert isinstance(transport, ScriptedTransport)
    return transport


def test_no_lease_expires_while_the_bus_drains_or_after_it(bus: Bus, caplog: pytest.LogCaptureFixture) -> None:
    """A drain that is longer than a lease says only that it drained: the next process has the lease."""
    transport, (lane,) = transport_of(bus), bus.subscribers()
    eventually(lambda: transport.held, 10)
    caplog.set_level(logging.INFO)
    caplog.clear()
    draining = gevent.spawn(bus.drain)
    eventually(lambda: bus.clock.monotonic() > lane.lease.ends + LEASE_SECONDS, 10)
    assert not draining.ready()
    transport.answer(transport.held, TAKEN)
    draining.get(timeout=10)
    drained_at = bus.clock.monotonic()
    eventually(lambda: bus.clock.monotonic() > drained_at + 2 * LEASE_SECONDS, 10)
    assert [record.message for record in caplog.records] == [
        "draining: 1 deliveries under way get up to 10 s",
        "drained",
    ]
    assert (lane.delivered, lane.dead) == (1, 0)


def test_a_stopped_bus_leaves_no_greenlet_behind(bus: Bus) -> None:
    """Each service ends its greenlets, in the reverse of the order in which they began."""
    stopped = []
    for service in bus._services:  # noqa: SLF001 - there is no other way to see the order
        stop = service.stop
        service.stop = lambda service=service, stop=stop: (stopped.append(service), stop())  # type: ignore[method-assign]
    transport_of(bus).always = TAKEN
    bus.stop()
    assert stopped == list(reversed(bus._services))  # noqa: SLF001
    greenlets = [value for service in stopped for value in vars(service).values() if isinstance(value, gevent.Greenlet)]
    assert greenlets
    assert all(greenlet.dead for greenlet in greenlets)
