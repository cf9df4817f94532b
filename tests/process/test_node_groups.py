"""Several buses on one Redis deliver for a group as one: each event goes to one member, and any bus may die."""

import signal
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import gevent
import pytest

from tests.support.caller import JSON, register_target
from tests.support.cluster import BODY, LEASE, REPEATED, Cluster, cluster_on
from tests.support.deadline import eventually
from tests.support.publisher import Publisher
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.server import BusServer
from tests.support.subscriber import Answer, Received, RecordingSubscriber

pytestmark = NEEDS_REDIS
NODES, MEMBERS, EVENTS = 2, 3, 900
GROUP = "mailer"
#: Seconds that a member works at an event.
WORK_SECONDS = 0.002
KEYS, ALL = ("customer-1", "customer-2", "customer-3"), "all"


@dataclass(slots=True)
class Service:
    """What the members of a group do: they notice how many work at once, at the same event, at one key, or at any."""

    members: list[RecordingSubscriber] = field(default_factory=list)
    received: list[str] = field(default_factory=list)  #: ids in the order they came, to any member
    keys: dict[str, str] = field(default_factory=dict)  #: the order key of each event
    at_work: Counter[str] = field(default_factory=Counter)  #: by event, by key, and all
    most_at_once: Counter[str] = field(default_factory=Counter)

    def work(self, request: Received) -> Answer:
        """Work at an event, and take it."""
        self.received.append(request.id)
        key = self.keys[request.id] = request.header("Eventbus-Key") or ""
        same = (request.id, key, ALL)
        self.at_work.update(same)
        self.most_at_once |= self.at_work
        gevent.event.Event().wait(WORK_SECONDS)
        self.at_work.subtract(same)
        return 200, (), b""

    @property
    def counts(self) -> Counter[str]:
        """How often each event came, to any member."""
        return Counter(self.received)


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Two nodes, and a Redis that keeps every commit on disk."""
    with RedisServer(tmp_path) as redis, cluster_on(tmp_path, redis, [redis.url] * NODES) as found:
        yield found


@pytest.fixture
def service() -> Iterator[Service]:
    """Three members that listen."""
    with ExitStack() as stack:
        found = Service()
        found.members = [stack.enter_context(RecordingSubscriber(found.work)) for _ in range(MEMBERS)]
        yield found


def join(cluster: Cluster, service: Service, **options: Any) -> BusServer:
    """Let the members join, each at one node or the other; the node that delivers for them."""
    for number, member in enumerate(service.members):
        answer = cluster.callers()[number % NODES].register(member.address, group=GROUP, lease=LEASE, **options)
        assert (answer["created"], answer["group"]) == (True, GROUP)
    (owner,) = (node for node in cluster.nodes if "joined the group" in node.log_text())
    return owner


def load(cluster: Cluster) -> list[Publisher]:
    """Publishers of events with each order key at every node."""
    each = EVENTS // NODES // len(KEYS)
    return [
        Publisher(node.port, [BODY] * each, connections=2, timeout=240, target=f"/sendMessage?key={key}").start()
        for node in cluster.nodes
        for key in KEYS
    ]


def other_than(cluster: Cluster, node: BusServer) -> BusServer:
    """The other node."""
    return next(each for each in cluster.nodes if each is not node)


def group(cluster: Cluster, number: int = 0) -> dict[str, Any] | None:
    """The group as a node tells of it; None while it does not."""
    answer = cluster.callers()[number].call("GET", "/listSubscribers", [JSON])
    return next(iter(answer.json()["groups"]), None) if answer.status == 200 else None


def is_at_rest(cluster: Cluster) -> bool:
    """Whether the group has nothing pending; its account adds up."""
    found = group(cluster)
    if found is None or found["pending"]:
        return False
    assert found["accepted"] == found["delivered"] + found["dead"] + found["discarded"], found
    return True


def assert_all_came(cluster: Cluster, service: Service, publishers: list[Publisher], *, repeated: int) -> None:
    """All that was accepted has come to some member, none to two at once; all members are still there."""
    accepted = {event_id for publisher in publishers for event_id in publisher.join().accepted}
    assert accepted
    eventually(lambda: accepted <= set(service.received), 60)
    eventually(lambda: is_at_rest(cluster), 30)
    assert {service.most_at_once[event_id] for event_id in accepted} == {1}
    assert service.counts.total() - len(service.counts) <= repeated
    addresses = [member.address for member in service.members]
    for number in range(NODES):
        assert [each["address"] for each in (group(cluster, number) or {})["members"]] == addresses
    assert all(member.received for member in service.members)


def assert_in_order(cluster: Cluster, service: Service, *keys: str) -> None:
    """The events with these order keys have come in the journal's order, repeated ones aside."""
    order = {event_id: index for index, event_id in enumerate(cluster.journal_order())}
    first = [event_id for event_id in dict.fromkeys(service.received) if service.keys[event_id] in keys]
    indexes = [order[event_id] for event_id in first if event_id in order]
    assert indexes
    assert indexes == sorted(indexes)


@pytest.mark.parametrize(
    "ordered", [pytest.param("false", marks=pytest.mark.soak), pytest.param("true", marks=pytest.mark.soak), "key"]
)
def test_a_node_is_killed_that_delivers_for_a_group(cluster: Cluster, service: Service, ordered: str) -> None:
    """Another goes on with the members: nothing is lost, and in order where that was asked for."""
    owner = join(cluster, service, ordered=ordered)
    other = other_than(cluster, owner)
    publishers = load(cluster)
    eventually(lambda: len(service.received) > EVENTS // 10, 30)
    owner.kill()
    eventually(lambda: "subscriptions acquired" in other.log_text(), 20)
    owner.start()
    assert_all_came(cluster, service, publishers, repeated=REPEATED)
    if ordered == "true":
        assert service.most_at_once[ALL] == 1
        assert_in_order(cluster, service, *KEYS)
    elif ordered == "key":
        assert [service.most_at_once[key] for key in KEYS] == [1] * len(KEYS)
        for key in KEYS:
            assert_in_order(cluster, service, key)


def test_a_node_that_ends_hands_its_group_over_and_nothing_comes_twice(cluster: Cluster, service: Service) -> None:
    """A restart of the node that delivers is not noticed by the members."""
    owner = join(cluster, service)
    publishers = load(cluster)
    eventually(lambda: len(service.received) > EVENTS // 10, 30)
    owner.send(signal.SIGTERM)
    assert owner.ended() == 0
    owner.start()
    assert_all_came(cluster, service, publishers, repeated=0)


def test_a_renewal_reaches_a_dead_nodes_group(cluster: Cluster, service: Service) -> None:
    """What a member asks of another node is done as soon as that has the group, and no member is new there."""
    owner = join(cluster, service)
    caller = cluster.callers()[cluster.nodes.index(other_than(cluster, owner))]
    owner.kill()
    asked = [gevent.spawn(caller.register, each.address, group=GROUP, lease=LEASE) for each in service.members]
    gevent.joinall(asked, timeout=10)
    assert [each.get(block=False)["created"] for each in asked] == [False] * MEMBERS


def test_each_node_takes_what_a_member_asks(cluster: Cluster, service: Service) -> None:
    """A member may renew, drain and leave at any node, and is refused elsewhere by any while it is in the group."""
    join(cluster, service)
    address = service.members[0].address
    refused = f"{address} is a member of the group {GROUP}; add group={GROUP}, or deregister it first."
    for caller in cluster.callers():
        assert caller.register(address, group=GROUP, timeout=7)["timeout"] == 7
        for target in (register_target(address), register_target(address, group="printer")):
            answer = caller.call("POST", target)
            assert (answer.status, answer.text) == (400, f"Error:{refused}")
            assert caller.call("POST", target, [JSON]).status == 409
    for caller, draining in zip(cluster.callers(), (True, False), strict=True):
        assert caller.register(address, group=GROUP, drain=draining)["draining"] is draining
    for caller, member in zip(cluster.callers(), service.members, strict=False):
        caller.deregister(member.address)
    left = service.members[-1]
    assert [[each["address"] for each in caller.subscribers()] for caller in cluster.callers()] == [
        [left.address]
    ] * NODES
    ids = [caller.publish(BODY) for caller in cluster.callers()]
    left.wait_for_ids(ids)
    cluster.callers()[0].register(address)
    assert cluster.callers()[1].subscriber(address)["group"] is None


def test_each_node_makes_dry_runs(cluster: Cluster) -> None:
    """Whichever node is asked, a dry run tells of the group as it is, and of all events; it adds no member."""
    first, second = cluster.callers()
    first.register("127.0.0.1:10", group=GROUP, topic="other", filter='{"exact":{"data.n":1}}', lease=LEASE)
    event_id = first.publish(b'{"n":1}', topic="dry")
    for caller in (first, second):
        eventually(lambda caller=caller: caller.call("GET", f"/events/{event_id}").status == 200, 10)
        query = f"address=127.0.0.1:9&group={GROUP}&topic=dry&dry_run=true"
        found = caller.call("POST", f"/registerAndKeepAlive?{query}").json()
        assert (found["created"], found["filter"]) == (True, {"exact": {"data.n": 1}})
        assert (found["matches"], [one["id"] for one in found["newest"]]) == (1, [event_id])
        assert not caller.listed("127.0.0.1:9")
