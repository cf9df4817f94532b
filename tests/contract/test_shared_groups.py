"""Buses that share a journal agree on who is a member of which group, and one of them delivers for a group."""

from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.errors import Conflict, JournalUnavailable, NotOwner
from eventbus.delivery.lane.group_lane import GroupLane
from eventbus.delivery.lane.lane import Lane
from eventbus.journal.copy.copying import RecordKind
from eventbus.journal.redis.store.copy_commands import commands
from tests.support.deadline import eventually
from tests.support.lanes import ENOUGH, TAKEN
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.shared import SharedBus, move, shared

pytestmark = NEEDS_REDIS
A, B, C = (f"127.0.0.1:{port}" for port in (8001, 8002, 8003))
G, H = "mailer", "printer"
G_KEY = f"group={G}"
IN_G = f"is a member of the group {G}"
ALONE = "is registered without a group"


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server for all tests of this module."""
    with RedisServer(tmp_path_factory.mktemp("redis"), durable=False) as found:
        yield found


@pytest.fixture
def two(server: RedisServer) -> Iterator[tuple[SharedBus, SharedBus]]:
    """Two buses on an empty journal, whose subscribers take everything."""
    with shared(server.url, always=TAKEN) as first, shared(server.url, always=TAKEN) as second:
        yield first, second
    server.ask("FLUSHALL")


Two = tuple[SharedBus, SharedBus]


def group_of(bus: SharedBus, *addresses: str) -> list[str | None]:
    """The group of each address, as the journal has it once all is saved."""
    bus.bus.dispatcher.checkpointer.save()
    return [bus.journal.nodes.group_of(address) for address in addresses]


def members_of(lane: Lane) -> list[str]:
    """The addresses of a group's members, those first that joined first."""
    assert isinstance(lane, GroupLane)
    return [member.subscriber.key for member in lane.roster]


# Which group an address is in


def test_the_journal_knows_the_group_of_each_member_while_it_is_one(two: Two) -> None:
    """Every node finds a member's group, until the member leaves, answers 410, or the group ends."""
    first, second = two
    for address in (A, B, C):
        first.join(address, G)
    assert group_of(second, A, B, C, "127.0.0.1:8004") == [G_KEY, G_KEY, G_KEY, None]
    first.bus.deregister(A)
    assert group_of(second, A, B, C) == [None, G_KEY, G_KEY]
    first.transport.always = ENOUGH
    first.publish()
    eventually(lambda: None in group_of(first, B, C), 10)
    first.bus.deregister(G_KEY)
    assert group_of(second, A, B, C) == [None, None, None]


def test_nothing_is_left_of_a_group_that_is_gone(server: RedisServer, two: Two) -> None:
    """What is kept of members is bounded by those that there are."""
    first, _ = two
    first.join(A, G)
    first.join(B, H)
    first.bus.deregister(A)
    first.bus.deregister(f"group={H}")
    eventually(lambda: group_of(first, A, B) == [None, None], 10)
    assert server.ask("EXISTS", "{eventbus}:groups", "{eventbus}:members") == b":0\r\n"


def test_an_index_that_is_missing_is_made_when_a_group_is_acquired(server: RedisServer, two: Two) -> None:
    """A journal without it, such as one of an older node, has it as soon as a node goes on with the group."""
    first, second = two
    first.join(A, G)
    move(first, second)
    server.ask("DEL", "{eventbus}:groups", "{eventbus}:members")
    move(second, first)
    assert group_of(first, A) == [G_KEY]


def test_a_copy_has_the_group_of_each_member(two: Two) -> None:
    """A journal that was copied knows it before a node runs on it."""
    first, _ = two
    first.join(A, G)
    first.join(B, G)
    ((record, _),) = first.journal.lane_records([G_KEY])
    written = list(commands(RecordKind.LANES, [record]))
    assert [each[2:] for each in written if each[1] == "{eventbus}:groups"] == [(A, G_KEY), (B, G_KEY)]
    assert ("HSET", "{eventbus}:members", G_KEY, f"{A} {B}") in written


# Conflicts


def test_an_address_is_in_one_group_or_alone_whichever_node_is_asked(two: Two) -> None:
    """It is told what it is; once it has deregistered there, it may register elsewhere."""
    first, second = two
    first.register(A)
    first.join(B, G)
    with pytest.raises(Conflict, match=ALONE):
        second.join(A, H)
    with pytest.raises(Conflict, match=IN_G):
        second.join(B, H)
    with pytest.raises(Conflict, match=IN_G):
        second.register(B)
    assert second.journal.members.owned() == set()
    first.bus.deregister(A)
    first.bus.deregister(B)
    second.join(A, H)
    second.register(B)
    assert group_of(second, A, B) == [f"group={H}", None]


@pytest.mark.parametrize("groups", [(None, G), (G, None), (G, H)])
def test_of_two_nodes_that_register_an_address_at_once_one_does(
    two: Two, monkeypatch: pytest.MonkeyPatch, groups: tuple[str | None, str | None]
) -> None:
    """Redis decides which: the other has kept nothing, and goes on with all that it had."""
    for bus in two:
        monkeypatch.setattr(bus.journal, "subscription_of", lambda _: None)  # as they looked before
    for group, bus, other in zip(groups, two, (B, C), strict=True):
        _enter(bus, other, group)
    _enter(two[0], A, groups[0])
    lanes = dict(two[1].bus.dispatcher.lanes)
    with pytest.raises(Conflict, match=ALONE if groups[0] is None else IN_G):
        _enter(two[1], A, groups[1])
    assert group_of(two[1], A) == [groups[0] and f"group={groups[0]}"]
    assert two[1].bus.dispatcher.lanes == lanes
    assert A not in two[1].bus.dispatcher.registry.groups
    two[1].publish(3)
    for lane in lanes.values():
        eventually(lambda lane=lane: lane.delivered == 3, 10)
    two[1].bus.dispatcher.checkpointer.save()
    assert [lane.phase.value for lane in lanes.values()] == ["active"]


def _enter(bus: SharedBus, address: str, group: str | None) -> None:
    """Register an address alone, or in a group."""
    if group is None:
        bus.register(address)
    else:
        bus.join(address, group)


def test_a_refused_member_is_tried_once_while_others_of_its_batch_join(two: Two) -> None:
    """What shares a commit with a registration that is refused is kept."""
    first, second = two
    first.register(A)
    second.join(B, G)
    joining = [gevent.spawn(second.join, address, G) for address in (A, C)]
    gevent.joinall(joining, timeout=10)
    assert isinstance(joining[0].exception, Conflict)
    assert members_of(joining[1].value) == [B, C]
    assert group_of(first, A, C) == [None, G_KEY]


def test_one_whose_position_is_kept_may_join_and_resumes_when_it_has_left(two: Two) -> None:
    """While it is a member elsewhere it cannot resume."""
    first, second = two
    first.register(A, resume=True)
    first.bus.sweeper.expire(first.bus.dispatcher.lanes[A].lease)
    first.bus.node.leases.end(A)
    first.bus.dispatcher.checkpointer.save()
    second.join(A, G)
    with pytest.raises(Conflict, match=IN_G):
        first.register(A, resume=True)
    second.bus.deregister(A)
    assert first.register(A, resume=True).ended_at is None


def test_one_that_has_just_left_may_register_at_once(two: Two) -> None:
    """A node that knows better than the journal saves that first."""
    first, _ = two
    first.join(A, G)
    first.join(B, G)
    first.register(C)
    first.bus.memberships.expire(A)
    first.bus.sweeper.expire(first.bus.dispatcher.lanes[C].lease)
    first.bus.node.leases.end(C)
    first.register(A)
    first.join(C, G)
    assert group_of(first, A, C) == [None, G_KEY]


# Another node goes on


def test_a_group_that_is_handed_over_goes_on_with_its_members(two: Two) -> None:
    """Each member has a fresh lease at the next owner, which has what is pending."""
    first, second = two
    first.bus.dispatcher.deliver_until(0.0)  # it delivers nothing
    for address in (A, B):
        first.join(address, G)
    ids = first.publish(4)
    eventually(lambda: second.bus.dispatcher.recent.newest == 4, 10)
    move(first, second)
    lane = second.bus.dispatcher.lanes[G_KEY]
    assert members_of(lane) == [A, B]
    now = second.bus.clock.monotonic()
    assert [second.bus.node.leases.get(each, now) is not None for each in (A, B)] == [True, True]
    assert [first.bus.node.leases.get(each, now) for each in (A, B)] == [None, None]
    assert first.bus.dispatcher.registry.groups == {}
    eventually(lambda: lane.delivered == 4, 10)
    assert {event_id: count for (_, event_id), count in second.transport.taken.items()} == dict.fromkeys(ids, 1)
    assert second.join(A, G) is lane


def test_a_dead_nodes_group_is_gone_on_with_by_another(server: RedisServer, two: Two) -> None:
    """The next owner has the members, and what the former one still writes counts for nothing."""
    first, second = two
    first.join(A, G)
    first.publish(1)
    eventually(lambda: first.bus.dispatcher.lanes[G_KEY].delivered == 1, 10)
    first.bus.dispatcher.checkpointer.save()
    server.ask("ZREM", "{eventbus}:nodes", first.journal.members.id)
    second.sharing.claim(G_KEY)
    second.join(B, G)
    first.bus.dispatcher.lanes[G_KEY].touch()
    first.bus.dispatcher.checkpointer.save()
    assert first.bus.dispatcher.registry.groups == {}
    first.journal.members.heartbeat()
    with pytest.raises(NotOwner):
        first.join(C, G)
    second.publish(1)
    eventually(lambda: second.bus.dispatcher.lanes[G_KEY].delivered == 2, 10)
    assert members_of(second.bus.dispatcher.lanes[G_KEY]) == [A, B]
    assert group_of(second, A, B, C) == [G_KEY, G_KEY, None]


def test_who_deregisters_and_is_not_registered_takes_up_no_share(two: Two) -> None:
    """A node owns nothing of an address or a group that the journal does not know, and acquires others as before."""
    first, _ = two
    first.bus.deregister(A)
    first.bus.deregister(G_KEY)
    assert first.journal.members.owned() == set()


def test_a_member_cannot_leave_where_its_group_is_not(two: Two) -> None:
    """A node that the group has left says so, and does not tell that the member is gone."""
    first, second = two
    first.join(A, G)
    move(first, second)
    with pytest.raises(NotOwner):
        first.bus.deregister(A)
    assert group_of(second, A) == [G_KEY]


def test_without_redis_nobody_is_told_that_an_address_is_free(two: Two, monkeypatch: pytest.MonkeyPatch) -> None:
    """A registration fails where nobody can tell whether the address is in a group."""
    first, _ = two

    def silent(_: Any) -> None:
        raise JournalUnavailable("Redis does not answer.")

    monkeypatch.setattr(first.journal, "subscription_of", silent)
    with pytest.raises(JournalUnavailable):
        first.register(A)
    with pytest.raises(JournalUnavailable):
        first.join(A, G)
    assert parse_address(A).key not in first.bus.dispatcher.lanes
