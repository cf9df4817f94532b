"""The Redis server: how it is connected to, what it must be, and what its errors mean."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cache
from importlib.resources import files
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from eventbus.errors import JournalCrowded, JournalError, JournalUnavailable

#: Seconds within which a command is answered, or counts as failed.
ANSWER_SECONDS = 5.0
#: Seconds within which a connection stands.
CONNECT_SECONDS = 2.0
#: Connections at once, at most; who needs one more waits for it.
CONNECTIONS = 16
#: The oldest version that knows what is asked of it (scripts that may run where memory is short).
OLDEST = (7, 0)


def connect(url: str, name: str, answer_seconds: float | None = None) -> redis.Redis:
    """A client that repeats nothing by itself: whether that is safe, its callers know."""
    seconds = ANSWER_SECONDS if answer_seconds is None else answer_seconds
    pool = redis.BlockingConnectionPool.from_url(
        url,
        max_connections=CONNECTIONS,
        timeout=seconds,
        socket_timeout=seconds,
        socket_connect_timeout=CONNECT_SECONDS,
        socket_keepalive=True,
        client_name=name,
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        retry_on_error=[],
    )
    return redis.Redis.from_pool(pool)  # so that closing it closes its connections


def appendfsync(client: redis.Redis) -> str | None:
    """When the server's append-only file reaches the disk; None where it does not tell."""
    try:
        return client.config_get("appendfsync").get("appendfsync")
    except redis.ResponseError:  # some hosts do not let it be asked
        return None


@contextmanager
def told(what: str) -> Iterator[None]:
    """Tell what Redis raises in the journal's own errors."""
    try:
        yield
    except redis.exceptions.OutOfMemoryError as error:
        raise JournalCrowded(f"The journal {what}: the Redis server has no memory left (maxmemory).") from error
    except (redis.RedisError, OSError) as error:
        raise JournalUnavailable(f"The journal {what}: {_said(error)}.") from error


def _said(error: Exception) -> str:
    return str(error).rstrip(".") or type(error).__name__


@cache
def script(name: str) -> str:
    """A script's text."""
    return files("eventbus.journal.redis").joinpath("scripts", f"{name}.lua").read_text("utf-8")


def check(info: Mapping[str, Any], appendfsync: str | None) -> tuple[str, ...]:
    """What an operator should know of this server. Raises JournalError for one that cannot hold a journal.

    ``info`` is the answer to INFO; ``appendfsync`` is None where the server does not tell.
    """
    if version_of(info) < OLDEST:
        raise JournalError(
            f"The Redis server is version {info.get('redis_version')}; the journal needs 7.0 or newer, or Valkey."
        )
    if info.get("role") != "master":
        raise JournalError("The Redis server is a replica, which takes no writes; name its master.")
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
