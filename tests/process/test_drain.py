"""SIGTERM: the bus takes nothing new, finishes what is under way, and loses nothing."""

import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path
from socket import SO_RCVBUF, SOL_SOCKET, socket

import pytest

from tests.support.answers import TEXT
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.publisher import Publisher
from tests.support.raw_client import RawConnection
from tests.support.repair import RepairClient
from tests.support.responders import Gate
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber

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
    with RecordingSubscriber() as subscriber, RawConnection(own_bus.port) as idle:
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


def kept_connections(stack: ExitStack, bus: BusServer, count: int) -> Iterator[RawConnection]:
    """Connections that the bus has already served once, so that they stay when it stops listening."""
    wires = [stack.enter_context(RawConnection(bus.port)) for _ in range(count)]
    assert {connection.request("GET", "/healthz").status for connection in wires} == {200}
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


#: An answer that makes a dead letter.
UNWANTED = (422, (), b"")
#: What changes something, by method and path; A is a subscriber, B is not registered, L is a dead letter.
CHANGES = (
    ("POST", "/registerAndKeepAlive?address={A}"),
    ("POST", "/registerAndKeepAlive?address={A}&topic=other"),
    ("POST", "/registerAndKeepAlive?address={B}&from=earliest"),
    ("POST", "/replay?address={A}&from=earliest"),
    ("POST", "/deadLetters/replay?address={A}"),
    ("DELETE", "/deadLetters?id={L}"),
    ("DELETE", "/deregister?address={A}"),
    ("DELETE", "/deregister?address={B}"),
    ("POST", "/sendMessage"),
)


def test_nothing_changes_while_a_bus_drains(tmp_path: Path) -> None:
    """Each change, and its repetition, is answered 503 from the signal to the end; after the restart none was made."""
    gate = Gate()
    with ExitStack() as stack:
        bus = stack.enter_context(BusServer(tmp_path, {"EVENTBUS_DRAIN_SECONDS": "30"}))
        subscriber = stack.enter_context(
            RecordingSubscriber(lambda r: gate(r) if r.body == b"held" else (422, (), b""))
        )
        caller, repair = Caller(bus.port), RepairClient(bus.port)
        caller.register(subscriber.address, timeout=60)
        caller.publish(b"dead")
        letter = eventually(repair.dead_letters, 10)[0]["id"]
        caller.publish(b"held")
        subscriber.wait_for(2)
        before = caller.subscriber(subscriber.address)
        wires = kept_connections(stack, bus, 60)
        bus.send(signal.SIGTERM)
        eventually(lambda: next(wires).request("GET", "/readyz").status == 503, 5)
        values = {"A": subscriber.address, "B": "127.0.0.1:9", "L": letter}
        refused = [
            next(wires).request(method, target.format_map(values), body=b"x" if "send" in target else None)
            for method, target in CHANGES * 2
        ]
        gate.open()
        assert bus.ended(30) == 0
        assert {answer.status for answer in refused} == {503}, refused
        assert all(answer.header("Retry-After") and "draining" in answer.text for answer in refused)
        bus.start()
        after = caller.subscriber(subscriber.address)
        kept = ("address", "topics", "registered_at", "accepted", "dead", "discarded")
        assert [after[name] for name in kept] == [before[name] for name in kept]
        assert [kept["id"] for kept in repair.dead_letters()] == [letter]
        assert [one["address"] for one in caller.subscribers()] == [subscriber.address]
        assert len(repair.events()) == 2


def test_what_is_answered_with_success_at_the_end_is_kept(own_bus: BusServer) -> None:
    """Of deregistrations that come while the bus is told to end, each that is answered 200 stands after the restart."""
    caller = Caller(own_bus.port)
    addresses = [f"127.0.0.1:{port}" for port in range(20_001, 20_041)]
    for address in addresses:
        caller.register(address, lease=3_600)
    own_bus.send(signal.SIGTERM)
    gone = {address for address in addresses if deregistered(own_bus.port, address)}
    assert own_bus.ended(ENDS_WITHIN) == 0
    own_bus.start()
    assert {one["address"] for one in caller.subscribers()} == set(addresses) - gone


def deregistered(port: int, address: str) -> bool:
    """Whether a deregistration was answered with success, at the latest when it was repeated."""
    with suppress(OSError):
        for _ in range(2):
            with RawConnection(port) as connection:
                if connection.request("DELETE", f"/deregister?address={address}").status == 200:
                    return True
    return False


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


@pytest.mark.parametrize("accept", [b"text/event-stream", b"application/json"])
def test_a_client_that_does_not_read_holds_up_no_stop(tmp_path: Path, accept: bytes) -> None:
    """A stream or an answer that nobody reads is cut in bounded time, whatever deliveries would get."""
    with BusServer(tmp_path, {"EVENTBUS_DRAIN_SECONDS": "40"}) as bus, socket() as client:
        client.setsockopt(SOL_SOCKET, SO_RCVBUF, 4_096)
        client.connect(("127.0.0.1", bus.port))
        caller = Caller(bus.port)
        first = caller.publish(b"first")
        for _ in range(24):
            caller.publish(b"x" * 800_000)
        target = b"GET /events?limit=1000&after=%s HTTP/1.1\r\nHost: localhost\r\nAccept: %s\r\n\r\n"
        client.sendall(target % (first.encode(), accept))
        assert client.recv(15) == b"HTTP/1.1 200 OK"
        for _ in range(50):  # in each turn of the bus's loop the answer goes on, until nothing more of it is taken
            assert caller.call("GET", "/healthz").status == 200
        began = time.monotonic()
        bus.send(signal.SIGTERM)
        assert bus.ended(30) == 0
        assert time.monotonic() - began < 20
        assert "clients did not finish in time" in bus.log_text()


def test_no_lease_ends_while_a_bus_drains(tmp_path: Path) -> None:
    """Nobody can renew then: a lease that would be over has its full term after the restart."""
    gate = Gate()
    with ExitStack() as stack:
        bus = stack.enter_context(BusServer(tmp_path, {"EVENTBUS_DRAIN_SECONDS": "30"}))
        subscriber = stack.enter_context(RecordingSubscriber(gate))
        caller = Caller(bus.port)
        caller.register(subscriber.address, timeout=60)
        caller.publish()
        subscriber.wait_for(1)
        caller.register("127.0.0.1:9", lease=5)
        wires = kept_connections(stack, bus, 40)
        bus.send(signal.SIGTERM)
        lasts = time.monotonic() + 6
        eventually(lambda: time.monotonic() > lasts and next(wires), 10)  # longer than the lease
        gate.open()
        assert bus.ended(30) == 0
        assert "not renewed" not in bus.log_text()
        bus.start()
        assert caller.listed("127.0.0.1:9")
