"""Finds the Redis server that has the journal, through Sentinels or a cluster's servers.

Nothing is repeated or cached here: every new connection asks again, and a connection to the wrong server counts as
lost. The journal handles that as it handles a restarted server. A Sentinel may be late: for a while after a failover it
names the former master, which has started again with all its data. So the server itself is asked, too.
https://redis.io/docs/latest/develop/reference/sentinel-clients/,
https://redis.io/docs/latest/operate/oss_and_stack/reference/cluster-spec/
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import closing
from typing import Any

import gevent
import redis
from gevent.util import wrap_errors
from redis.connection import Connection, SSLConnection
from redis.crc import key_slot
from redis.sentinel import MasterNotFoundError, Sentinel

from eventbus.journal.redis.lua import script
from eventbus.journal.redis.store import keys

Address = tuple[str, int]
#: Returns the current address of the master. Raises RedisError.
Master = Callable[[], Address]

#: Errors of a server that is not, or no longer, the one that has the journal.
NOT_MASTER_ERRORS = (
    redis.exceptions.AskError,
    redis.exceptions.ClusterDownError,
    redis.exceptions.MasterDownError,
    redis.exceptions.MovedError,
    redis.exceptions.ReadOnlyError,
    redis.exceptions.TryAgainError,
)
#: Servers of a cluster that are remembered, to be asked the next time.
MAX_KNOWN_SERVERS = 100


class ReplicationIdChanged(redis.ConnectionError):
    """A server has another replication id than the expected one: nothing was sent to it."""


class DiscoveredConnection(Connection):
    """Connects to the server that is the master, and stays while that has the expected ``replication_id``."""

    def __init__(self, *, master: Master, replication_id: Callable[[], str], **options: Any) -> None:
        self._master = master
        self._expected = replication_id
        self._replication_id = ""  # of the server that it is connected to
        super().__init__(**options)  # type: ignore[no-untyped-call]

    def connect(self) -> None:
        """Connect; first disconnect from a server that does not have the expected replication id any more."""
        if self._sock is not None and self._expected() not in ("", self._replication_id):
            self.disconnect()
        super().connect()  # type: ignore[no-untyped-call]

    def on_connect_check_health(self, check_health: bool = True) -> None:  # noqa: FBT001, FBT002 - as it is called
        """Check the connection, and that this is the right server. Raises ConnectionError and ReplicationIdChanged."""
        super().on_connect_check_health(check_health)
        if expected := self._expected():
            self.send_command("EVAL", script("role"), 0, check_health=False)  # type: ignore[no-untyped-call]
            role, replication_id = (part.decode() for part in self.read_response())
            if role != "master":
                raise redis.ConnectionError(f"the server has not got the journal: it is a {role}")
            if replication_id != expected:
                raise ReplicationIdChanged("it has started again, or another server stands for it")
            self._replication_id = replication_id

    def _connect(self) -> Any:
        """Open a socket on a greenlet that nobody kills: redis-py would not close the half-open one."""
        opening: gevent.Greenlet[..., Any] = gevent.spawn(wrap_errors((Exception,), self._open))
        try:
            opened = opening.get()
        except BaseException:
            opening.link_value(_close_opened)
            raise
        if isinstance(opened, Exception):
            raise opened
        return opened

    def _open(self) -> Any:
        self.host, self.port = self._master()
        return super()._connect()  # type: ignore[no-untyped-call]

    def read_response(self, *arguments: Any, **options: Any) -> Any:
        """Read a response; the answer of a server that does not have the journal counts as a lost connection."""
        try:
            return super().read_response(*arguments, **options)
        except NOT_MASTER_ERRORS as error:
            self.disconnect()  # type: ignore[no-untyped-call]
            raise redis.ConnectionError(f"the server has not got the journal any more: {error}") from error


def _close_opened(opening: "gevent.Greenlet[..., Any]") -> None:
    """Close a socket that was opened for a greenlet that was killed meanwhile."""
    opened: Any = opening.value
    if not isinstance(opened, Exception):
        opened.close()


class DiscoveredTLSConnection(DiscoveredConnection, SSLConnection):
    """The same over TLS."""


class BySentinel:
    """Asks Sentinels for the master of ``service``, with each of several connection options in turn."""

    def __init__(self, hosts: Sequence[Address], service: str, options: Sequence[Mapping[str, Any]]) -> None:
        self._service = service
        self._sentinels = [Sentinel(list(hosts), sentinel_kwargs=dict(each)) for each in options]

    def __call__(self) -> Address:
        """Return the master's address. Raises RedisError if no Sentinel knows one."""
        failed: MasterNotFoundError | None = None
        for sentinel in self._sentinels:
            try:
                host, port = sentinel.discover_master(self._service)
            except MasterNotFoundError as error:
                failed = error
            else:
                return str(host), int(port)
        hosts = ", ".join(_named(sentinel) for sentinel in self._sentinels[0].sentinels)
        raise redis.ConnectionError(f"no Sentinel of {hosts} knows a master of {self._service!r}") from failed


class ByCluster:
    """Asks servers of a cluster which of them has the slot of the journal's keys."""

    def __init__(self, hosts: Sequence[Address], options: Mapping[str, Any]) -> None:
        self._configured = tuple(hosts)
        self._discovered: tuple[Address, ...] = ()
        self._options = options
        self._turn = 0

    def __call__(self) -> Address:
        """Return the master's address. Raises RedisError if no server of the cluster knows it.

        Another server is asked first each time: one that is cut off from its peers may answer with old data.
        """
        known = list(dict.fromkeys((*self._discovered, *self._configured)))
        self._turn += 1
        start = self._turn % len(known)
        failed: Exception | None = None
        for host, port in (*known[start:], *known[:start]):
            try:
                return self._ask(host, port)
            except (redis.RedisError, OSError) as error:
                failed = error
        raise redis.ConnectionError(f"no server of the cluster knows which one has the journal: {failed}") from failed

    def _ask(self, host: str, port: int) -> Address:
        with closing(redis.Redis(host=host, port=port, **self._options)) as client:
            slots: Any = client.execute_command("CLUSTER SLOTS")  # first, last, the master, its replicas
        found = [_address(server, host) for _, _, *servers in slots for server in servers]
        self._discovered = tuple(dict.fromkeys(found))[:MAX_KNOWN_SERVERS]
        slot = key_slot(keys.PREFIX.encode())
        for first, last, master, *_ in slots:
            if first <= slot <= last:
                return _address(master, host)
        raise redis.ConnectionError(f"nobody has slot {slot}")


def _address(server: Sequence[Any], asked: str) -> Address:
    """Return a server's address; the one that was asked may leave out its own host."""
    return (server[0] or b"").decode() or asked, int(server[1])


def _named(sentinel: redis.Redis) -> str:
    options = sentinel.connection_pool.connection_kwargs
    return f"{options['host']}:{options['port']}"
