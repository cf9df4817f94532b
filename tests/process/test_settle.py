"""A publish with ``settle`` waits for what becomes of its event, on all nodes, and no longer than it may."""

import asyncio
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import gevent
import pytest

from eventbus.client import AsyncBus, Bus
from tests.support.caller import JSON, Caller
from tests.support.cluster import Cluster, cluster_on
from tests.support.deadline import eventually
from tests.support.raw_client import RawConnection, Response
from tests.support.redis_server import COMMAND, RedisServer
from tests.support.responders import Gate, Switch, always
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber, Subscribe

#: As long as a publish may wait, where no test waits so long; and in which it has been answered.
LONG, SECONDS = 60, 30
#: Publishes that may wait on one node.
MAX_WAITING = 100


def settle(caller: Caller, seconds: float = LONG, query: str = "", headers: tuple[tuple[str, str], ...] = ()) -> Any:
    """Publish an event, and return its fate."""
    answer = caller.call("POST", f"/sendMessage?settle={seconds}{query}", headers, b"{}")
    assert answer.status == 200, answer.text
    return answer.json()


def states(fate: Any) -> dict[str, str]:
    """The states by address or group."""
    return {row["address"] or row["group"]: row["state"] for row in fate["subscriptions"]}


def waiting(port: int) -> float:
    """How many publishes wait on a bus."""
    lines = Caller(port).call("GET", "/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith("eventbus_publishes_settling "))


@contextmanager
def publishing(port: int, count: int = 1) -> Iterator[list[RawConnection]]:
    """Connections whose publishes wait; each is answered on its own."""
    found = []
    try:
        for _ in range(count):
            found.append(RawConnection(port))
            found[-1].send(b"POST /sendMessage?settle=60 HTTP/1.1\r\nHost: a\r\nContent-Length: 2\r\n\r\n{}")
        eventually(lambda: waiting(port) == count, SECONDS)
        yield found
    finally:
        for connection in found:
            connection.close()


def read(connection: RawConnection) -> Response:
    """The answer to a publish that waits."""
    answer: Response = gevent.spawn(connection.read).get(timeout=SECONDS)
    return answer


def test_the_answer_comes_with_the_slowest_subscriber(caller: Caller, bus: BusServer, subscribe: Subscribe) -> None:
    """Which takes its time; nothing is pending then."""
    gate = Gate()
    quick, slow = subscribe(), subscribe(gate)
    with publishing(bus.port) as (connection,):
        quick.wait_for(1)
        slow.wait_for(1)
        assert waiting(bus.port) == 1
        gate.open()
        fate = read(connection).json()
    assert states(fate) == {quick.address: "delivered", slow.address: "delivered"}
    assert [(row["status"], row["attempts"]) for row in fate["subscriptions"]] == [(200, 1)] * 2
    assert waiting(bus.port) == 0


def test_the_answer_comes_when_the_time_is_over(caller: Caller, subscribe: Subscribe) -> None:
    """The status is 200; what is pending is delivered later."""
    gate = Gate()
    slow = subscribe(gate)
    fate = settle(caller, 0.1)
    assert (fate["pending"], states(fate)) == (1, {slow.address: "pending"})
    gate.open()
    eventually(lambda: caller.subscriber(slow.address)["delivered"] == 1, SECONDS)


def test_each_way_to_settle_an_event_is_told(caller: Caller, subscribe: Subscribe) -> None:
    """Delivered, filtered, dead, and discarded by a subscriber that wants no more."""
    taken, refused = subscribe(), subscribe(always(422, b"no"))
    unwanted, ended = subscribe(filter='{"exact":{"data.n":1}}'), subscribe(always(410))
    fate = settle(caller)
    assert states(fate) == {
        taken.address: "delivered",
        refused.address: "dead",
        unwanted.address: "filtered",
        ended.address: "discarded",
    }
    assert [fate[name] for name in ("delivered", "dead", "filtered", "discarded", "pending")] == [1, 1, 1, 1, 0]
    dead = caller.call("GET", f"/deadLetters?address={refused.address}", [JSON]).json()["dead_letters"]
    assert [letter["event"] for letter in dead] == [fate["id"]]


def test_attempts_are_counted_until_one_succeeds(caller: Caller, subscribe: Subscribe) -> None:
    """The last status is the one that counts."""
    switch = Switch(500)
    flaky = subscribe(switch, backoff="0.1,0.1")
    greenlet = gevent.spawn(settle, caller)
    flaky.wait_for(lambda found: found.counts.total() >= 2)
    switch.status = 204
    fate = greenlet.get(timeout=SECONDS)
    (row,) = fate["subscriptions"]
    assert (row["state"], row["status"]) == ("delivered", 204)
    assert row["attempts"] == flaky.counts.total()


def test_a_client_that_goes_ends_its_wait_and_not_its_event(
    bus: BusServer, caller: Caller, subscribe: Subscribe
) -> None:
    """The place is free for another one; the event is delivered."""
    gate = Gate()
    slow = subscribe(gate)
    with publishing(bus.port, 3) as connections:
        connections[0].close()
        eventually(lambda: waiting(bus.port) == 2, SECONDS)
    eventually(lambda: waiting(bus.port) == 0, SECONDS)
    gate.open()
    slow.wait_for(3)


def test_as_many_publishes_wait_as_may(own_bus: BusServer) -> None:
    """One more is refused, and says when to try again; one that does not wait is taken."""
    caller, gate = Caller(own_bus.port), Gate()
    with RecordingSubscriber(gate) as slow:
        caller.register(slow.address)
        with publishing(own_bus.port, MAX_WAITING) as connections:
            answer = caller.call("POST", "/sendMessage?settle=1", (), b"one too many")
            assert (answer.status, answer.header("Retry-After")) == (429, "10")
            caller.publish(b"does not wait")
            gate.open()
            fates = [read(connection).json() for connection in connections]
        assert {fate["delivered"] for fate in fates} == {1}
        slow.wait_for(MAX_WAITING + 1)
        assert b"one too many" not in {request.body for request in slow.received}


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_a_bus_that_drains_answers_at_once(own_bus: BusServer, number: signal.Signals) -> None:
    """With what is known; the event comes again after the next start."""
    caller, gate = Caller(own_bus.port), Gate()
    with RecordingSubscriber(gate) as slow, RecordingSubscriber() as quick:
        caller.register(slow.address)
        caller.register(quick.address)
        with publishing(own_bus.port) as (connection,):
            quick.wait_for(1)
            slow.wait_for(1)
            own_bus.send(number)
            answer = read(connection)
        assert answer.status == 200
        assert states(answer.json()) == {slow.address: "pending", quick.address: "delivered"}
        gate.open()
        own_bus.ended()


def test_the_client_waits_longer_than_its_timeout(bus: BusServer, subscribe: Subscribe) -> None:
    """From threads and from asyncio."""
    gate = Gate()
    slow = subscribe(gate)
    with Bus(f"http://127.0.0.1:{bus.port}", timeout=0.2) as client:
        greenlet = gevent.spawn(client.publish, "a", b"x", settle=LONG)
        slow.wait_for(1)
        gate.open()
        fate = greenlet.get(timeout=SECONDS).fate
        assert fate is not None
        assert (fate.succeeded, [one.address for one in fate.subscriptions]) == (True, [slow.address])
        found = asyncio.run(AsyncBus.of(client).publish("a", b"x", settle=5))
        assert found.fate is not None
        assert found.fate.succeeded


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Two nodes on one Redis."""
    if COMMAND is None:
        pytest.skip("there is no redis-server here")
    with RedisServer(tmp_path) as redis, cluster_on(tmp_path, redis, [redis.url] * 2) as found:
        yield found


def spread(cluster: Cluster, *subscribers: RecordingSubscriber) -> None:
    """Register subscribers at one node and the other in turn: each node has some."""
    for number, subscriber in enumerate(subscribers):
        cluster.callers()[number % 2].register(subscriber.address, lease=3_600)
        assert f"lease of {subscriber.address} began" in cluster.nodes[number % 2].log_text()


def test_the_answer_covers_all_nodes(cluster: Cluster) -> None:
    """Whichever node is asked, it waits for the subscribers of the other one, and knows their answers."""
    gate = Gate()
    with RecordingSubscriber() as one, RecordingSubscriber() as two, RecordingSubscriber(gate) as slow:
        spread(cluster, one, two)
        for caller in cluster.callers():
            fate = settle(caller)
            assert states(fate) == {one.address: "delivered", two.address: "delivered"}
        cluster.callers()[0].register(slow.address, lease=3_600)
        greenlets = [gevent.spawn(settle, caller) for caller in cluster.callers()]
        slow.wait_for(2)
        assert not any(greenlet.ready() for greenlet in greenlets)
        gate.open()
        for greenlet in greenlets:
            fate = greenlet.get(timeout=SECONDS)
            assert (fate["delivered"], fate["pending"]) == (3, 0)


@pytest.mark.parametrize(
    "end", [BusServer.kill, partial(BusServer.send, number=signal.SIGTERM)], ids=["dies", "drains"]
)
def test_a_node_that_ends_leaves_what_it_had_pending_until_another_one_has_it(
    cluster: Cluster, end: Callable[[BusServer], object]
) -> None:
    """Then it is delivered from there, and told; nothing is left out or counted twice."""
    gate = Gate()
    with RecordingSubscriber(gate) as one, RecordingSubscriber(gate) as two:
        spread(cluster, one, two)
        greenlet = gevent.spawn(settle, cluster.callers()[0])
        for subscriber in (one, two):
            subscriber.wait_for(1)
        end(cluster.nodes[1])
        gate.open()
        fate = greenlet.get(timeout=LONG)
    assert states(fate) == {one.address: "delivered", two.address: "delivered"}
    assert fate["pending"] == 0
