"""What another program writes into a journal's server stops neither publishing nor delivering, or is said clearly."""

from collections.abc import Iterator
from contextlib import ExitStack

import pytest
import redis as redis_py

from eventbus.core.errors import JournalUnavailable
from eventbus.core.model import Event, Message
from eventbus.journal.redis import RedisJournal
from eventbus.journal.redis.store import keys
from tests.support.deadline import eventually
from tests.support.redis_server import NEEDS_REDIS, RedisServer

pytestmark = NEEDS_REDIS
FIELDS = {"i": "forged", "t": "=a", "h": "", "b": "body", "a": "1795476715.0"}
FOREIGN = [
    ("*", {"foo": "bar"}),
    ("4-0", {"foo": "bar"}),
    ("4-0", FIELDS),
    ("9-0", FIELDS),
    ("3-1", {"foo": "bar"}),
    ("3-7", FIELDS),
    ("9223372036854775808-0", {"foo": "bar"}),
    ("18446744073709551615-18446744073709551615", FIELDS),
    ("4-0", FIELDS | {"a": "never"}),
    ("4-0", FIELDS | {"i": b"\xff"}),
]


@pytest.fixture(scope="module")
def redis(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server for all tests here, which need no disk."""
    with RedisServer(tmp_path_factory.mktemp("foreign"), durable=False) as found:
        yield found


@pytest.fixture
def other(redis: RedisServer) -> Iterator[redis_py.Redis]:
    """Another program, on an empty server."""
    with redis_py.from_url(redis.url) as client:
        client.flushall()
        yield client


class Node:
    """A journal as one node has it, and what it has heard of."""

    def __init__(self, redis: RedisServer, stack: ExitStack) -> None:
        self.journal = RedisJournal(redis.url)
        self.heard: list[Event] = []
        self.journal.open()
        stack.callback(self.journal.close)
        self.journal.listen(self.heard.extend)

    def publish(self, event_id: str) -> None:
        """Append one event."""
        self.journal.append([Message(event_id, "a", b"", b"{}", 1_795_476_715.0)])

    def heard_of(self) -> list[tuple[int, str]]:
        """Numbers and ids."""
        return [(event.seq, event.id) for event in self.heard]


@pytest.fixture
def stack() -> Iterator[ExitStack]:
    """Closes what a test opens."""
    with ExitStack() as found:
        yield found


THREE = [(1, "e-1"), (2, "e-2"), (3, "e-3")]
FIVE = [*THREE, (4, "e-4"), (5, "e-5")]


@pytest.mark.parametrize(("entry_id", "fields"), FOREIGN)
def test_a_foreign_entry_at_the_streams_end_is_removed(
    redis: RedisServer, other: redis_py.Redis, stack: ExitStack, entry_id: str, fields: dict[str, str]
) -> None:
    """Events get the next numbers, every node hears of each once, and of nothing else; pages hold the same."""
    nodes = [Node(redis, stack) for _ in range(2)]
    for number in range(1, 4):
        nodes[0].publish(f"e-{number}")
    other.xadd(keys.EVENTS, fields, id=entry_id)  # type: ignore[arg-type]
    eventually(lambda: other.xlen(keys.EVENTS) == 3, 10)
    other.xadd(keys.EVENTS, fields, id=entry_id)  # type: ignore[arg-type]
    for number in range(4, 6):
        nodes[number % 2].publish(f"e-{number}")
    for node in nodes:
        eventually(lambda node=node: len(node.heard) >= 5, 10)
        assert node.heard_of() == FIVE
        assert [(each.seq, each.id) for each in node.journal.page(0, 10, 10, 10_000).events] == FIVE
        assert [each[0] for each in node.journal.topics(0, 10, 10)] == [1, 2, 3, 4, 5]
    eventually(lambda: other.xlen(keys.EVENTS) == 5, 10)
    assert other.xinfo_stream(keys.EVENTS)["last-generated-id"] == b"5-0"


@pytest.mark.parametrize(("entry_id", "fields"), FOREIGN)
def test_a_node_starts_beside_a_foreign_entry(
    redis: RedisServer, other: redis_py.Redis, stack: ExitStack, entry_id: str, fields: dict[str, str]
) -> None:
    """What was put there while none ran is removed, too."""
    with ExitStack() as first:
        node = Node(redis, first)
        for number in range(1, 4):
            node.publish(f"e-{number}")
    other.xadd(keys.EVENTS, fields, id=entry_id)  # type: ignore[arg-type]
    node = Node(redis, stack)
    for number in range(4, 6):
        node.publish(f"e-{number}")
    eventually(lambda: len(node.heard) >= 2, 10)
    assert node.heard_of() == FIVE[3:]
    eventually(lambda: other.xlen(keys.EVENTS) == 5, 10)


@pytest.mark.parametrize("last", ["99-0", "18446744073709551615-18446744073709551615"])
def test_a_streams_last_id_that_was_set_ahead_is_set_back(
    redis: RedisServer, other: redis_py.Redis, stack: ExitStack, last: str
) -> None:
    """Events get the next numbers all the same."""
    node = Node(redis, stack)
    for number in range(1, 4):
        node.publish(f"e-{number}")
    other.execute_command("XSETID", keys.EVENTS, last)
    for number in range(4, 6):
        node.publish(f"e-{number}")
    eventually(lambda: len(node.heard) >= 5, 10)
    assert node.heard_of() == FIVE


def test_fields_that_events_have_not_are_passed_by(redis: RedisServer, other: redis_py.Redis, stack: ExitStack) -> None:
    """An entry under an event's number with other fields is no event; it stays where it is, and stops no reader."""
    with ExitStack() as first:
        node = Node(redis, first)
        for number in range(1, 4):
            node.publish(f"e-{number}")
    other.delete(keys.EVENTS)
    for number in range(1, 4):
        other.xadd(keys.EVENTS, {"foo": "bar"}, id=f"{number}-0")
    node = Node(redis, stack)
    node.publish("e-4")
    eventually(lambda: node.heard, 10)
    page = node.journal.page(0, 10, 10, 10_000)
    assert [(event.seq, event.id) for event in page.events] == [(4, "e-4")]
    assert [each[0] for each in node.journal.topics(0, 10, 10)] == [4]
    assert node.journal.find([1, 4]) == list(page.events)
    assert node.journal.position_at(0.0) <= 4
    assert node.journal.event("e-2") is None
    assert other.xlen(keys.EVENTS) == 4


def test_a_newest_number_that_was_set_back_removes_no_event(
    redis: RedisServer, other: redis_py.Redis, stack: ExitStack
) -> None:
    """Publishing is refused with a sentence, and goes on when the number is right again."""
    node = Node(redis, stack)
    for number in range(1, 4):
        node.publish(f"e-{number}")
    for wrong in ("1", "many"):
        other.set(keys.SEQ, wrong)
        with pytest.raises(JournalUnavailable, match="the newest number"):
            node.publish("e-4")
        assert other.xlen(keys.EVENTS) == 3
    other.set(keys.SEQ, "3")
    node.publish("e-4")
    eventually(lambda: len(node.heard) >= 4, 10)
    assert node.heard_of() == FIVE[:4]


def test_a_key_of_another_type_is_told_and_nothing_else_is_harmed(
    redis: RedisServer, other: redis_py.Redis, stack: ExitStack, caplog: pytest.LogCaptureFixture
) -> None:
    """Publishing is refused with what Redis says; it goes on when the key is as it was, and so does delivering."""
    node = Node(redis, stack)
    for number in range(1, 4):
        node.publish(f"e-{number}")
    kept = other.dump(keys.EVENTS)
    other.set(keys.EVENTS, "another type")
    with pytest.raises(JournalUnavailable, match="wrong kind of value"):
        node.publish("e-4")
    eventually(lambda: "events are not delivered, the journal cannot be read" in caplog.text, 10)
    other.restore(keys.EVENTS, 0, kept, replace=True)
    for number in range(4, 6):
        node.publish(f"e-{number}")
    eventually(lambda: len(node.heard) >= 5, 10)
    assert node.heard_of() == FIVE
