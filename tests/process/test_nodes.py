"""Several buses on one Redis are one bus: any may be asked, each delivery is made by one of them, and any may die."""

import signal
from collections.abc import Iterator
from pathlib import Path

import gevent
import pytest

from tests.support.caller import JSON, Caller
from tests.support.cluster import BODY, LEASE, SUBSCRIBERS, Cluster, cluster_on, registered
from tests.support.deadline import eventually
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber

pytestmark = NEEDS_REDIS
NODES = 3


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Three nodes, and a Redis that keeps every commit on disk."""
    with RedisServer(tmp_path) as redis, cluster_on(tmp_path, redis, [redis.url] * NODES) as found:
        yield found


@pytest.fixture
def subscribers(cluster: Cluster) -> Iterator[list[RecordingSubscriber]]:
    """Ten, registered at one node or another."""
    with registered(cluster) as found:
        yield found


def test_an_event_goes_to_every_subscriber_whichever_node_is_asked(
    cluster: Cluster, subscribers: list[RecordingSubscriber]
) -> None:
    """Published to any node, an event reaches those that registered at any, once."""
    ids = [caller.publish(BODY) for caller in cluster.callers() for _ in range(20)]
    for subscriber in subscribers:
        subscriber.wait_for_ids(ids)
        assert subscriber.counts == dict.fromkeys(ids, 1)


def test_every_node_tells_of_all_subscribers_and_takes_calls_about_any(
    cluster: Cluster, subscribers: list[RecordingSubscriber]
) -> None:
    """The list is the same at every node; a subscriber is renewed, asked about and deregistered at any of them."""
    addresses = sorted(subscriber.address for subscriber in subscribers)
    for caller in cluster.callers():
        response = caller.call("GET", "/listSubscribers", [JSON])
        assert response.header("Eventbus-Nodes") == f"{NODES} of {NODES}"
        assert [found["address"] for found in response.json()["subscribers"]] == addresses
        assert len(caller.call("GET", "/listSubscribers").text.splitlines()) == SUBSCRIBERS
    for number, address in enumerate(addresses):
        caller = cluster.callers()[number % NODES]
        assert caller.register(address, timeout=7)["created"] is False
        assert caller.subscriber(address)["timeout"] == 7
    cluster.callers()[0].deregister(addresses[0])
    cluster.callers()[0].deregister(addresses[1])
    assert [caller.listed(addresses[0]) for caller in cluster.callers()] == [False] * NODES
    assert [len(caller.subscribers()) for caller in cluster.callers()] == [SUBSCRIBERS - 2] * NODES


def test_every_node_counts_all_whom_an_event_goes_to(cluster: Cluster, subscribers: list[RecordingSubscriber]) -> None:
    """The answer to a publish tells how many subscribers get it, whichever node has them, within a second or so."""
    for caller in cluster.callers():
        eventually(lambda caller=caller: reach(caller) == SUBSCRIBERS, 10)
    cluster.callers()[0].register(subscribers[0].address, topic="orders.*")
    for caller in cluster.callers():
        eventually(lambda caller=caller: reach(caller) == SUBSCRIBERS - 1, 10)


def reach(caller: Caller) -> int:
    """How many subscribers an event goes to."""
    count: int = caller.call("POST", "/sendMessage", [JSON], BODY).json()["subscribers"]
    return count


def test_a_key_is_known_to_every_node(cluster: Cluster) -> None:
    """An ``Idempotency-Key`` that one node has taken is a duplicate at the others."""
    answers = [
        caller.call("POST", "/sendMessage", [("Idempotency-Key", "order-7"), JSON], BODY).json()
        for caller in cluster.callers()
    ]
    assert [answer["duplicate"] for answer in answers] == [False, True, True]
    assert len({answer["id"] for answer in answers}) == 1


def test_a_dead_nodes_subscribers_are_taken_over(cluster: Cluster, subscribers: list[RecordingSubscriber]) -> None:
    """A node that is killed has its deliveries taken over, and a node that joins gets its share."""
    publishers = cluster.load(900)
    publishers[0].wait_accepted(100)
    cluster.nodes[0].kill()
    eventually(lambda: "subscriptions acquired" in "".join(node.log_text() for node in cluster.nodes[1:]), 20)
    cluster.nodes[0].start()
    cluster.assert_all_well(subscribers, publishers, faults=1)


def test_a_request_about_a_dead_nodes_subscriber_waits_until_another_has_it(
    cluster: Cluster, subscribers: list[RecordingSubscriber]
) -> None:
    """What is asked of another node as soon as one is killed is done within 10 seconds, and need not be repeated."""
    cluster.nodes[0].kill()
    asked = [gevent.spawn(cluster.callers()[1].register, each.address, lease=LEASE) for each in subscribers]
    gevent.joinall(asked, timeout=10)
    assert [each.get(block=False)["created"] for each in asked] == [False] * SUBSCRIBERS


def test_a_node_that_is_stopped_and_goes_on_delivers_nothing_that_is_others_now(
    cluster: Cluster, subscribers: list[RecordingSubscriber]
) -> None:
    """A node that showed no life for long has lost its subscribers, and begins anew when it goes on."""
    publishers = cluster.load(900)
    publishers[1].wait_accepted(100)
    cluster.nodes[1].send(signal.SIGSTOP, whole_group=True)
    others = (cluster.nodes[0], cluster.nodes[2])
    eventually(lambda: "subscriptions acquired" in "".join(node.log_text() for node in others), 20)
    cluster.nodes[1].send(signal.SIGCONT, whole_group=True)
    eventually(lambda: "ownership lost" in cluster.nodes[1].log_text(), 20)
    cluster.assert_all_well(subscribers, publishers, faults=1)


def test_a_drain_hands_over_at_once(cluster: Cluster, subscribers: list[RecordingSubscriber]) -> None:
    """A node that is told to end hands its subscribers over while it still waits for an answer; nothing comes twice."""
    answer = gevent.event.Event()
    with RecordingSubscriber(lambda _: (answer.wait(30) and 200, (), b"")) as slow:
        cluster.callers()[0].register(slow.address, topic="slow", timeout=30)
        ids = [cluster.callers()[1].publish(BODY) for _ in range(50)]
        ids.append(cluster.callers()[1].publish(BODY, topic="slow"))
        slow.wait_for(1)
        cluster.nodes[0].send(signal.SIGTERM)
        eventually(lambda: "draining" in cluster.nodes[0].log_text(), 10)
        ids += [cluster.callers()[1].publish(BODY) for _ in range(50)]
        for subscriber in subscribers:
            subscriber.wait_for_ids(ids, 10)
        assert "drained" not in cluster.nodes[0].log_text()
        answer.set()
        assert cluster.nodes[0].ended() == 0
        for subscriber in subscribers:
            assert subscriber.counts == dict.fromkeys(ids, 1)
        assert len(slow.received) == 1


def test_redis_is_killed_under_three_nodes(cluster: Cluster, subscribers: list[RecordingSubscriber]) -> None:
    """A Redis that is killed and started again loses nothing, and the nodes carry on by themselves."""
    publishers = cluster.load(900)
    publishers[2].wait_accepted(100)
    cluster.redis.kill()
    cluster.redis.start()
    cluster.assert_all_well(subscribers, publishers, faults=1)


def test_several_workers_behind_one_port_are_one_bus(tmp_path: Path) -> None:
    """With ``WEB_CONCURRENCY`` workers on Redis each call may meet another worker, and finds the same bus."""
    with (
        RedisServer(tmp_path) as redis,
        BusServer(tmp_path, {"EVENTBUS_JOURNAL": redis.url, "WEB_CONCURRENCY": "3"}) as bus,
        RecordingSubscriber() as subscriber,
    ):
        caller = Caller(bus.port)
        eventually(lambda: len(bus.worker_pids) == 3, 20)
        eventually(lambda: caller.call("GET", "/listSubscribers").header("Eventbus-Nodes") == "3 of 3", 20)
        caller.register(subscriber.address)
        ids = [caller.publish(BODY) for _ in range(60)]
        subscriber.wait_for_ids(ids)
        assert subscriber.counts == dict.fromkeys(ids, 1)
        assert all(caller.listed(subscriber.address) for _ in range(20))
        caller.deregister(subscriber.address)
        assert not any(caller.listed(subscriber.address) for _ in range(20))
