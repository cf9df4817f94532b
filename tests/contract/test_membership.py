"""Redis says which node has which lane: a fair share of those that nobody has, and all of a node that is gone."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest
import redis

from eventbus.core.addresses import parse_address
from eventbus.core.clock import Clock
from eventbus.core.model import Checkpoint, LaneRecord, Options, Subscriber
from eventbus.delivery.lane.lane_record import new_record
from eventbus.journal.redis import RedisJournal
from eventbus.journal.redis.cluster import membership
from eventbus.journal.redis.cluster.membership import Membership
from eventbus.journal.redis.store.server import connect
from tests.support.deadline import eventually
from tests.support.lanes import EPOCH
from tests.support.redis_server import COMMAND, RedisServer

pytestmark = pytest.mark.skipif(COMMAND is None, reason="there is no redis-server here")
LANES = [f"host{number}" for number in range(6)]

Join = Callable[[], Membership]


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
    """Makes nodes, which have joined and write down in ``got`` and ``surplus`` what they are told."""
    with ExitStack() as stack:

        def make() -> Membership:
            node = Membership(connect(server.url, "test"), Clock())
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
    node, got = join(), []
    node.took = got.extend
    node.heartbeat()
    assert sorted(got) == LANES
    assert node.mine() == set(LANES)


def test_a_node_that_joins_gets_what_another_lets_go(join: Join) -> None:
    """The one that has too much is told by how much, and what it lets go is the other's."""
    first, second, surplus, got = join(), None, [], []
    first.heartbeat()
    second = join()
    second.took, first.surplus = got.extend, surplus.append
    second.heartbeat()
    assert got == []
    first.heartbeat()
    assert surplus == [3]
    first.release(LANES[:3])
    second.heartbeat()
    assert sorted(got) == LANES[:3]
    assert (first.owner("host0"), first.owner("host5"), second.owner("host5")) == (second.id, None, first.id)


def test_a_lane_is_claimed_by_one_node(join: Join) -> None:
    """A node that claims what another one has is told who that is; a lane that nobody has is its own."""
    first, second = join(), join()
    assert first.claim("new") is None
    assert second.claim("new") == first.id
    first.release(["new"])
    assert second.claim("new") is None
    assert first.others() == [second.id]


def test_who_leaves_has_nothing(join: Join) -> None:
    """What a node had that leaves is handed out at once."""
    first, got = join(), []
    first.heartbeat()
    second = join()
    second.took = got.extend
    first.leave()
    second.heartbeat()
    assert sorted(got) == LANES


def test_who_is_about_to_leave_gets_no_lanes_and_the_others_share_them_all(join: Join) -> None:
    """A node that withdraws lives on with what it has, is handed nothing, and leaves the others a larger share."""
    first, second, third, surplus, got = join(), join(), join(), [], []
    first.heartbeat()
    second.surplus, first.took = surplus.append, got.extend
    first.release(LANES)
    first.withdraw()
    assert got == []
    second.heartbeat()
    assert len(second.mine()) == len(LANES) // 2
    second.heartbeat()
    assert surplus == []
    third.heartbeat()
    assert len(third.mine()) == len(LANES) // 2
    assert sorted(second.others()) == sorted([first.id, third.id])


def test_who_withdrew_and_left_counts_no_more(join: Join, server: RedisServer) -> None:
    """Nothing is kept of a node that withdrew and has left."""
    first, second = join(), join()
    first.withdraw()
    assert server.ask("SCARD", "{eventbus}:leaving") == b":1\r\n"
    first.leave()
    assert server.ask("SCARD", "{eventbus}:leaving") == b":0\r\n"
    second.heartbeat()
    assert second.mine() == set(LANES)


def test_lanes_that_no_live_node_has_are_known_until_another_has_them(join: Join, server: RedisServer) -> None:
    """What a dead node had is nobody's from the end of its sign until it is handed out, and so is what is let go."""
    first, second = join(), join()
    assert second.orphans()
    first.heartbeat()
    second.heartbeat()
    assert not second.orphans()
    server.ask("ZADD", "{eventbus}:nodes", "XX", "1", first.id)
    assert second.orphans()
    second.heartbeat()
    assert not second.orphans()
    second.release(LANES[:1])
    assert second.orphans()


def test_an_address_that_nobody_registered_is_no_orphan(join: Join, server: RedisServer) -> None:
    """A node that died with nothing but an address that was asked for leaves no list short."""
    first = join()
    first.heartbeat()
    second = join()
    assert second.claim("new") is None
    server.ask("ZADD", "{eventbus}:nodes", "XX", "1", second.id)
    assert not first.orphans()


def test_who_was_not_heard_has_lost_all_and_begins_anew(join: Join, monkeypatch: pytest.MonkeyPatch) -> None:
    """A node that showed no life for too long is told at its next sign, may act no more, and has a new name."""
    monkeypatch.setattr(membership, "ALIVE_SECONDS", 0.2)
    monkeypatch.setattr(membership, "MARGIN", 0.1)
    first, lost, got = join(), [], []
    first.heartbeat()
    name = first.id
    first.lost = lambda: lost.append(first.until)
    second = join()
    second.took = got.extend
    eventually(lambda: (second.heartbeat(), len(got) == len(LANES))[1], 10)
    assert Clock().monotonic() > first.until
    first.heartbeat()
    assert lost == [float("-inf")]
    assert first.id != name
    assert first.mine() == set()


def test_what_a_node_writes_for_a_lane_that_is_anothers_is_passed_over(server: RedisServer) -> None:
    """A checkpoint keeps what is the node's own, and tells of what is not."""
    first, second = RedisJournal(server.url), RedisJournal(server.url)
    taken: list[str] = []
    first.on_taken(taken.extend)
    for journal in (first, second):
        journal.open()
    try:
        server.ask("SET", "{eventbus}:seq", "5")
        assert first.members.claim("host0") is None
        assert second.members.claim("host1") is None
        records = [journal_record(lane, 5) for lane in ("host0", "host1")]
        first.checkpoint(Checkpoint(EPOCH, 0, lanes=tuple(records)))
        assert taken == ["host1"]
        kept = {record.subscriber.key: record.scanned for record, _ in second.kept(["host0", "host1"])}
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
    monkeypatch.setattr(membership, "SIGN_EVERY", 0.01)
    caplog.set_level("INFO", membership.__name__)
    node, tries = join(), list[None]()
    look = node.heartbeat

    def counted() -> None:
        tries.append(None)
        look()

    node.start()
    monkeypatch.setattr(node, "heartbeat", counted)
    for times in (1, 2):
        server.kill()
        tries.clear()
        eventually(lambda: len(tries) > 5, 10)
        server.start()
        eventually(lambda expected=times: caplog.messages.count("Redis answers again") == expected, 10)
        assert sum("Redis does not answer" in message for message in caplog.messages) == times
