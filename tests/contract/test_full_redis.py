"""A Redis at its maxmemory refuses new events, and nothing else that the buses need."""

from collections.abc import Iterator
from dataclasses import dataclass, replace

import gevent
import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.errors import JournalOutOfMemory
from eventbus.core.model import Account, Options, Subscriber
from eventbus.core.records import Checkpoint, DeadLetter, Discard, LaneRecord, Retry
from eventbus.delivery.lane.lane_record import new_record
from eventbus.journal.redis import RedisJournal
from eventbus.journal.redis.cluster.calls import Calls
from tests.support.deadline import eventually
from tests.support.events import message
from tests.support.failed import failed
from tests.support.lanes import EPOCH, TAKEN
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.shared import SharedBus, shared

pytestmark = NEEDS_REDIS
A, B = "127.0.0.1:8001", "127.0.0.1:8002"
NODES = "{eventbus}:nodes"


@pytest.fixture
def journal(redis: RedisServer) -> Iterator[RedisJournal]:
    """A journal on it."""
    found = RedisJournal(redis.url)
    found.open()
    yield found
    found.close()


@dataclass(frozen=True, slots=True)
class Member:
    """A node by its name."""

    id: str


@pytest.fixture
def bus(redis: RedisServer) -> Iterator[SharedBus]:
    """A bus on it, all of whose deliveries are taken."""
    with shared(redis.url, always=TAKEN) as found:
        yield found


def fill(redis: RedisServer) -> None:
    """Let it have less than it uses."""
    assert redis.ask("CONFIG", "SET", "maxmemory", "1mb") == b"+OK\r\n"


def empty(redis: RedisServer) -> None:
    """Let it have what it wants."""
    assert redis.ask("CONFIG", "SET", "maxmemory", "0") == b"+OK\r\n"


def record(address: str = A) -> LaneRecord:
    """A subscriber's record."""
    return new_record(Subscriber(parse_address(address), Options()), EPOCH, 0)


def letter(seq: int) -> DeadLetter:
    """A dead letter about an event."""
    return DeadLetter(A, seq, 0, "rejected", 1, EPOCH, EPOCH, 400, "", b"no")


def waiting(seq: int) -> Retry:
    """A delivery that waits for its next attempt."""
    return Retry(A, seq, 0, 1, EPOCH, EPOCH, 503, "")


def test_a_node_shows_life_takes_gives_and_leaves(redis: RedisServer, bus: SharedBus) -> None:
    """Whoever joins, claims, hands over and leaves while memory is short does so as ever."""
    bus.register(A)
    fill(redis)
    with shared(redis.url, always=TAKEN) as joined:
        bus.journal.members.heartbeat()
        assert bus.journal.members.peers() == [joined.journal.members.id]
        bus.journal.members.release([A])
        joined.journal.members.heartbeat()
        joined.register(B)
        assert {A, B} <= joined.journal.members.owned()
        joined.bus.cluster.withdraw()
    bus.journal.members.heartbeat()
    assert {A, B} <= bus.journal.members.owned()


def test_a_node_that_died_is_followed_by_another(redis: RedisServer, bus: SharedBus) -> None:
    """What a node had that shows no life any more is another's, though memory is short."""
    bus.register(A)
    redis.ask("ZADD", NODES, "1", bus.journal.members.id)  # as if it had not been heard for long
    fill(redis)
    with shared(redis.url, always=TAKEN) as other:
        eventually(lambda: (other.journal.members.heartbeat(), A in other.journal.members.owned())[1], 10)
        bus.journal.members.heartbeat()
        assert A not in bus.journal.members.owned()


def test_every_change_of_a_lane_is_kept(redis: RedisServer, journal: RedisJournal) -> None:
    """Retries, dead letters and decisions are saved where memory is short: else nothing could be settled."""
    for seq in range(1, 6):
        journal.append([message(f"id-{seq}")])
    fill(redis)
    journal.checkpoint(Checkpoint(EPOCH, 5, lanes=(record(),), retries=(waiting(1), waiting(2))))
    journal.checkpoint(Checkpoint(EPOCH, 5, settled_retries=((A, 1, 0),), dead=(letter(3), letter(4), letter(5))))
    kept = [found.id for found in journal.dead_letters(A, 0, 10)]
    journal.checkpoint(Checkpoint(EPOCH, 5, replayed=(kept[0],)))
    journal.checkpoint(Checkpoint(EPOCH, 5, dropped=(kept[1],)))
    assert [row.seq for row in journal.retries(A, by_seq=True, limit=10)] == [2, 3]
    assert [found.letter.seq for found in journal.dead_letters(A, 0, 10)] == [5]
    journal.checkpoint(Checkpoint(EPOCH, 5, cleared=(A,)))
    journal.checkpoint(Checkpoint(EPOCH, 5, discards=(Discard(A, 1, 1),)))
    assert sorted(failed(journal, 1) + failed(journal, 2)) == [(A, "discarded")] * 2
    journal.checkpoint(Checkpoint(EPOCH, 5, lanes=(replace(record(), ended_at=EPOCH, account=Account()),)))
    journal.checkpoint(Checkpoint(EPOCH, 5, forgotten=(A,)))
    assert journal.lane(A) is None


def test_a_place_alone_is_kept(redis: RedisServer, journal: RedisJournal) -> None:
    """How far the journal has been offered is saved, so that nothing which waits for a save is refused."""
    journal.append([message("one")])
    fill(redis)
    journal.checkpoint(Checkpoint(EPOCH, 1))
    journal.append(())  # as after a registration: it waits for what was written before


def test_a_repeated_publish_is_answered_and_a_new_one_refused(redis: RedisServer, journal: RedisJournal) -> None:
    """An event that is in the journal already needs no memory; in the same commit another one is refused."""
    first = journal.append([message("one")], "order-7")
    fill(redis)
    repeated = gevent.spawn(journal.append, [message("two")], "order-7")
    new = gevent.spawn(journal.append, [message("three")], "order-8")
    answer = repeated.get(timeout=20)
    assert (answer.ids, answer.duplicate) == (first.ids, True)
    with pytest.raises(JournalOutOfMemory, match="maxmemory"):
        new.get(timeout=20)
    empty(redis)
    assert not journal.append([message("three")], "order-8").duplicate
    assert [found.id for found in journal.find(range(1, 9))] == ["one", "three"]


def test_the_probe_says_that_nothing_new_is_taken(redis: RedisServer, journal: RedisJournal) -> None:
    """A bus that would refuse an event is not ready, and is again when there is room."""
    journal.probe()
    fill(redis)
    with pytest.raises(JournalOutOfMemory, match="maxmemory"):
        journal.probe()
    empty(redis)
    journal.probe()


def test_a_node_asks_another(redis: RedisServer) -> None:
    """Calls between nodes are carried where memory is short."""
    fill(redis)
    asking, asked = Calls(redis.url, Member("asking")), Calls(redis.url, Member("asked"))
    for calls in (asking, asked):
        calls.start(lambda request: request)
    assert asking.call("asked", b"there?", 10) == b"there?"
    for calls in (asking, asked):
        calls.stop()


def test_what_is_settled_goes_before_its_time(redis: RedisServer, bus: SharedBus) -> None:
    """Where memory is short settled events are removed however young; what is pending stays."""
    bus.register(A)
    bus.publish(1_500)
    eventually(lambda: bus.transport.taken.total() == 1_500, 20)
    bus.transport.always = None
    kept = bus.publish(5)
    bus.bus.retention.run_once()
    assert bus.journal.usage().events == 1_505
    fill(redis)
    bus.bus.retention.run_once()
    found = bus.journal.page(0, 2_000, 2_000, 10**6).events
    assert tuple(event.id for event in found) == kept
