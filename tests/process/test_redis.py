"""A journal on a Redis server outlives the bus and Redis both, and no trouble of Redis's makes the bus lie."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.accounts import settled
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.publisher import Publisher
from tests.support.raw_client import Response
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.server import BusServer
from tests.support.stream import Stream
from tests.support.subscriber import RecordingSubscriber

pytestmark = NEEDS_REDIS
BODY = b"x" * 1_024


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis server that keeps every commit on disk."""
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
def bus(tmp_path: Path, redis: RedisServer) -> Iterator[BusServer]:
    """A bus whose journal is there."""
    with BusServer(tmp_path, on(redis)) as server:
        yield server


@pytest.fixture
def subscriber(bus: BusServer) -> Iterator[RecordingSubscriber]:
    """One that is registered for long."""
    with RecordingSubscriber() as found:
        Caller(bus.port).register(found.address, lease=3_600)
        yield found


def on(redis: RedisServer) -> dict[str, str]:
    """The setting that puts the journal there."""
    return {"EVENTBUS_JOURNAL": redis.url}


def publish(bus: BusServer, *headers: tuple[str, str], body: bytes = BODY) -> Response:
    """Publish once, whatever comes of it."""
    return Caller(bus.port).call("POST", "/sendMessage", headers, body)


def accepted_again(bus: BusServer) -> str:
    """The id of an event that was accepted, empty where it was not."""
    response = publish(bus)
    assert response.status in (200, 503), response.text
    return response.header("Webhook-Id") or ""


def registers(bus: BusServer, subscriber: RecordingSubscriber) -> bool:
    """Whether a subscriber's registration is taken."""
    return Caller(bus.port).call("POST", f"/registerAndKeepAlive?address={subscriber.address}").status == 200


def assert_refused(response: Response) -> None:
    """503 with a sentence, and a time to try again."""
    assert response.status == 503, response.text
    assert response.header("Webhook-Id") is None
    assert "journal" in response.text
    assert int(response.header("Retry-After") or "0") > 0


def test_kills_of_bus_and_redis_under_load_lose_nothing(
    bus: BusServer, redis: RedisServer, subscriber: RecordingSubscriber
) -> None:
    """Bus and Redis are killed by turns while it is published to; all that was accepted is delivered."""
    subscriber.keep_bodies = False
    publisher = Publisher(bus.port, (BODY for _ in range(1_500)), connections=8, timeout=120)
    publisher.start()
    for number in range(1, 5):
        publisher.wait_accepted(number * 150)
        victim = redis if number % 2 else bus
        victim.kill()
        victim.start()
    published = publisher.join()
    assert published.accepted
    subscriber.wait_for_ids(published.accepted, 60)
    eventually(lambda: Caller(bus.port).subscriber(subscriber.address)["pending"] == 0, 30)
    account = Caller(bus.port).subscriber(subscriber.address)
    assert account["accepted"] == account["delivered"] + account["dead"] + account["discarded"]


def test_without_redis_publishing_is_refused_and_goes_on_by_itself(
    bus: BusServer, redis: RedisServer, subscriber: RecordingSubscriber
) -> None:
    """While Redis is away publishing is 503 and ``/readyz`` says so; when it is back all goes on, leases included."""
    first = accepted_again(bus)
    redis.kill()
    assert_refused(publish(bus))
    assert Caller(bus.port).call("GET", "/readyz").status == 503
    assert Caller(bus.port).call("GET", "/healthz").status == 200
    redis.start()
    second = eventually(lambda: accepted_again(bus), 30)
    subscriber.wait_for_ids([first, second])
    assert Caller(bus.port).call("GET", "/readyz").status == 200


def test_what_was_refused_is_not_kept_though_redis_does_it_late(
    bus: BusServer, redis: RedisServer, subscriber: RecordingSubscriber
) -> None:
    """A Redis that hangs, and then does what it was told, adds nothing that the publisher was told is not kept."""
    key = ("Idempotency-Key", "order-7")
    redis.stop()
    refused = publish(bus, key, body=b"first try")
    redis.go_on()
    assert_refused(refused)
    again = publish(bus, key, body=b"second try")
    assert again.status == 200
    subscriber.wait_for_ids([again.header("Webhook-Id") or ""])
    last = accepted_again(bus)
    subscriber.wait_for_ids([last])
    assert [request.body for request in subscriber.received] == [b"second try", BODY]
    shown = Caller(bus.port).call("GET", "/events", [("Accept", "application/json")]).json()["events"]
    assert len(shown) == 2


def test_a_redis_without_memory_refuses_and_goes_on_when_it_has_some(
    bus: BusServer, redis: RedisServer, subscriber: RecordingSubscriber
) -> None:
    """At ``maxmemory`` publishing is 503, what was accepted is delivered, and with room publishing goes on."""
    subscriber.down()
    accepted = [accepted_again(bus) for _ in range(5)]
    assert redis.ask("CONFIG", "SET", "maxmemory", "1mb") == b"+OK\r\n"
    refused = publish(bus)
    assert_refused(refused)
    assert "maxmemory" in refused.text
    assert Caller(bus.port).call("GET", "/readyz").status == 503
    subscriber.up()
    Caller(bus.port).register(subscriber.address)
    subscriber.wait_for_ids(accepted)
    eventually(settled(Caller(bus.port), subscriber.address, accepted=5, delivered=5), 30)
    assert redis.ask("CONFIG", "SET", "maxmemory", "0") == b"+OK\r\n"
    subscriber.wait_for_ids([eventually(lambda: accepted_again(bus), 30)])


def test_a_redis_that_has_lost_its_data_is_begun_anew(bus: BusServer, redis: RedisServer) -> None:
    """Where the journal is gone the bus begins an empty one: nothing hangs, and what is published then arrives."""
    assert accepted_again(bus)
    assert redis.ask("FLUSHALL") == b"+OK\r\n"
    eventually(lambda: "ownership lost" in bus.log_text(), 20)
    with RecordingSubscriber() as subscriber:
        eventually(lambda: registers(bus, subscriber), 20)
        subscriber.wait_for_ids([eventually(lambda: accepted_again(bus), 20)])


@pytest.mark.parametrize(
    ("options", "why"),
    [
        (("--maxmemory-policy", "allkeys-lru"), "maxmemory-policy is allkeys-lru"),
        (("--replicaof", "127.0.0.1", "9"), "is a replica"),
    ],
    ids=["drops events", "replica"],
)
def test_a_redis_that_cannot_hold_a_journal_stops_the_start(tmp_path: Path, options: tuple[str, ...], why: str) -> None:
    """A server that would drop events, or takes no writes, is refused with what would be right."""
    with RedisServer(tmp_path, *options) as redis, pytest.raises(RuntimeError, match=why):
        BusServer(tmp_path, on(redis)).start()


def test_no_redis_stops_the_start_and_no_password_is_told(tmp_path: Path) -> None:
    """A server that does not answer stops the start with a sentence, in which there is no password."""
    bus = BusServer(tmp_path, {"EVENTBUS_JOURNAL": "redis://:hush-hush@127.0.0.1:9/0"})
    with pytest.raises(RuntimeError, match="eventbus cannot start: The journal cannot be opened"):
        bus.start()
    assert "hush" not in bus.log_text()


@pytest.mark.parametrize(
    ("options", "remark"),
    [((), "keeps no append-only file"), (("--appendonly", "yes", "--appendfsync", "everysec"), "appendfsync is every")],
)
def test_a_redis_that_keeps_less_is_warned_of(tmp_path: Path, options: tuple[str, ...], remark: str) -> None:
    """Where accepted does not mean on disk, the start says so, and what to set."""
    with RedisServer(tmp_path, *options, durable=False) as redis, BusServer(tmp_path, on(redis)) as bus:
        assert remark in bus.log_text()


def test_a_stream_ends_where_redis_has_started_again(bus: BusServer, redis: RedisServer) -> None:
    """Redis may have less than it had: a reader connects again, goes on after its last event, and misses nothing."""
    with Stream(bus.port) as stream:
        first = publish(bus).header("Webhook-Id") or ""
        assert [event["id"] for event in stream.events(1)] == [first]
        redis.kill()
        redis.start()
        second = eventually(lambda: accepted_again(bus), 30)
        assert stream.ended()
    with Stream(bus.port, last=first) as stream:
        assert [event["id"] for event in stream.events(1)] == [second]
