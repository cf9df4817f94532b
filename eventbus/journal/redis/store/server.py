"""The Redis server: how it is connected to, what it must be, and what its errors mean."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any
from urllib.parse import urlencode

import redis
from redis.backoff import NoBackoff
from redis.connection import parse_url
from redis.retry import Retry

from eventbus.core.errors import JournalError, JournalOutOfMemory, JournalUnavailable
from eventbus.core.redis_url import RedisUrl, Topology, parse
from eventbus.journal.redis.store.discovery import (
    ByCluster,
    BySentinel,
    DiscoveredConnection,
    DiscoveredTLSConnection,
    Master,
)
from eventbus.journal.redis.timing import DEFAULT_TIMING, RedisTiming

#: Connections at once, at most; who needs one more waits for it.
CONNECTIONS = 16
#: The oldest version that knows what is asked of it (scripts that may run where memory is short).
OLDEST = (7, 0)


def connect(
    url: str, name: str, timing: RedisTiming = DEFAULT_TIMING, replication_id: Callable[[], str] = lambda: ""
) -> redis.Redis:
    """Return a client that repeats nothing by itself: only its callers know whether that is safe.

    It talks only to a server that has this ``replication_id`` at the moment; empty for any.
    """
    named = parse(url)
    once: dict[str, Any] = {"protocol": 2, "retry": Retry(NoBackoff(), 0), "retry_on_error": []}
    once |= {"socket_timeout": timing.answer_seconds, "socket_connect_timeout": timing.connect_seconds}
    options = _options(named)
    pool = redis.BlockingConnectionPool(
        connection_class=DiscoveredTLSConnection if named.tls else DiscoveredConnection,
        master=_master(named, {**once, **options, "ssl": named.tls}),
        replication_id=replication_id,
        **once,
        **options,
        db=named.database,
        max_connections=CONNECTIONS,
        timeout=timing.answer_seconds,
        socket_keepalive=True,
        client_name=name,
    )
    return redis.Redis.from_pool(pool)  # so that closing it closes its connections


def _options(named: RedisUrl) -> dict[str, Any]:
    """Who connects, and by which certificates, as redis-py has it."""
    scheme = "rediss" if named.tls else "redis"
    # It knows which option is a number, and which is yes or no.
    options: dict[str, Any] = parse_url(f"{scheme}://any?{urlencode(named.tls_options)}")
    del options["host"]
    options.pop("connection_class", None)
    return options | {"username": named.username, "password": named.password}


def _master(named: RedisUrl, options: Mapping[str, Any]) -> Master:
    """Who tells where the server is; asked, where that is another server, by the same options."""
    if named.topology is Topology.SERVER:
        return lambda: named.hosts[0]
    return ByCluster(named.hosts, options) if named.topology is Topology.CLUSTER else _by_sentinel(named, options)


def _by_sentinel(named: RedisUrl, options: Mapping[str, Any]) -> BySentinel:
    """Sentinels are mostly without a password where their servers have one; where not, it is the same one."""
    nobody = dict(options) | {"username": None, "password": None}
    return BySentinel(named.hosts, named.service, (nobody, options) if named.password else (nobody,))


def examine(client: redis.Redis, url: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """What the server at ``url`` says of itself, and what an operator should know of it.

    Raises RedisError, and JournalError for one that cannot hold a journal.
    """
    info: Any = client.info()
    return info, check(info, appendfsync(client), in_cluster=parse(url).topology is Topology.CLUSTER)


def appendfsync(client: redis.Redis) -> str | None:
    """When the server's append-only file reaches the disk; None where it does not tell."""
    try:
        return client.config_get("appendfsync").get("appendfsync")
    except redis.ResponseError:  # some hosts do not let it be asked
        return None


@contextmanager
def translate_errors(what: str) -> Iterator[None]:
    """Tell what Redis raises in the journal's own errors."""
    try:
        yield
    except redis.exceptions.OutOfMemoryError as error:
        raise is_out_of_memory(what) from error
    except (redis.RedisError, OSError) as error:
        raise JournalUnavailable(f"The journal {what}: {_said(error)}.") from error


def is_out_of_memory(what: str) -> JournalOutOfMemory:
    """What is said where the server has reached its ``maxmemory``."""
    return JournalOutOfMemory(f"The journal {what}: the Redis server has no memory left (maxmemory).")


def memory_in_use(info: Mapping[str, Any]) -> float:
    """The part of its ``maxmemory`` that the server has in use, by ``INFO memory``; 0 without one.

    Past 1 it refuses what needs memory. What it holds for replicas and for its append-only file is not counted.
    """
    limit = int(info.get("maxmemory", 0))
    used = int(info.get("used_memory", 0)) - int(info.get("mem_not_counted_for_evict", 0))
    return used / limit if limit else 0.0


def _said(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__


def check(info: Mapping[str, Any], appendfsync: str | None, *, in_cluster: bool = False) -> tuple[str, ...]:
    """What an operator should know of this server. Raises JournalError for one that cannot hold a journal.

    ``info`` is the answer to INFO; ``appendfsync`` is None where the server does not tell; ``in_cluster`` is whether
    it is connected to as one of a cluster.
    """
    if version_of(info) < OLDEST:
        raise JournalError(
            f"The Redis server is version {info.get('redis_version')}; the journal needs 7.0 or newer, or Valkey."
        )
    if info.get("role") != "master":
        raise JournalError("The Redis server is a replica, which takes no writes; name its master.")
    if info.get("cluster_enabled") and not in_cluster:
        raise JournalError("The Redis server is one of a cluster; name it with redis+cluster:// instead of redis://.")
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy.startswith("allkeys"):
        raise JournalError(
            f"The Redis server's maxmemory-policy is {policy}, which drops events when memory is short; "
            "set it to noeviction."
        )
    return tuple(_remarks(info, appendfsync))


def version_of(info: Mapping[str, Any]) -> tuple[int, ...]:
    """The server's version, its first two numbers; Valkey tells the one of Redis that it speaks like."""
    return tuple(int(part) for part in str(info.get("redis_version", "0")).split(".")[:2])


def _remarks(info: Mapping[str, Any], appendfsync: str | None) -> Iterator[str]:
    policy = str(info.get("maxmemory_policy", "noeviction"))
    if policy.startswith("volatile"):
        yield (
            f"the Redis server's maxmemory-policy is {policy}: where memory is short it drops what buses ask each"
            " other; set it to noeviction"
        )
    if not info.get("aof_enabled"):
        yield (
            "the Redis server keeps no append-only file: what it accepted since its last snapshot is lost when it"
            " ends; set appendonly yes and appendfsync always"
        )
    elif appendfsync is None:
        yield "the Redis server does not tell its appendfsync; only with always does accepted mean on disk"
    elif appendfsync != "always":
        yield (
            f"the Redis server's appendfsync is {appendfsync}: a crash of its machine loses what it accepted in the"
            " last second or more; set it to always"
        )
