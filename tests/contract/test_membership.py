"""Redis says which node has which lane: a fair share of those that nobody has, and all of a node that is gone."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

import pytest
import redis

from eventbus.core.addresses import parse_address
from eventbus.core.clock import Clock
from eventbus.core.model import Options, Subscriber
from eventbus.core.override import override
from eventbus.core.records import Checkpoint, LaneRecord
from eventbus.delivery.lane.lane_record import new_record
from eventbus.journal.cluster_journal import OwnershipListener
from eventbus.journal.redis import RedisJournal, RedisTiming
from eventbus.journal.redis.cluster import membership
from eventbus.journal.redis.cluster.membership import Membership
from eventbus.journal.redis.store.server import connect
from tests.support.deadline import eventually
from tests.support.lanes import EPOCH
from tests.support.redis_server import NEEDS_REDIS, RedisServer

pytestmark = NEEDS_REDIS
LANES = [f"host{number}" for number in range(6)]

#: No node sends a heartbeat by itself.
BY_HAND = RedisTiming(heartbeat_interval_seconds=1_000_000.0)


class Join(Protocol):
    """Joins as one more node."""

    def __call__(self, timing: RedisTiming = ...) -> Membership:
        """Join."""


@dataclass(slots=True)
class Heard(OwnershipListener):
    """What a node's listener was told."""

    lanes: list[str] = field(default_factory=list)
    too_many: list[int] = field(default_factory=list)
    losses: int = 0

    @override
    def acquired(self, lanes: Sequence[str]) -> None:
        self.lanes += lanes

    @override
    def rebalance(self, count: int) -> None:
        self.too_many.append(count)

    @override
    def lost(self) -> None:
        self.losses += 1

    @override
    def refused(self, lanes: Sequence[str]) -> None:
        self.lanes += [f"not {lane}" for lane in lanes]

    @override
    def heartbeat(self, until: float, changes: int) -> None:
        return


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis server with six lanes that nobody has."""
    with RedisServer(tmp_path, durable=False) as found:
        journal = RedisJournal(found.url)
        journal.open()
        records = tuple(new_record(Subscriber(parse_address(lane), Options()), EPOCH, 0) for lane in LANES)
        journal.checkpoint(Checkpoint(EPOCH, 0, lanes=records))
        journal.close()
        yield found


@pytest.fixture
def join(server: RedisServer) -> Iterator[Join]:
    """Makes nodes that have joined, and send heartbeats only when they are told to."""
    with ExitStack() as stack:

        def make(timing: RedisTiming = BY_HAND) -> Membership:
            node = Membership(connect(server.url, "test"), Clock(), timing)
            stack.callback(left, node)
            node.join()
            return node

        yield make


def left(node: Membership) -> None:
    """End a node, which may have ended already."""
    with suppress(redis.RedisError):
        node.leave()


def test_the_first_node_gets_all_that_nobody_has(join: Join) -> None:
    """A node that is alone gets every open lane, at its first sign of life."""
    node, heard = join(), Heard()
    node.start(heard)
    assert sorted(heard.lanes) == LANES
    assert node.owned() == set(LANES)


def test_a_node_that_joins_gets_what_another_lets_go(join: Join) -> None:
    """The one that has too much is told by how much, and what it lets go is the other's."""
    first, full, empty = join(), Heard(), Heard()
    first.start(full)
    second = join()
    second.start(empty)
    assert empty.lanes == []
    first.heartbeat()
    assert full.too_many == [3]
    first.release(LANES[:3])
    second.heartbeat()
    assert sorted(empty.lanes) == LANES[:3]
    assert (first.owner("host0"), first.owner("host5"), second.owner("host5")) == (second.id, None, first.id)


def test_a_lane_is_claimed_by_one_node(join: Join) -> None:
    """A node that claims what another one has is told who that is; a lane that nobody has is its own."""
    first, second = join(), join()
    assert first.claim("new") is None
    assert second.claim("new") == first.id
    first.release(["new"])
    assert second.claim("new") is None
    assert first.peers() == [second.id]


def test_who_leaves_has_nothing(join: Join) -> None:
    """What a node had that leaves is handed out at once."""
    first, heard = join(), Heard()
    first.heartbeat()
    second = join()
    first.leave()
    second.start(heard)
    assert sorted(heard.lanes) == LANES


def test_who_is_about_to_leave_gets_no_lanes_and_the_others_share_them_all(join: Join) -> None:
    """A node that withdraws lives on with what it has, is handed nothing, and leaves the others a larger share."""
    first, second, third, leaving, staying = join(), join(), join(), Heard(), Heard()
    first.start(leaving)
    first.release(leaving.lanes)
    leaving.lanes.clear()
    first.withdraw()
    assert leaving.lanes == []
    second.start(staying)
    assert len(second.owned()) == len(LANES) // 2
    second.heartbeat()
    assert staying.too_many == []
    third.heartbeat()
    assert len(third.owned()) == len(LANES) // 2
    assert sorted(second.peers()) == sorted([first.id, third.id])


def test_who_withdrew_and_left_counts_no_more(join: Join, server: RedisServer) -> None:
    """Nothing is kept of a node that withdrew and has left."""
    first, second = join(), join()
    first.withdraw()
    assert server.ask("SCARD", "{eventbus}:leaving") == b":1\r\n"
    first.leave()
    assert server.ask("SCARD", "{eventbus}:leaving") == b":0\r\n"
    second.heartbeat()
    assert second.owned() == set(LANES)


def test_lanes_that_no_live_node_has_are_known_until_another_has_them(join: Join, server: RedisServer) -> None:
    """What a dead node had is nobody's from the end of its sign until it is handed out, and so is what is let go."""
    first, second = join(), join()
    assert second.has_orphans()
    first.heartbeat()
    second.heartbeat()
    assert not second.has_orphans()
    server.ask("ZADD", "{eventbus}:nodes", "XX", "1", first.id)
    assert second.has_orphans()
    second.heartbeat()
    assert not second.has_orphans()
    second.release(LANES[:1])
    assert second.has_orphans()


def test_an_address_that_nobody_registered_is_no_orphan(join: Join, server: RedisServer) -> None:
    """A node that died with nothing but an address that was asked for leaves no list short."""
    first = join()
    first.heartbeat()
    second = join()
    assert second.claim("new") is None
    server.ask("ZADD", "{eventbus}:nodes", "XX", "1", second.id)
    assert not first.has_orphans()


def test_who_was_not_heard_has_lost_all_and_begins_anew(join: Join) -> None:
    """A node that showed no life for too long is told at its next sign, may act no more, and has a new name."""
    brief = replace(BY_HAND, alive_seconds=0.2, margin_seconds=0.1)
    first, former, heard = join(brief), Heard(), Heard()
    first.start(former)
    name = first.id
    second = join(brief)
    second.start(heard)
    eventually(lambda: (second.heartbeat(), len(heard.lanes) == len(LANES))[1], 10)
    assert Clock().monotonic() > first.until
    first.heartbeat()
    assert former.losses == 1
    assert first.id != name
    assert first.owned() == set()


def test_what_a_node_writes_for_a_lane_that_is_anothers_is_passed_over(server: RedisServer) -> None:
    """A checkpoint keeps what is the node's own, and tells of what is not."""
    first, second, heard = RedisJournal(server.url, timing=BY_HAND), RedisJournal(server.url), Heard()
    for journal in (first, second):
        journal.open()
    try:
        first.members.start(heard)
        first.members.release(heard.lanes)
        heard.lanes.clear()
        server.ask("SET", "{eventbus}:seq", "5")
        assert first.members.claim("host0") is None
        assert second.members.claim("host1") is None
        records = [journal_record(lane, 5) for lane in ("host0", "host1")]
        first.checkpoint(Checkpoint(EPOCH, 0, lanes=tuple(records)))
        assert heard.lanes == ["not host1"]
        kept = {record.subscriber.key: record.scanned for record, _ in second.lane_records(["host0", "host1"])}
        assert kept == {"host0": 5, "host1": 0}
    finally:
        first.close()
        second.close()


def journal_record(lane: str, scanned: int) -> LaneRecord:
    """A lane's record that has come so far."""
    return new_record(Subscriber(parse_address(lane), Options()), EPOCH, scanned)


def test_a_redis_that_does_not_answer_is_told_of_once(
    join: Join, server: RedisServer, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """However often a sign of life fails, there is a line when that begins, and one when it is over."""
    caplog.set_level("INFO", membership.__name__)
    node, tries = join(RedisTiming(heartbeat_interval_seconds=0.01)), list[None]()
    look = node.heartbeat

    def counted() -> None:
        tries.append(None)
        look()

    node.start(Heard())
    monkeypatch.setattr(node, "heartbeat", counted)
    for times in (1, 2):
        server.kill()
        tries.clear()
        eventually(lambda: len(tries) > 5, 10)
        server.start()
        eventually(lambda expected=times: caplog.messages.count("Redis answers again") == expected, 10)
        assert sum("Redis does not answer" in message for message in caplog.messages) == times
