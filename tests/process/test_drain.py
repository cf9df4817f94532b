"""SIGTERM: the bus takes nothing new, finishes what is under way, and loses nothing."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from gevent.event import Event

from tests.support.answers import TEXT
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.publisher import Publisher
from tests.support.server import BusServer
from tests.support.subscriber import Answer, Received, RecordingSubscriber
from tests.support.wire import Wire

DRAIN_SECONDS = 3
#: Seconds within which it has ended, drain included.
ENDS_WITHIN = DRAIN_SECONDS + 5
#: More than are published before the signal.
EVENTS = 1_000_000


@pytest.fixture
def own_bus(tmp_path: Path) -> Iterator[BusServer]:
    """A bus that may be stopped."""
    with BusServer(tmp_path, {"EVENTBUS_DRAIN_SECONDS": str(DRAIN_SECONDS)}) as server:
        yield server


def once(bus: BusServer) -> None:
    """As a platform stops it: SIGTERM to the master."""
    bus.send(signal.SIGTERM)


def twice(bus: BusServer) -> None:
    """As an impatient person stops it."""
    bus.send(signal.SIGTERM)
    bus.send(signal.SIGTERM)


def whole_group(bus: BusServer) -> None:
    """As some platforms stop it: SIGTERM to master and worker alike."""
    bus.send(signal.SIGTERM, whole_group=True)


@pytest.mark.parametrize("stop", [once, twice, whole_group])
def test_a_stop_under_load_loses_nothing(own_bus: BusServer, stop: Callable[[BusServer], None]) -> None:
    """Stopped under load, with an idle client connected, it ends in time; what was accepted arrives."""
    with RecordingSubscriber() as subscriber, Wire(own_bus.port) as idle:
        Caller(own_bus.port).register(subscriber.address)
        assert idle.request("GET", "/healthz").status == 200
        publisher = Publisher(own_bus.port, (b"%d" % n for n in range(EVENTS)), connections=8).start()
        publisher.wait_accepted(300)
        began = time.monotonic()
        stop(own_bus)
        status, took = own_bus.ended(ENDS_WITHIN), time.monotonic() - began
        publisher.stop()
        published = publisher.join()
        assert (status, "Traceback" in own_bus.log_text()) == (0, False), own_bus.log_text()
        assert took < ENDS_WITHIN
        own_bus.start()
        subscriber.wait_for_ids(published.accepted)


class Gate:
    """Holds every answer back until it is opened."""

    def __init__(self) -> None:
        self._open = Event()

    def __call__(self, _: Received) -> Answer:
        """Answer once the gate is open."""
        self._open.wait()
        return 200, (), b""

    def open(self) -> None:
        """Let all answers go."""
        self._open.set()


def kept_connections(stack: ExitStack, bus: BusServer, count: int) -> Iterator[Wire]:
    """Connections that the bus has already served once, so that they stay when it stops listening."""
    wires = [stack.enter_context(Wire(bus.port)) for _ in range(count)]
    assert {wire.request("GET", "/healthz").status for wire in wires} == {200}
    return iter(wires)


def test_a_draining_bus_accepts_nothing(tmp_path: Path) -> None:
    """While it drains, ``/readyz`` and publishing on kept connections are answered 503 with a sentence."""
    gate = Gate()
    with ExitStack() as stack:
        bus = stack.enter_context(BusServer(tmp_path, {"EVENTBUS_DRAIN_SECONDS": "20"}))
        subscriber = stack.enter_context(RecordingSubscriber(gate))
        Caller(bus.port).register(subscriber.address, timeout=60)
        held = Caller(bus.port).publish()
        subscriber.wait_for(1)
        wires = kept_connections(stack, bus, 60)
        bus.send(signal.SIGTERM)
        eventually(lambda: next(wires).request("GET", "/readyz").status == 503, 1)
        unready = next(wires).request("GET", "/readyz")
        refused = next(wires).request("POST", "/sendMessage", body=b"late")
        gate.open()
        assert (bus.ended(20), subscriber.counts) == (0, {held: 1})
        for answer in (unready, refused):
            assert (answer.status, answer.header("Content-Type")) == (503, TEXT)
            assert answer.text
        assert refused.header("Webhook-Id") is None


def test_a_delivery_under_way_is_finished(own_bus: BusServer) -> None:
    """A subscriber that answers within the drain does not get its event again after a restart."""
    gate = Gate()
    caller = Caller(own_bus.port)
    with RecordingSubscriber(gate) as subscriber:
        caller.register(subscriber.address, timeout=60)
        event = caller.publish()
        subscriber.wait_for(1)
        own_bus.send(signal.SIGTERM)
        with pytest.raises(subprocess.TimeoutExpired):
            own_bus.ended(0.5)
        gate.open()
        assert own_bus.ended(ENDS_WITHIN) == 0
        own_bus.start()
        later = caller.publish()
        subscriber.wait_for_ids([later])
        assert subscriber.counts == {event: 1, later: 1}


def test_a_drain_does_not_wait_for_ever(own_bus: BusServer) -> None:
    """A delivery that is not answered within the drain is left pending, and made after the restart."""
    gate = Gate()
    with RecordingSubscriber(gate) as subscriber:
        Caller(own_bus.port).register(subscriber.address, timeout=60)
        event = Caller(own_bus.port).publish()
        subscriber.wait_for(1)
        assert own_bus.terminate(ENDS_WITHIN) == 0
        gate.open()
        own_bus.start()
        subscriber.wait_for(lambda seen: seen.counts[event] >= 2)
