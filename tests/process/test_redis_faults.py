"""Whatever is wrong with Redis, or with the way to it: what was accepted arrives, and all goes on by itself."""

import random
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import gevent
import pytest

from tests.support.caller import JSON, Caller
from tests.support.cluster import BODY, LEASE, Cluster, cluster_on, registered
from tests.support.deadline import eventually
from tests.support.proxy import Proxy
from tests.support.publisher import publish_all
from tests.support.raw_client import Response
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber

pytestmark = NEEDS_REDIS
NODES = 3
#: Seconds that Redis does nothing; every publish is answered within them.
STANDS = 12
#: Events whose memory is looked at, the size of each, and what Redis may hold beside them in the end, in bytes.
MANY, LARGE, BESIDE = 1_500, 4_096, 1_500_000


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis server that keeps every commit on disk."""
    with RedisServer(tmp_path) as server:
        yield server


@pytest.fixture
def connection(redis: RedisServer) -> Iterator[Proxy]:
    """The way from the first node to Redis."""
    with Proxy(redis.port) as proxy:
        yield proxy


@pytest.fixture
def cluster(tmp_path: Path, redis: RedisServer, connection: Proxy) -> Iterator[Cluster]:
    """Three nodes, the first of which can be cut off."""
    cut = redis.url.replace(str(redis.port), str(connection.port))
    with cluster_on(tmp_path, redis, [cut, redis.url, redis.url]) as found:
        yield found


@pytest.fixture
def subscribers(cluster: Cluster) -> Iterator[list[RecordingSubscriber]]:
    """Ten, registered at one node or another."""
    with registered(cluster) as found:
        yield found


@pytest.fixture
def bus(tmp_path: Path, redis: RedisServer) -> Iterator[BusServer]:
    """A bus alone, that lets go of what is settled after a second."""
    settings = {"EVENTBUS_JOURNAL": redis.url, "EVENTBUS_RETENTION_SECONDS": "1"}
    with BusServer(tmp_path, settings) as server:
        yield server


def publish(port: int) -> Response:
    """Publish once, whatever comes of it."""
    return Caller(port).call("POST", "/sendMessage", (), BODY)


def attempts(node: BusServer) -> str:
    """What a node tells of the attempts that it has made."""
    lines = Caller(node.port).call("GET", "/metrics").text.splitlines()
    return "\n".join(line for line in lines if line.startswith("eventbus_attempt"))


def taken_over(cluster: Cluster) -> bool:
    """Whether the nodes that are not cut off have what the first one had."""
    return all(node.log_text().count("subscriptions acquired") for node in cluster.nodes[1:])


def is_whole(cluster: Cluster) -> bool:
    """Whether every node has heard from all of them."""
    answers = [caller.call("GET", "/listSubscribers", [JSON]) for caller in cluster.callers()]
    return all(answer.header("Eventbus-Nodes") == f"{NODES} of {NODES}" for answer in answers)


def test_a_node_that_is_cut_off_from_redis_has_its_subscribers_taken_over(
    cluster: Cluster, subscribers: list[RecordingSubscriber], connection: Proxy
) -> None:
    """A node whose way to Redis passes nothing refuses and stops; others deliver; back again, it is one of them."""
    publishers = cluster.load(900)
    publishers[0].wait_accepted(100)
    connection.cut()
    eventually(lambda: taken_over(cluster), 30)
    before = attempts(cluster.nodes[0])
    assert before
    ids = [cluster.callers()[1].publish(BODY) for _ in range(20)]
    for subscriber in subscribers:
        subscriber.wait_for_ids(ids)
    eventually(lambda: publishers[0].result.refused, 30)
    assert attempts(cluster.nodes[0]) == before
    connection.repair()
    eventually(lambda: is_whole(cluster), 30)
    cluster.assert_all_well(subscribers, publishers, faults=1)


def dice_with_seed_in(folder: Path) -> random.Random:
    """Dice whose seed is kept in a file, so that a failure can be tried again."""
    seed = random.randrange(2**32)  # noqa: S311 - no secret
    (folder / "seed").write_text(str(seed))
    return random.Random(seed)  # noqa: S311 - the same


@pytest.mark.soak
def test_a_way_to_redis_that_comes_and_goes_loses_nothing(
    cluster: Cluster, subscribers: list[RecordingSubscriber], connection: Proxy, tmp_path: Path
) -> None:
    """A node is cut off for a moment or for long, again and again: nothing accepted is lost, and order is kept."""
    rng = dice_with_seed_in(tmp_path)
    publishers = cluster.load(6_000)
    for number in range(8):
        publishers[1].wait_accepted(number * 150)
        connection.cut()
        gevent.sleep(rng.choice([0.5, 3, 5, 7, 12]))  # what is tested is time that passes
        connection.repair()
        gevent.sleep(rng.choice([0.5, 2, 4]))  # the same
    cluster.assert_all_well(subscribers, publishers, faults=8)
    eventually(lambda: is_whole(cluster), 30)


@pytest.mark.soak
def test_random_faults_lose_nothing(
    cluster: Cluster, subscribers: list[RecordingSubscriber], connection: Proxy, tmp_path: Path
) -> None:
    """Nodes are killed, stopped, ended and cut off, and Redis is killed, at random: nothing accepted is lost."""
    rng = dice_with_seed_in(tmp_path)
    publishers = cluster.load(15_000)
    faults: list[Callable[[BusServer], None]] = [
        *(killed, stopped, terminated),
        *(lambda _: restarted(cluster.redis), lambda _: cut_off(connection)),
    ]
    for number in range(12):
        publishers[number % NODES].wait_accepted(number * 350)
        rng.choice(faults)(rng.choice(cluster.nodes))
    cluster.assert_all_well(subscribers, publishers, faults=12)


def killed(node: BusServer) -> None:
    """Kill a node, and start it again."""
    node.kill()
    node.start()


def stopped(node: BusServer) -> None:
    """Let a node do nothing for longer than it may be silent."""
    node.send(signal.SIGSTOP, whole_group=True)
    gevent.sleep(9)  # what is tested is time that passes
    node.send(signal.SIGCONT, whole_group=True)


def terminated(node: BusServer) -> None:
    """End a node as a deploy does, and start it again."""
    node.terminate(60)
    node.start()


def cut_off(connection: Proxy) -> None:
    """Let nothing pass between the first node and Redis for longer than it may be silent."""
    connection.cut()
    gevent.sleep(9)  # what is tested is time that passes
    connection.repair()


def restarted(redis: RedisServer) -> None:
    """Kill Redis, and start it again."""
    redis.kill()
    redis.start()


def test_a_redis_that_stands_still_refuses_and_delivers_all_afterwards(
    cluster: Cluster, subscribers: list[RecordingSubscriber]
) -> None:
    """While Redis does nothing for 12 seconds every publish is answered, 503 or kept; then all goes on by itself."""
    publishers = cluster.load(900)
    publishers[0].wait_accepted(100)
    cluster.redis.stop()
    stood = gevent.spawn(gevent.sleep, STANDS)  # what is tested is time that passes
    calls = [gevent.spawn_later(after, publish, node.port) for node in cluster.nodes for after in (0, 0.5, 1)]
    with gevent.Timeout(STANDS):
        gevent.joinall(calls, raise_error=True)
    assert {call.value.status for call in calls} == {503}
    stood.join()
    cluster.redis.go_on()
    eventually(lambda: all(publish(node.port).status == 200 for node in cluster.nodes), 30)
    cluster.assert_all_well(subscribers, publishers, faults=1)


def test_a_redis_that_is_a_replica_for_a_while_takes_nothing_and_goes_on(bus: BusServer, redis: RedisServer) -> None:
    """While Redis follows another server publishing is 503; when it is a master again all goes on by itself."""
    with RecordingSubscriber() as subscriber:
        Caller(bus.port).register(subscriber.address, lease=LEASE)
        ids = [Caller(bus.port).publish(BODY)]
        assert redis.ask("REPLICAOF", "127.0.0.1", "9") == b"+OK\r\n"
        refused = publish(bus.port)
        assert refused.status == 503
        assert "journal" in refused.text
        assert Caller(bus.port).call("GET", "/readyz").status == 503
        assert redis.ask("REPLICAOF", "NO", "ONE") == b"+OK\r\n"
        eventually(lambda: publish(bus.port).status == 200, 30)
        ids.append(Caller(bus.port).publish(BODY))
        subscriber.wait_for_ids(ids)
        assert Caller(bus.port).call("GET", "/readyz").status == 200


def memory(redis: RedisServer) -> int:
    """Bytes that Redis uses."""
    lines = redis.ask("INFO", "memory").decode().splitlines()
    return int(next(line for line in lines if line.startswith("used_memory:")).partition(":")[2])


def events(redis: RedisServer) -> int:
    """How many events are in the journal."""
    return int(redis.ask("XLEN", "{eventbus}:events")[1:])


def test_memory_returns_to_its_floor_and_nothing_goes_that_is_pending(bus: BusServer, redis: RedisServer) -> None:
    """After the retention Redis holds no event that is settled, and every one that a subscriber still has to get."""
    with RecordingSubscriber(keep_bodies=False) as well, RecordingSubscriber(keep_bodies=False) as ill:
        caller = Caller(bus.port)
        caller.register(well.address, lease=LEASE)
        caller.register(ill.address, lease=LEASE, topic="for.both")
        floor = memory(redis)
        ill.down()
        bodies = (b"x" * LARGE for _ in range(MANY))
        accepted = publish_all(bus.port, bodies, connections=16, target="/sendMessage?topic=for.both").accepted
        assert len(accepted) == MANY
        well.wait_for_ids(accepted)
        caller.publish(BODY, topic="for.one")
        eventually(lambda: events(redis) == MANY, 30)  # the newest has gone, and all of the others were looked at
        assert memory(redis) > floor + MANY * LARGE
        ill.up()
        caller.register(ill.address)
        ill.wait_for_ids(accepted)
        eventually(lambda: events(redis) == 0, 30)
        eventually(lambda: memory(redis) < floor + BESIDE, 30)
