"""The Redis server: connects to it, checks what it must be, and translates its errors."""

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

#: Connections at once, at most; a caller that needs one more waits for it.
MAX_CONNECTIONS = 16
#: The oldest version with all that is needed (scripts that may run when memory is short).
MIN_VERSION = (7, 0)


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
        max_connections=MAX_CONNECTIONS,
        timeout=timing.answer_seconds,
        socket_keepalive=True,
        client_name=name,
    )
    return redis.Redis.from_pool(pool)  # so that closing it closes its connections


def _options(named: RedisUrl) -> dict[str, Any]:
    """Return the credentials and certificates as redis-py names them."""
    scheme = "rediss" if named.tls else "redis"
    # redis-py knows which option is a number, and which is yes or no.
    options: dict[str, Any] = parse_url(f"{scheme}://any?{urlencode(named.tls_options)}")
    del options["host"]
    options.pop("connection_class", None)
    return options | {"username": named.username, "password": named.password}


def _master(named: RedisUrl, options: Mapping[str, Any]) -> Master:
    """Return what finds the server; Sentinels and cluster servers are connected to with the same options."""
    if named.topology is Topology.SERVER:
        return lambda: named.hosts[0]
    return ByCluster(named.hosts, options) if named.topology is Topology.CLUSTER else _by_sentinel(named, options)


def _by_sentinel(named: RedisUrl, options: Mapping[str, Any]) -> BySentinel:
    """Try Sentinels without a password first: mostly only their servers have one. If not, it is the same one."""
    anonymous = dict(options) | {"username": None, "password": None}
    return BySentinel(named.hosts, named.service, (anonymous, options) if named.password else (anonymous,))


def examine(client: redis.Redis, url: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return the INFO of the server at ``url``, and warnings for the operator.

    Raises RedisError, and JournalError if the server cannot hold a journal.
    """
    info: Any = client.info()
    return info, check(info, appendfsync(client), in_cluster=parse(url).topology is Topology.CLUSTER)


def appendfsync(client: redis.Redis) -> str | None:
    """Return the server's ``appendfsync``; None if it does not let that be read."""
    try:
        return client.config_get("appendfsync").get("appendfsync")
    except redis.ResponseError:  # some hosting providers refuse CONFIG GET
        return None


@contextmanager
def translate_errors(what: str) -> Iterator[None]:
    """Raise the journal's errors for those of Redis; ``what`` says what failed."""
    try:
        yield
    except redis.exceptions.OutOfMemoryError as error:
        raise out_of_memory_error(what) from error
    except (redis.RedisError, OSError) as error:
        raise JournalUnavailable(f"The journal {what}: {_text_of(error)}.") from error


def out_of_memory_error(what: str) -> JournalOutOfMemory:
    """Return the error for a server that has reached its ``maxmemory``."""
    return JournalOutOfMemory(f"The journal {what}: the Redis server has no memory left (maxmemory).")


def memory_in_use(info: Mapping[str, Any]) -> float:
    """Return the part of ``maxmemory`` that is in use, by ``INFO memory``; 0 without a limit.

    Above 1 the server refuses what needs memory. Buffers for replicas and for the append-only file do not count.
    """
    limit = int(info.get("maxmemory", 0))
    used = int(info.get("used_memory", 0)) - int(info.get("mem_not_counted_for_evict", 0))
    return used / limit if limit else 0.0


def _text_of(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__


def check(info: Mapping[str, Any], appendfsync: str | None, *, in_cluster: bool = False) -> tuple[str, ...]:
    """Return warnings for the operator. Raises JournalError if the server cannot hold a journal.

    ``info`` is the answer to INFO; ``appendfsync`` is None if it cannot be read; ``in_cluster`` says whether the URL
    names a cluster.
    """
    if version_of(info) < MIN_VERSION:
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
    """Return the first two numbers of the server's version; Valkey reports the version of Redis that it emulates."""
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
