"""``GET /events`` as server-sent events: a subscriber with no address."""

import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from gevent.event import Event

from tests.support.accounts import settled
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.message_head import header
from tests.support.ports import LOOPBACK
from tests.support.publisher import publish_all
from tests.support.raw_client import RawConnection, render_request
from tests.support.server import BusServer
from tests.support.stream import Stream
from tests.support.subscriber import Answer, Received, RecordingSubscriber

MIB = 1_048_576
#: More readers that stop reading than there may be deliveries under way.
SLOW = 20
BODY = b"x" * 65_536
#: MiB that are published while they do not read.
PUBLISHED = 64


@pytest.fixture
def own_bus(tmp_path: Path) -> Iterator[BusServer]:
    """A bus with an empty journal, and few deliveries under way at once."""
    with BusServer(tmp_path, {"EVENTBUS_MAX_IN_FLIGHT": "8", "EVENTBUS_DRAIN_SECONDS": "2"}) as server:
        yield server


@pytest.fixture
def caller(own_bus: BusServer) -> Caller:
    """Publishes to it."""
    return Caller(own_bus.port)


def test_a_stream_tells_what_comes(own_bus: BusServer, caller: Caller) -> None:
    """A stream begins now, and tells each event as it is accepted, in order."""
    caller.publish(b"before")
    with Stream(own_bus.port) as stream:
        assert (stream.status, header(stream.headers, "Content-Type")) == (200, "text/event-stream")
        assert header(stream.headers, "Cache-Control") == "no-store"
        ids = [caller.publish(b"line\nbreak %d" % number) for number in range(50)]
        events = stream.events(50)
        assert [event["id"] for event in events] == ids
        assert events[7]["body"] == {"text": "line\nbreak 7"}


def test_a_stream_goes_on_where_it_was(own_bus: BusServer, caller: Caller) -> None:
    """With ``Last-Event-ID`` a stream goes on behind that event, over a restart too, and misses nothing."""
    ids = [caller.publish(b"%d" % number) for number in range(600)]
    with Stream(own_bus.port, last=ids[0]) as stream:
        assert [event["id"] for event in stream.events(100)] == ids[1:101]
    own_bus.kill()
    own_bus.start()
    with Stream(own_bus.port, last=ids[100]) as stream:
        assert [event["id"] for event in stream.events(499)] == ids[101:]
        later = caller.publish()
        assert [event["id"] for event in stream.events(1)] == [later]


def test_last_event_id_wins_over_the_query(own_bus: BusServer, caller: Caller) -> None:
    """``after`` begins a stream; what the browser saw last is where it goes on."""
    ids = [caller.publish(b"%d" % number) for number in range(4)]
    with Stream(own_bus.port, f"/events?after={ids[0]}") as stream:
        assert [event["id"] for event in stream.events(3)] == ids[1:]
    with Stream(own_bus.port, f"/events?after={ids[0]}", last=ids[2]) as stream:
        assert [event["id"] for event in stream.events(1)] == ids[3:]


def test_a_stream_goes_by_topic(own_bus: BusServer, caller: Caller) -> None:
    """``topic`` chooses what a stream tells."""
    with Stream(own_bus.port, "/events?topic=orders.*") as stream:
        wanted = []
        for _ in range(10):
            caller.publish(topic="stock.low")
            wanted.append(caller.publish(topic="orders.created"))
        assert [event["id"] for event in stream.events(10)] == wanted


def test_a_stream_from_a_foreign_id_begins_with_the_oldest(own_bus: BusServer, caller: Caller) -> None:
    """A stream after an id that the bus never gave is no error, which would end an EventSource: it tells all."""
    event = caller.publish()
    with Stream(own_bus.port, last="nothing-of-that-name") as stream:
        assert (stream.status, header(stream.headers, "Eventbus-Resumed")) == (200, "earliest")
        assert [told["id"] for told in stream.events(1)] == [event]


def test_who_does_not_read_costs_nobody_anything(own_bus: BusServer, caller: Caller) -> None:
    """Readers that stop reading hold no lane and next to no memory while many MiB are published, and miss nothing."""
    with ExitStack() as stack:
        subscriber = stack.enter_context(RecordingSubscriber(keep_bodies=False))
        caller.register(subscriber.address)
        streams = [stack.enter_context(Stream(own_bus.port)) for _ in range(SLOW)]
        before = own_bus.resident_bytes()
        published = publish_all(own_bus.port, (BODY for _ in range(PUBLISHED * MIB // len(BODY))), connections=4)
        assert (published.refused, published.failed) == (0, 0)
        subscriber.wait_for_ids(published.accepted, 60)
        count = len(published.accepted)
        eventually(settled(caller, subscriber.address, accepted=count, delivered=count), 30)
        grown = (own_bus.resident_bytes() - before) / MIB
        print(f"{SLOW} readers, {PUBLISHED} MiB published: {grown:.0f} MiB more resident")  # noqa: T201 - figures for whoever reads the run
        assert grown < 64
        told = [event["id"] for event in streams[0].events(count)]
        assert sorted(told) == sorted(published.accepted)
        assert own_bus.resident_bytes() - before < 64 * MIB


def test_a_reader_that_goes_leaves_nothing_behind(own_bus: BusServer, caller: Caller) -> None:
    """A thousand streams that were opened and closed cost no memory that stays."""
    for _ in range(50):
        with Stream(own_bus.port):
            caller.publish()
    before = own_bus.resident_bytes()
    for _ in range(1_000):
        with Stream(own_bus.port):
            pass
    for _ in range(20):
        caller.publish()
    assert own_bus.resident_bytes() - before < 32 * MIB


def test_a_reader_is_told_when_to_come_back(own_bus: BusServer, caller: Caller) -> None:
    """A stream begins with how long a reader waits before it comes back, and with no empty line."""
    with socket.create_connection((LOOPBACK, own_bus.port), 30) as connection:
        connection.sendall(render_request("GET", "/events", [("Accept", "Text/Event-Stream")]))
        file = connection.makefile("rb")
        while file.readline() != b"\r\n":
            continue
        caller.publish()
        assert [file.readline() for _ in range(2)] == [b"C\r\n", b"retry: 2000\n"]
        assert file.readline() == b"\r\n"  # the chunk's end, and no line of the stream


def test_a_reader_that_comes_while_the_bus_drains_comes_back(own_bus: BusServer, caller: Caller) -> None:
    """While the bus stops, an event source is answered 200 and comes back: any error would end it for good."""
    done = Event()

    def hold(_: Received) -> Answer:
        done.wait(30)
        return 200, (), b""

    with (
        RecordingSubscriber(hold) as subscriber,
        RawConnection(own_bus.port) as early,
        RawConnection(own_bus.port) as late,
    ):
        caller.register(subscriber.address)
        assert early.request("GET", "/healthz").status == late.request("GET", "/healthz").status == 200
        caller.publish()
        subscriber.wait_for(1)
        own_bus.send(signal.SIGTERM)
        eventually(lambda: "draining" in own_bus.log_text(), 15)
        answer = early.request("GET", "/events", [("Accept", "text/event-stream")])
        assert (answer.status, answer.header("Content-Type")) == (200, "text/event-stream")
        assert answer.body == b"retry: 2000\n"
        assert late.request("GET", "/readyz").status == 503
        done.set()


def test_a_drain_ends_streams(own_bus: BusServer, caller: Caller) -> None:
    """At SIGTERM a stream is told what was accepted, then ends as it should, and the bus with it."""
    with Stream(own_bus.port) as stream, Stream(own_bus.port) as idle:
        event = caller.publish()
        assert [told["id"] for told in stream.events(1)] == [event]
        own_bus.send(signal.SIGTERM)
        assert stream.ended()
        assert idle.ended()
        assert own_bus.ended(15) == 0
