"""Redis at its maxmemory refuses events, and stops nothing else: two nodes go on as long as it lasts."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import gevent
import pytest

from tests.support.caller import JSON, Caller
from tests.support.cluster import LEASE, Cluster, cluster_on
from tests.support.deadline import eventually
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.subscriber import Answer, Received, RecordingSubscriber

pytestmark = NEEDS_REDIS
#: Seconds that one delivery takes.
EACH = 0.02
#: Seconds after which a node counts as gone that could not show life.
LIFE = 6
#: What stands in the log of a bus that has lost its subscribers.
LOST = "ownership lost"


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Two nodes."""
    with RedisServer(tmp_path) as redis, cluster_on(tmp_path, redis, [redis.url] * 2) as found:
        yield found


@pytest.fixture
def slow(cluster: Cluster) -> Iterator[list[RecordingSubscriber]]:
    """Two that take one event at a time, one of them in order, each registered at another node."""
    with ExitStack() as stack:
        found = [stack.enter_context(RecordingSubscriber(take_time)) for _ in cluster.nodes]
        for subscriber, caller, options in zip(
            found, cluster.callers(), ({"ordered": True}, {"max_in_flight": 1}), strict=True
        ):
            caller.register(subscriber.address, lease=LEASE, **options)
        yield found


def take_time(_: Received) -> Answer:
    """Take an event after a moment."""
    gevent.sleep(EACH)
    return 200, (), b""


def kept(redis: RedisServer) -> int:
    """Events that are in the journal."""
    return int(redis.ask("XLEN", "{eventbus}:events")[1:])


def publish(caller: Caller) -> int:
    """The status of one more publish."""
    return caller.call("POST", "/sendMessage", body=b"{}").status


@pytest.mark.parametrize("seconds", [LIFE + 3, pytest.param(60, marks=pytest.mark.soak)])
def test_deliveries_go_on_while_redis_has_no_memory(
    cluster: Cluster, slow: list[RecordingSubscriber], seconds: float
) -> None:
    """Without memory for longer than a node lives nothing but publishing is refused, which goes on by itself."""
    callers = cluster.callers()
    batch = b"\n".join([b"{}"] * int(seconds / EACH))
    ids = callers[0].call("POST", "/sendMessage?batch=lines", [JSON], batch).json()["ids"]
    assert cluster.redis.ask("CONFIG", "SET", "maxmemory", "1mb") == b"+OK\r\n"
    began = time.monotonic()
    done = 0
    while done < len(ids):
        refused = callers[0].call("POST", "/sendMessage", [JSON], b"{}")
        assert (refused.status, refused.header("Retry-After")) == (503, "5")
        assert "maxmemory" in refused.text
        for subscriber, caller in zip(slow, reversed(callers), strict=True):
            assert caller.register(subscriber.address)["created"] is False
            caller.register(subscriber.address, timeout=5 + done % 2)  # a change is saved too
        done = min(done + 100, len(ids))
        for subscriber in slow:
            subscriber.wait_for(done)
    assert time.monotonic() - began > LIFE
    for subscriber in slow:
        assert subscriber.counts == dict.fromkeys(ids, 1)
        eventually(lambda address=subscriber.address: cluster.is_at_rest(address), 20)
    assert not any(LOST in node.log_text() for node in cluster.nodes)
    eventually(lambda: kept(cluster.redis) == 0, 60)
    assert publish(callers[1]) == 503
    assert cluster.redis.ask("CONFIG", "SET", "maxmemory", "0") == b"+OK\r\n"
    eventually(lambda: publish(callers[1]) == 200, 10)
    for subscriber in slow:
        subscriber.wait_for(len(ids) + 1)


def test_a_node_that_dies_while_redis_has_no_memory_is_followed_by_another(
    cluster: Cluster, slow: list[RecordingSubscriber]
) -> None:
    """The other node takes what the dead one had, one that ends hands over, and one that starts delivers."""
    first, second = cluster.nodes
    batch = b"\n".join([b"{}"] * 300)
    ids = cluster.callers()[0].call("POST", "/sendMessage?batch=lines", [JSON], batch).json()["ids"]
    assert cluster.redis.ask("CONFIG", "SET", "maxmemory", "1mb") == b"+OK\r\n"
    first.kill()
    first.spawn()  # it is not ready while publishing is refused
    eventually(lambda: "journal read" in first.log_text().rpartition("Booting")[2], 30)
    second.terminate()
    for subscriber in slow:
        subscriber.wait_for_ids(ids, 60)
        eventually(lambda address=subscriber.address: cluster.is_at_rest(address), 20)
