"""Buses whose Redis is watched by Sentinels, or is a cluster, lose nothing that is on the server that takes over."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from tests.support.cluster import Cluster, cluster_on, registered
from tests.support.redis_groups import Group, clustered, watched
from tests.support.redis_server import NEEDS_REDIS

pytestmark = NEEDS_REDIS
NODES = 2
EVENTS = 2_000


@pytest.fixture(params=[pytest.param(watched, marks=pytest.mark.soak), clustered])  # Sentinels take their time
def group(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Group]:
    """A master and its replica, found by Sentinels or in a cluster."""
    make: Callable[[Path], AbstractContextManager[Group]] = request.param
    with make(tmp_path) as found:
        yield found


@pytest.fixture
def cluster(tmp_path: Path, group: Group) -> Iterator[Cluster]:
    """Two nodes, which want each event on the replica before it counts as accepted."""
    with cluster_on(tmp_path, group.master, [group.url] * NODES, {"EVENTBUS_REDIS_REPLICAS": "1"}) as found:
        yield found


def test_a_failover_under_load_loses_nothing_that_a_replica_has(cluster: Cluster, group: Group) -> None:
    """The master is killed under load; what was accepted by then is delivered by way of the one that takes over."""
    with registered(cluster) as subscribers:
        before = cluster.load(EVENTS)
        for publisher in before:
            publisher.wait_accepted(EVENTS // NODES // 4)
        group.fail_over()
        group.come_back()  # without a replica nothing would be accepted
        after = cluster.load(EVENTS // 4)
        for publisher in after:
            publisher.wait_accepted(1)
        cluster.assert_all_well(subscribers, (*before, *after), faults=NODES)
