"""A journal that names Sentinels, or a cluster, is on whatever server they say takes writes, also after a failover."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from pathlib import Path
from typing import Any
from unittest.mock import Mock

import pytest
import redis

from eventbus.core.errors import JournalError, JournalUnavailable
from eventbus.journal.cluster_journal import OwnershipListener
from eventbus.journal.redis import RedisJournal
from eventbus.journal.redis.store.discovery import DiscoveredConnection, ReplicationIdChanged
from eventbus.journal.redis.store.server import connect
from tests.support.deadline import eventually
from tests.support.events import message
from tests.support.ports import LOOPBACK
from tests.support.redis_groups import SERVICE, Group, clustered, watched
from tests.support.redis_server import NEEDS_REDIS, RedisServer

pytestmark = NEEDS_REDIS
SECRET = "hush-hush"  # noqa: S105 - of a server that lives as long as its test


@pytest.fixture(params=[watched, clustered])
def group(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Group]:
    """A master and its replica, found by Sentinels or in a cluster."""
    make: Callable[[Path], AbstractContextManager[Group]] = request.param
    with make(tmp_path) as found:
        yield found


def port_of(client: redis.Redis) -> int:
    """Where the connection of a client goes."""
    found: Any = client.connection_pool.get_connection()
    client.connection_pool.release(found)
    return int(found.port)


def test_the_master_is_found_and_found_again(group: Group) -> None:
    """What is accepted is on the master; after a failover it is on the former replica, and more is accepted there."""
    journal = RedisJournal(group.url)
    journal.open()
    journal.members.start(Mock(OwnershipListener))
    try:
        journal.append([message("before")])
        assert keys_of(group.master) > 0
        eventually(lambda: keys_of(group.replica) == keys_of(group.master), 10)
        group.fail_over()
        eventually(lambda: accepts(journal), 30)
        assert journal.event("before") is not None
    finally:
        journal.close()


def keys_of(server: RedisServer) -> int:
    """How many keys a server has."""
    return int(server.ask("DBSIZE").decode().strip(":\r\n"))


def accepts(journal: RedisJournal) -> bool:
    """Whether an event is taken just now."""
    try:
        journal.append([message("after")])
    except JournalUnavailable:
        return False
    return True


def test_the_master_is_followed_when_it_changes_places(group: Group) -> None:
    """When the master becomes the replica of its replica, though both are well, writes go to the new one."""
    client = connect(group.url, "test")
    client.set("{eventbus}:x", "1")
    assert port_of(client) == group.master.port
    group.change_over()
    eventually(lambda: wrote(client), 30)
    assert port_of(client) == group.replica.port


def test_a_connection_to_a_server_that_takes_no_writes_is_one_that_is_lost(tmp_path: Path) -> None:
    """A server that became a replica refuses a write; the connection is dropped, as if the server had gone."""
    asked: list[int] = []

    def master() -> tuple[str, int]:
        asked.append(server.port)
        return LOOPBACK, server.port

    with RedisServer(tmp_path) as server:
        client = redis.Redis.from_pool(
            redis.ConnectionPool(connection_class=DiscoveredConnection, master=master, replication_id=str)
        )
        client.set("x", "1")
        server.ask("REPLICAOF", LOOPBACK, "9")
        assert client.get("x") == b"1"
        with pytest.raises(redis.ConnectionError, match="has not got the journal any more"):
            client.set("x", "2")
        assert asked == [server.port]
        server.ask("REPLICAOF", "NO", "ONE")
        client.set("x", "3")
        assert asked == [server.port] * 2


def test_a_connection_goes_only_to_a_master_with_the_history_that_is_wanted(tmp_path: Path) -> None:
    """One that has gone elsewhere by then, or finds a server that is a replica or has another history, is lost."""
    wanted = [""]
    with RedisServer(tmp_path, durable=False) as server:
        client = connect(server.url, "test", replication_id=lambda: wanted[0])
        assert client.set("x", "1")
        info: Any = client.info("replication")
        wanted[0] = info["master_replid"][::-1]
        with pytest.raises(ReplicationIdChanged):
            client.get("x")
        wanted[0] = info["master_replid"]
        assert client.get("x") == b"1"
        server.ask("REPLICAOF", LOOPBACK, "9")
        assert client.get("x") == b"1"  # what it is connected to stays
        client.connection_pool.disconnect()
        with pytest.raises(redis.ConnectionError, match="it is a slave"):
            client.get("x")


def wrote(client: redis.Redis) -> bool:
    """Whether a write is taken just now."""
    try:
        return bool(client.set("{eventbus}:x", "3"))
    except redis.ConnectionError:
        return False


def test_sentinels_that_know_no_master_are_named() -> None:
    """Where no Sentinel answers, or none watches the service, the error names them and it, and no password."""
    url = f"redis+sentinel://:{SECRET}@127.0.0.1:9,127.0.0.1:10/{SERVICE}"
    with pytest.raises(JournalUnavailable) as error:
        RedisJournal(url).open()
    assert "no Sentinel of 127.0.0.1:9, 127.0.0.1:10 knows a master of 'bus'" in str(error.value)
    assert SECRET not in str(error.value)


def test_a_cluster_that_is_not_there_is_told(tmp_path: Path) -> None:
    """Where no server of the cluster answers, or the one that does is in none, the error says so."""
    with pytest.raises(JournalUnavailable, match="no server of the cluster knows"):
        RedisJournal("redis+cluster://127.0.0.1:9").open()
    with RedisServer(tmp_path) as alone, pytest.raises(JournalUnavailable, match="cluster support disabled"):
        RedisJournal(f"redis+cluster://127.0.0.1:{alone.port}").open()


def test_one_server_of_a_cluster_is_no_journal_by_itself(tmp_path: Path) -> None:
    """A cluster that is named as a single server is refused, with how to name it."""
    with clustered(tmp_path) as group, pytest.raises(JournalError, match=r"redis\+cluster://"):
        RedisJournal(group.master.url).open()


def test_sentinels_with_a_password_get_that_of_the_url(tmp_path: Path) -> None:
    """A password in the URL is the servers', and the Sentinels' too where they want one."""
    with watched(tmp_path) as group:
        for server in (group.master, group.replica):
            server.ask("CONFIG", "SET", "masterauth", SECRET)
            server.ask("CONFIG", "SET", "requirepass", SECRET)
        named = group.url.partition("://")[2]
        client = connect(f"redis+sentinel://:{SECRET}@{named}", "test")
        assert client.set("x", "1")  # the Sentinels ask nobody
        for hosted in named.partition("/")[0].split(","):
            port = int(hosted.rpartition(":")[2])
            with redis.Redis(port=port) as sentinel:
                sentinel.execute_command("ACL SETUSER", "default", f">{SECRET}")
        client = connect(f"redis+sentinel://:{SECRET}@{named}", "test")
        assert client.set("x", "2")
        with pytest.raises(redis.ConnectionError):
            connect(group.url, "test").set("x", "3")
