"""A Redis that comes back with less than it had has another history: nothing of the former one is written into it."""

from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from unittest.mock import Mock

import pytest
import redis

from eventbus.core.errors import JournalError
from eventbus.core.records import Checkpoint
from eventbus.journal.cluster_journal import OwnershipListener
from eventbus.journal.redis import RedisJournal, RedisTiming
from tests.support.deadline import eventually
from tests.support.events import message
from tests.support.lanes import EPOCH, TAKEN
from tests.support.ports import LOOPBACK
from tests.support.redis_groups import renamed
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.shared import NEVER_SECONDS, SharedBus, shared

pytestmark = NEEDS_REDIS
A = "127.0.0.1:8001"
#: What is said where the journal has another history.
ANEW = "it has started again, or another server stands for it"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A Redis server that keeps what it has when it is told to save, and nothing later."""
    with RedisServer(tmp_path, durable=False) as found:
        yield found


def lose(server: RedisServer) -> None:
    """Let it forget what has come since it saved."""
    server.kill()
    server.start()


def delivered(bus: SharedBus, ids: tuple[str, ...]) -> bool:
    """Whether the subscriber has got all of these."""
    return all(bus.transport.taken[A, event_id] for event_id in ids)


def refused(bus: SharedBus) -> str:
    """Why an event is not taken, once Redis answers again; empty where it is."""
    try:
        bus.publish()
    except JournalError as error:
        return str(error) if ANEW in str(error) else ""
    return "it was taken"


def test_an_event_that_gets_the_number_of_a_lost_one_is_delivered(server: RedisServer) -> None:
    """A bus that knows of lost events writes nothing until it has read again what there is, and passes nothing over."""
    with shared(server.url, always=TAKEN) as bus:
        bus.register(A)
        first = bus.publish(2)
        eventually(lambda: delivered(bus, first), 10)
        server.ask("SAVE")
        eventually(lambda: delivered(bus, bus.publish(3)), 10)
        lose(server)
        assert eventually(lambda: refused(bus), 10)
        bus.journal.members.heartbeat()  # it is a new node, and is handed what it had
        bus.journal.members.heartbeat()
        second = bus.publish(3)
        eventually(lambda: delivered(bus, second), 10)


@pytest.mark.parametrize("way", ["restart", "replica"])
def test_what_was_reached_in_another_history_is_not_kept(server: RedisServer, way: str) -> None:
    """Events, places and what is settled are refused from a node that has read another history than there is."""
    journal = RedisJournal(server.url)
    journal.open()
    try:
        journal.append([message("before")])
        server.ask("SAVE")
        former = journal.members.replication_id
        if way == "restart":
            lose(server)
        else:
            server.ask("REPLICAOF", LOOPBACK, "9")
            server.ask("REPLICAOF", "NO", "ONE")
        for write in (
            lambda: journal.append([message("after")]),
            lambda: journal.checkpoint(Checkpoint(EPOCH, 1)),
        ):
            eventually(lambda attempt=write: ANEW in _error(attempt), 10)
        with suppress(JournalError):  # where a new connection was needed
            assert journal.trim([1], 0.0) == 0
        journal.members.heartbeat()
        assert journal.event("before") is not None
        assert journal.members.replication_id != former
        journal.append([message("after")])
        assert journal.event("after") is not None
    finally:
        journal.close()


def test_a_history_that_ends_while_it_is_read_is_read_again(server: RedisServer) -> None:
    """What a node has read counts for the history that it began to read, though another one began meanwhile."""
    journal = RedisJournal(server.url, timing=RedisTiming(heartbeat_interval_seconds=NEVER_SECONDS))
    journal.open()
    listener = Mock(OwnershipListener)
    try:
        journal.members.start(listener)
        lose(server)
        listener.lost.side_effect = lambda: lose(server)  # in the midst of its reset
        eventually(lambda: _error(journal.members.heartbeat) == "", 10)
        assert ANEW in _error(lambda: journal.append([message("early")]))
        listener.lost.side_effect = None
        journal.members.heartbeat()
        journal.append([message("late")])
    finally:
        journal.close()


def test_a_sentinel_that_is_late_leads_to_nothing_of_the_former_history(tmp_path: Path) -> None:
    """Where the former master is named once more while a bus begins anew, nothing is read there, and nothing lost."""
    with renamed(tmp_path) as names, shared(names.url, always=TAKEN) as bus:
        bus.register(A)
        first = bus.publish(2)
        eventually(lambda: delivered(bus, first), 10)
        names.copy()
        eventually(lambda: delivered(bus, bus.publish(3)), 10)  # the former master alone has these
        members, lose_all, history = bus.journal.members, bus.sharing.lost, bus.journal.members.replication_id

        def lose_all_late() -> None:
            bus.sharing.lost = lose_all  # type: ignore[method-assign]
            names.name(names.former)
            try:
                lose_all()
            finally:
                names.name(names.present)

        bus.sharing.lost = lose_all_late  # type: ignore[method-assign]
        names.name(names.present)
        eventually(lambda: _error(members.heartbeat) == "" and members.replication_id != history, 10)
        members.heartbeat()
        eventually(lambda: A in bus.bus.dispatcher.lanes, 10)
        second = bus.publish(3)
        eventually(lambda: delivered(bus, second), 10)


def _error(attempt: Callable[[], object]) -> str:
    """What an attempt raises; empty where it succeeds."""
    try:
        attempt()
    except (JournalError, redis.RedisError) as error:
        return str(error)
    return ""
