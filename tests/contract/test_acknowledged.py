"""What is accepted is on as many replicas as is asked for, and on disk where the server can tell."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import gevent
import pytest
import redis

from eventbus.core.addresses import parse_address
from eventbus.core.errors import JournalError, JournalTimeout
from eventbus.core.model import Options, Subscriber
from eventbus.core.records import Checkpoint
from eventbus.delivery.lane.lane_record import new_record
from eventbus.journal.redis import RedisJournal, ReplicationPolicy
from tests.support.deadline import eventually
from tests.support.events import message
from tests.support.lanes import EPOCH
from tests.support.ports import LOOPBACK
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.shared import shared

pytestmark = NEEDS_REDIS
EVENTS, TOPICS = "{eventbus}:events", "{eventbus}:topics"
A, B, C, NEW = (f"127.0.0.1:800{number}" for number in range(1, 5))

#: One replica, for which nobody waits long.
BRIEF = ReplicationPolicy(replicas=1, seconds=1.5)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    """A master."""
    with started(tmp_path / "master", "--repl-diskless-sync-delay", "0") as found:
        yield found


@pytest.fixture
def replica(tmp_path: Path, server: RedisServer) -> Iterator[RedisServer]:
    """A replica of it, that has all it has."""
    with started(tmp_path / "replica") as found:
        found.ask("REPLICAOF", LOOPBACK, str(server.port))
        eventually(server.has_replica, 20)
        yield found


def started(folder: Path, *options: str) -> RedisServer:
    """A server with a folder of its own."""
    folder.mkdir()
    return RedisServer(folder, *options)


@pytest.fixture
def silent(replica: RedisServer) -> Iterator[Callable[[], None]]:
    """Stops the replica; it goes on at the end."""
    yield replica.stop
    replica.go_on()


def can_tell_what_is_on_disk(server: RedisServer) -> bool:
    """Whether this server knows WAITAOF."""
    return b"unknown command" not in server.ask("WAITAOF", "0", "0", "1")


def test_what_is_accepted_is_on_the_replica(server: RedisServer, replica: RedisServer) -> None:
    """An append returns when so many replicas have the event; and nothing is to be told at the start."""
    journal = RedisJournal(server.url, replication=ReplicationPolicy(replicas=1))
    try:
        assert journal.open().remarks == ()
        journal.append([message(f"event-{number}") for number in range(3)])
        assert replica.ask("XLEN", EVENTS) == b":3\r\n"
    finally:
        journal.close()


def test_nothing_is_accepted_while_a_replica_is_missing(
    server: RedisServer, replica: RedisServer, silent: Callable[[], None]
) -> None:
    """Without enough replicas an append is refused, who says so names what is missing; with them it goes on."""
    journal = RedisJournal(server.url, replication=BRIEF)
    try:
        journal.open()
        silent()
        with pytest.raises(JournalTimeout, match=r"0 of 1 replicas have it after 1\.5 s.*Idempotency-Key"):
            journal.append([message("event-0")], "key-1")
        with pytest.raises(JournalTimeout):  # so that /readyz tells that publishing is refused
            journal.wait_durable()
        replica.go_on()
        eventually(lambda: replica.ask("XLEN", EVENTS) == b":1\r\n", 10)
        assert journal.append([message("event-0")], "key-1").duplicate
    finally:
        journal.close()


def test_a_registration_that_is_answered_is_on_the_replica(server: RedisServer, replica: RedisServer) -> None:
    """A replica has who gets which events before whoever registers is told so."""
    with shared(server.url, replication=ReplicationPolicy(replicas=1)) as bus:
        bus.register(A, topics=("a",))
        assert replica.ask("HGET", TOPICS, A) == b"$1\r\na\r\n"
        bus.register(A, topics=("b",))
        assert replica.ask("HGET", TOPICS, A) == b"$1\r\nb\r\n"
        bus.bus.deregister(A)
        assert replica.ask("HLEN", TOPICS) == b":0\r\n"


def test_no_registration_is_confirmed_while_a_replica_is_missing(
    server: RedisServer, replica: RedisServer, silent: Callable[[], None]
) -> None:
    """Whoever registers, changes something or leaves is refused, again and again; a keep-alive changes nothing."""
    with shared(server.url, replication=BRIEF) as bus:
        for address in (A, B, C):
            bus.register(address)
        silent()
        for _ in range(2):
            with pytest.raises(JournalTimeout):
                bus.register(NEW)
            with pytest.raises(JournalTimeout):
                bus.register(A, topics=("a",))
            with pytest.raises(JournalTimeout):
                bus.bus.deregister(B)
            bus.register(C)
            bus.journal.members.heartbeat()  # refusing took long
        replica.go_on()
        for address in (NEW, A, C):
            bus.register(address)
        bus.bus.deregister(B)
        assert replica.ask("HLEN", TOPICS) == b":3\r\n"


def test_a_registration_that_nobody_confirmed_is_not_confirmed_by_the_next_bus(
    server: RedisServer, replica: RedisServer, silent: Callable[[], None]
) -> None:
    """Where another bus has the subscriber by the time that it asks again, that one waits for the replica too."""
    with shared(server.url, replication=BRIEF) as other:
        silent()
        with shared(server.url, replication=BRIEF) as first, pytest.raises(JournalTimeout):
            first.register(A)
        other.journal.members.heartbeat()
        eventually(lambda: A in other.bus.dispatcher.lanes, 10)
        with pytest.raises(JournalTimeout):
            other.register(A)


def test_a_place_is_kept_that_comes_with_an_event_or_behind_it(server: RedisServer, silent: Callable[[], None]) -> None:
    """While a replica is missing events are refused, and the places that are saved beside them are not."""
    new, further = (new_record(Subscriber(parse_address("host"), Options()), EPOCH, scanned) for scanned in (0, 1))
    journal = RedisJournal(server.url, replication=BRIEF)
    try:
        journal.open()
        journal.append([message("event-0")])
        journal.checkpoint(Checkpoint(EPOCH, 0, lanes=(new,)))
        silent()
        publishing = gevent.spawn(journal.append, [message("event-1")])
        saving = gevent.spawn(journal.checkpoint, Checkpoint(EPOCH, 0, lanes=(further,)))
        eventually(lambda: server.ask("XLEN", EVENTS) == b":2\r\n", 10)
        waiting = gevent.spawn(journal.checkpoint, Checkpoint(EPOCH, 0, lanes=(further,)))
        with pytest.raises(JournalTimeout):
            publishing.get(timeout=10)
        saving.get(timeout=10)
        waiting.get(timeout=10)
        assert journal.lane("host") == further
    finally:
        journal.close()


def test_a_commit_that_a_failover_lost_is_not_accepted(
    tmp_path: Path, server: RedisServer, replica: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where another server answers by the time that it is asked, whose replicas have all it has, that is not enough."""
    wait = ReplicationPolicy.wait

    def after_a_failover(wanted: ReplicationPolicy, client: redis.Redis, *commit: Any) -> str | None:
        client.connection_pool.connection_kwargs["master"] = lambda: (LOOPBACK, replica.port)  # from now on
        client.connection_pool.disconnect()
        client.connection_pool.reset()
        return wait(wanted, client, *commit)

    with started(tmp_path / "second") as second:
        second.ask("REPLICAOF", LOOPBACK, str(replica.port))
        eventually(replica.has_replica, 20)
        journal = RedisJournal(server.url, replication=ReplicationPolicy(replicas=1))
        try:
            journal.open()
            journal.append([message("event-0")])
            replica.ask("REPLICAOF", "NO", "ONE")
            eventually(lambda: replica.is_master() and replica.has_replica(), 20)
            monkeypatch.setattr(ReplicationPolicy, "wait", after_a_failover)
            with pytest.raises(JournalTimeout, match=r"another server stands for it\).*Idempotency-Key"):
                journal.append([message("event-1")])
            assert replica.ask("XLEN", EVENTS) == b":1\r\n"
        finally:
            journal.close()


def test_a_commit_that_the_server_has_not_got_any_more_is_not_accepted(
    server: RedisServer, replica: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the server has lost it by the time that it is asked, it is not enough that its replicas have all it has."""
    wait = ReplicationPolicy.wait

    def after_a_loss(wanted: ReplicationPolicy, client: redis.Redis, *commit: Any) -> str | None:
        server.ask("FLUSHALL")
        return wait(wanted, client, *commit)

    journal = RedisJournal(server.url, replication=ReplicationPolicy(replicas=1))
    try:
        journal.open()
        monkeypatch.setattr(ReplicationPolicy, "wait", after_a_loss)
        with pytest.raises(JournalTimeout, match=r"the server that answers now does not;.*Idempotency-Key"):
            journal.append([message("event-0")])
    finally:
        journal.close()


def test_a_master_without_its_replicas_is_told_of_at_the_start(server: RedisServer) -> None:
    """A bus that wants more replicas than there are starts, and says that publishing is refused."""
    journal = RedisJournal(server.url, replication=ReplicationPolicy(replicas=2))
    try:
        (remark,) = journal.open().remarks
        assert "0 replicas, of which EVENTBUS_REDIS_REPLICAS wants 2" in remark
    finally:
        journal.close()


def test_a_server_that_cannot_tell_what_is_on_disk_is_refused(server: RedisServer) -> None:
    """A bus that is to wait for disks does not start on a server that does not know WAITAOF."""
    if can_tell_what_is_on_disk(server):
        pytest.skip("this server can tell what is on disk")
    with pytest.raises(JournalError, match="older than 7"):
        RedisJournal(server.url, replication=ReplicationPolicy(on_disk=True)).open()


def test_what_is_accepted_is_on_disk(server: RedisServer, replica: RedisServer, tmp_path: Path) -> None:
    """With ``everysec`` an append returns when the event is in the append-only file, on the replica too."""
    if not can_tell_what_is_on_disk(server):
        pytest.skip("this server is older than Redis 7.2, and cannot tell what is on disk")
    for each in (server, replica):
        each.ask("CONFIG", "SET", "appendfsync", "everysec")
    journal = RedisJournal(server.url, replication=ReplicationPolicy(replicas=1, on_disk=True, seconds=4.0))
    try:
        journal.open()
        journal.append([message("event-0", body=b"kept for good")])
    finally:
        journal.close()
    for name in ("master", "replica"):
        files = (tmp_path / name / "appendonlydir").glob("*.incr.aof")
        assert any(b"kept for good" in file.read_bytes() for file in files)


def test_a_server_that_keeps_no_file_is_refused(server: RedisServer) -> None:
    """A bus that is to wait for disks does not start where nothing is written to one."""
    if not can_tell_what_is_on_disk(server):
        pytest.skip("this server is older than Redis 7.2, and cannot tell what is on disk")
    server.ask("CONFIG", "SET", "appendonly", "no")
    with pytest.raises(JournalError, match="keeps no append-only file"):
        RedisJournal(server.url, replication=ReplicationPolicy(on_disk=True)).open()
