"""Scheduled events enter the journal once and in order, when they are due, whatever is killed, stepped or cancelled."""

import os
import random
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import gevent
import pytest

from tests.support.accounts import settled
from tests.support.caller import JSON, Caller
from tests.support.cluster import cluster_on
from tests.support.deadline import eventually
from tests.support.kept_caller import kept_caller
from tests.support.redis_server import COMMAND, RedisServer
from tests.support.repair import RepairClient
from tests.support.scheduled import EARLY, Scheduled, journal_ids, scheduled_ids
from tests.support.server import BusServer
from tests.support.stepped_clock import CONFIGURATION, SteppedClock, find_library
from tests.support.subscriber import RecordingSubscriber, Subscribe

HOUR = 3_600
#: A lease that is longer than any of these tests, in seconds.
LEASE = 3_600
#: Deliveries that a kill may repeat for a subscriber: what is in flight, and what came since the last save.
REPEATED = 1_000
LIBRARY = find_library()
needs_redis = pytest.mark.skipif(COMMAND is None, reason="there is no redis-server here")
needs_clock = pytest.mark.skipif(LIBRARY is None, reason="libfaketime (Debian: faketime) is not installed")


@pytest.fixture
def rng() -> random.Random:
    """Chooses moments; a failure can be repeated by its seed."""
    seed = int(os.environ.get("TEST_SEED") or random.randrange(2**32))  # noqa: S311 - chooses moments
    print(f"TEST_SEED={seed}")  # noqa: T201 - so that a failure can be repeated
    return random.Random(seed)  # noqa: S311 - chooses moments


@pytest.fixture(scope="module", params=["sqlite", pytest.param("redis", marks=needs_redis)])
def nodes(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[BusServer]]:
    """A bus on a file, or two that share a Redis server, for all tests of this module."""
    folder = tmp_path_factory.mktemp("schedule")
    with ExitStack() as stack:
        if request.param == "sqlite":
            yield [stack.enter_context(BusServer(folder))]
        else:
            redis = stack.enter_context(RedisServer(folder))
            yield stack.enter_context(cluster_on(folder, redis, [redis.url] * 2)).nodes


@contextmanager
def registered(node: BusServer, **options: object) -> Iterator[RecordingSubscriber]:
    """A subscriber that is registered at a node, and deregistered in the end."""
    with RecordingSubscriber() as subscriber:
        Caller(node.port).register(subscriber.address, lease=LEASE, **options)
        yield subscriber
        Caller(node.port).deregister(subscriber.address)


def show(what: str, late: list[float]) -> None:
    """Print how late events were."""
    middle, high = late[len(late) // 2], late[len(late) * 99 // 100]
    print(f"{what}: {len(late)} events, earliest {late[0] * 1_000:.1f} ms, p50 {middle * 1_000:.1f} ms, "  # noqa: T201 - figures for whoever reads the run
          f"p99 {high * 1_000:.1f} ms, latest {late[-1] * 1_000:.1f} ms")  # fmt: skip


@pytest.mark.parametrize(
    ("events", "seconds", "kills"), [(150, 1.5, 1), pytest.param(10_000, 60.0, 10, marks=pytest.mark.soak)]
)
def test_kills_at_random_moments_lose_and_double_nothing(
    nodes: list[BusServer], rng: random.Random, events: int, seconds: float, kills: int
) -> None:
    """Each event enters the journal once, and comes to each subscriber, never before it is due."""
    scheduled = Scheduled()
    with ExitStack() as stack:
        subscribers = [stack.enter_context(registered(nodes[-number], ordered=number == 0)) for number in range(2)]
        scheduled.publish(nodes[0].port, events, seconds)
        for moment in sorted(rng.sample(range(events // 20, events * 9 // 10), kills)):
            subscribers[1].wait_for(moment, 120)
            node = rng.choice(nodes)
            node.kill()
            node.start()
        for subscriber in subscribers:
            subscriber.wait_for_ids(scheduled.due, 120)
        order = [event_id for event_id in journal_ids(Caller(nodes[0].port)) if event_id in scheduled.due]
        assert sorted(order) == sorted(scheduled.due)
        for subscriber in subscribers:
            late = scheduled.lateness(subscriber)
            show(f"{kills} kills, {subscriber.counts.total() - len(subscriber.counts)} repeated", late)
            assert late[0] >= -EARLY
            assert subscriber.counts.total() - len(subscriber.counts) <= kills * REPEATED
        assert list(dict.fromkeys(request.id for request in subscribers[0].received)) == order
        assert scheduled.due.keys().isdisjoint(scheduled_ids(Caller(nodes[0].port)))


@pytest.mark.parametrize("events", [100, pytest.param(3_000, marks=pytest.mark.soak)])
def test_no_event_comes_before_it_is_due(nodes: list[BusServer], events: int) -> None:
    """At rest each comes a moment after it is due: how late is printed, and early is none."""
    scheduled, port = Scheduled(), nodes[0].port
    with registered(nodes[0]) as subscriber:
        scheduled.publish(port, events, events / 100, group=2)
        subscriber.wait_for_ids(scheduled.due, 120)
        late = scheduled.lateness(subscriber)
        show("at rest", late)
        assert late[0] >= -EARLY


@pytest.mark.parametrize("events", [150, pytest.param(5_000, marks=pytest.mark.soak)])
def test_an_event_is_delivered_or_cancelled(nodes: list[BusServer], rng: random.Random, events: int) -> None:
    """Where events are cancelled just when they are due, under load, the answer says which, and that is so."""
    scheduled = Scheduled()
    cancelled: dict[str, int] = {}
    with registered(nodes[0]) as subscriber:
        seconds = events / 150
        scheduled.publish(nodes[0].port, events, seconds, group=10)

        def cancel_some(node: BusServer, mine: list[str]) -> None:
            with kept_caller(node.port) as caller:
                for event_id in mine:
                    gevent.sleep(max(0.0, scheduled.due[event_id] - time.time() + rng.uniform(-0.15, 0.02)))
                    cancelled[event_id] = caller.call("DELETE", f"/events/{event_id}", [JSON]).status

        ids = sorted(scheduled.due, key=lambda event_id: scheduled.due[event_id])
        greenlets = [gevent.spawn(cancel_some, rng.choice(nodes), ids[start::16]) for start in range(16)]
        load = [gevent.spawn(publish_some, node, events // 2) for node in nodes]
        gevent.joinall([*greenlets, *load], raise_error=True)
        counts = {status: list(cancelled.values()).count(status) for status in (200, 409)}
        print(f"cancelled: {counts[200]}, delivered: {counts[409]}")  # noqa: T201 - figures for whoever reads the run
        assert set(cancelled.values()) <= {200, 409}
        assert len(cancelled) == events
        kept = {event_id for event_id, status in cancelled.items() if status == 409}
        subscriber.wait_for_ids(kept, 60)
        direct = {event_id for each in load for event_id in each.value}
        eventually(settled(Caller(nodes[0].port), subscriber.address, delivered=len(kept) + len(direct)), 60)
        assert set(subscriber.counts) == kept | direct
        assert set(journal_ids(Caller(nodes[0].port))) & (scheduled.due.keys() | direct) == kept | direct


def publish_some(node: BusServer, count: int) -> list[str]:
    """Publish so many events at once; their ids."""
    with kept_caller(node.port) as caller:
        return [caller.publish(b"%d" % number) for number in range(count)]


def test_an_ordered_subscriber_gets_the_journals_order(caller: Caller, bus: BusServer, subscribe: Subscribe) -> None:
    """Scheduled and direct events come in the journal's order, and a replay repeats it."""
    subscriber = subscribe(ordered=True)
    scheduled = Scheduled()
    scheduled.publish(bus.port, 60, 0.8, group=3)
    direct = {caller.publish(b"direct %d" % number) for number in range(30)}
    wanted = direct | scheduled.due.keys()
    subscriber.wait_for_ids(wanted, 60)
    order = [event_id for event_id in journal_ids(caller) if event_id in wanted]
    assert [request.id for request in subscriber.received] == order
    first = RepairClient(bus.port).replay(subscriber.address, start=order[0])
    assert first == len(order)
    eventually(lambda: len(subscriber.received) == 2 * len(order), 60)
    assert [request.id for request in subscriber.received[len(order) :]] == order


def test_any_node_lists_and_cancels_what_another_has_accepted(nodes: list[BusServer]) -> None:
    """The schedule is the journal's, and not a node's; a restart changes nothing of it."""
    first, last = Caller(nodes[0].port), Caller(nodes[-1].port)
    told = [first.call("POST", f"/sendMessage?delay={HOUR + number}", [JSON], b"x").json() for number in range(3)]
    ids = [each["id"] for each in told]
    assert scheduled_ids(last) == ids
    assert last.call("GET", f"/events/{ids[0]}", [JSON]).json()["scheduled_for"] == told[0]["scheduled_for"]
    assert last.call("DELETE", f"/events/{ids[0]}").status == 200
    answer = first.call("DELETE", f"/events/{ids[0]}")
    assert (answer.status, answer.json()["id"]) == (200, ids[0])
    nodes[0].kill()
    nodes[0].start()
    assert scheduled_ids(first) == ids[1:]
    eventually(lambda: metric(first, "eventbus_scheduled_events") == 2, 20)
    assert [last.call("DELETE", f"/events/{event_id}").status for event_id in ids[1:]] == [200, 200]


@needs_clock
def test_a_step_of_the_clock_does_what_is_documented(tmp_path: Path) -> None:
    """Set forward, what has become due enters; set back, all waits longer; over a restart it is the same."""
    assert LIBRARY is not None
    clock = SteppedClock(LIBRARY, tmp_path)
    bus = BusServer(tmp_path, clock.environment, arguments=("-c", CONFIGURATION))
    with bus, RecordingSubscriber() as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address, lease=LEASE)
        half, two = publish_in(caller, HOUR // 2), publish_in(caller, 2 * HOUR)
        clock.step(HOUR)
        subscriber.wait_for_ids([half], 20)
        clock.step(0)
        soon = publish_in(caller, 0.2)
        subscriber.wait_for_ids([soon], 20)
        assert scheduled_ids(caller) == [two]
        assert metric(caller, "eventbus_scheduled_next_seconds") > HOUR
        bus.kill()
        clock.step(3 * HOUR)
        bus.start()
        subscriber.wait_for_ids([two], 20)
        assert list(dict.fromkeys(request.id for request in subscriber.received)) == [half, soon, two]
        assert journal_ids(caller) == [half, soon, two]


def publish_in(caller: Caller, seconds: float) -> str:
    """Publish an event that is due in so many seconds; its id."""
    return str(caller.call("POST", f"/sendMessage?delay={seconds}", [JSON], b"x").json()["id"])


def metric(caller: Caller, name: str) -> float:
    """The value of a metric without labels."""
    lines = caller.call("GET", "/metrics").text.splitlines()
    return next(float(line.split()[1]) for line in lines if line.startswith(f"{name} "))


@pytest.mark.soak
def test_a_million_scheduled_events_cost_no_memory_and_no_start(tmp_path: Path) -> None:
    """The start with them takes a second more at most than without them, and memory is as without."""
    mib, lines = 1_048_576, 5_000
    with BusServer(tmp_path) as bus:
        caller = Caller(bus.port)
        empty, without = bus.resident_bytes() / mib, restarted(bus)
        body = b"\n".join(b'{"n":%-94d}' % number for number in range(lines))
        for number in range(1_000_000 // lines):
            assert caller.call("POST", f"/sendMessage?batch=lines&delay={HOUR + number}", [], body).status == 200
        filled, with_them = bus.resident_bytes() / mib, restarted(bus)
        eventually(lambda: metric(caller, "eventbus_scheduled_events") == 1_000_000, 20)
        print(f"a million scheduled: {filled:.0f} MiB resident, {bus.resident_bytes() / mib:.0f} MiB after a restart, "  # noqa: T201 - figures for whoever reads the run
              f"{empty:.0f} MiB without; ready after {with_them:.2f} s, {without:.2f} s without; "
              f"{bus.journal.stat().st_size / mib:.0f} MiB on disk")  # fmt: skip
        assert filled < 200
        assert with_them < without + 1


def restarted(bus: BusServer) -> float:
    """Kill a bus and start it again; the fewest seconds until it was ready, of three times."""
    found = []
    for _ in range(3):
        bus.kill()
        began = time.monotonic()
        bus.start()
        found.append(time.monotonic() - began)
    return min(found)
