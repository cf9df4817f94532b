"""Two buses on one Redis with the same file of declared subscribers: one of them delivers, and the other after it."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.support.caller import Caller
from tests.support.cluster import Cluster, cluster_on
from tests.support.deadline import eventually
from tests.support.redis_server import COMMAND, RedisServer
from tests.support.subscriber import RecordingSubscriber

pytestmark = pytest.mark.skipif(COMMAND is None, reason="there is no redis-server here")


@pytest.fixture
def service() -> Iterator[RecordingSubscriber]:
    """A service that knows nothing of a bus."""
    with RecordingSubscriber() as found:
        yield found


@pytest.fixture
def file(tmp_path: Path, service: RecordingSubscriber) -> Path:
    """The file that both nodes read."""
    found = tmp_path / "subscribers.toml"
    declare(found, service, timeout=3)
    return found


@pytest.fixture
def cluster(tmp_path: Path, file: Path) -> Iterator[Cluster]:
    """Two nodes, and a Redis that keeps every commit on disk."""
    environment = {"EVENTBUS_SUBSCRIBERS": str(file)}
    with RedisServer(tmp_path) as redis, cluster_on(tmp_path, redis, [redis.url] * 2, environment) as found:
        yield found


def declare(file: Path, service: RecordingSubscriber, timeout: int) -> None:
    """Declare the service."""
    file.write_text(f'[[subscriber]]\naddress = "{service.address}"\ntimeout = {timeout}\n')


def listed(caller: Caller) -> list[tuple[Any, ...]]:
    """What a node tells of all subscribers."""
    return [(one["address"], one["declared"], one["timeout"]) for one in caller.subscribers()]


def test_a_declared_subscriber_is_one_nodes_and_outlives_it(
    cluster: Cluster, file: Path, service: RecordingSubscriber
) -> None:
    """Both nodes list it once, each event comes once, and the survivor delivers to it on the file's terms."""
    began = f"lease of {service.address} began"
    (owner,) = (node for node in cluster.nodes if began in node.log_text())
    survivor = next(node for node in cluster.nodes if node is not owner)
    assert [listed(caller) for caller in cluster.callers()] == [[(service.address, True, 3)]] * 2
    service.wait_for_ids([caller.publish() for caller in cluster.callers() for _ in range(10)], 30)
    assert set(service.counts.values()) == {1}

    declare(file, service, timeout=4)
    for caller in cluster.callers():
        eventually(lambda caller=caller: listed(caller) == [(service.address, True, 4)], 30)

    owner.kill()
    service.wait_for_ids([Caller(survivor.port).publish()], 60)
    eventually(lambda: listed(Caller(survivor.port)) == [(service.address, True, 4)], 30)

    owner.start()
    service.wait_for_ids([Caller(owner.port).publish()], 30)
    for caller in cluster.callers():
        eventually(lambda caller=caller: listed(caller) == [(service.address, True, 4)], 30)
    assert set(service.counts.values()) == {1}
