"""Waits until a commit is on replicas and on disks, beside the server that made it.

It uses ``WAIT`` and ``WAITAOF``, which wait for all that was written before them.
https://redis.io/docs/latest/commands/wait/, https://redis.io/docs/latest/commands/waitaof/
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from eventbus.core.errors import JournalError
from eventbus.journal.redis.store.server import version_of

#: The oldest version with WAITAOF.
MIN_WAITAOF_VERSION = (7, 2)
#: Milliseconds until the key that is written to expires, as the commit script has it.
KEY_EXPIRY_MS = 86_400_000


@dataclass(frozen=True, slots=True)
class ReplicationPolicy:
    """So many replicas have to have a commit; ``on_disk``: they and the server itself, in their append-only files.

    They get ``seconds`` for it, less than an answer of the server may take.
    """

    replicas: int = 0
    on_disk: bool = False
    seconds: float = 2.0

    @property
    def waits(self) -> bool:
        """Whether a commit has to be anywhere beside the server that made it."""
        return self.replicas > 0 or self.on_disk

    def wait(self, client: redis.Redis, key: str, number: int) -> str | None:
        """Wait for replicas and disks, and return what is missing of a commit, or None. Raises RedisError.

        Redis waits for all that was written on this connection so far. The write here is the new expiry of ``key``: it
        takes no memory, so it is made even if there is none. ``key`` holds the commit's ``number``; if not, another
        server answers, which may never have had the commit.
        """
        milliseconds = int(self.seconds * 1_000)
        pipeline: Any = client.pipeline(transaction=False)
        pipeline.hget(key, "number")
        pipeline.pexpire(key, KEY_EXPIRY_MS)
        if self.on_disk:
            pipeline.execute_command("WAITAOF", 1, self.replicas, milliseconds)
        else:
            pipeline.execute_command("WAIT", self.replicas, milliseconds)
        newest, _, answer = pipeline.execute()
        if newest != str(number).encode():
            return "the server that answers now does not"
        return self.missing(answer if self.on_disk else (0, answer))

    def missing(self, answer: Sequence[int]) -> str | None:
        """Return what is missing, by how many servers (0 or 1) and how many replicas have the commit."""
        on_disk, late = " on disk" if self.on_disk else "", f"after {self.seconds:g} s"
        if self.on_disk and not answer[0]:
            return f"not on disk {late}"
        if answer[1] < self.replicas:
            return f"{answer[1]} of {self.replicas} replicas have it{on_disk} {late}"
        return None

    def check(self, info: Mapping[str, Any]) -> Iterator[str]:
        """Return what an operator should know of a server with this INFO. Raises JournalError if it cannot do that."""
        if self.on_disk and version_of(info) < MIN_WAITAOF_VERSION:
            raise JournalError("The Redis server is older than 7.2, and cannot tell what is on disk; leave "
                               "EVENTBUS_REDIS_FSYNC out.")  # fmt: skip
        if self.on_disk and not info.get("aof_enabled"):
            raise JournalError("The Redis server keeps no append-only file, which EVENTBUS_REDIS_FSYNC waits for.")
        count = int(info.get("connected_slaves", 0))
        if count < self.replicas:
            yield (
                f"the Redis server has {count} replicas, of which EVENTBUS_REDIS_REPLICAS wants {self.replicas}:"
                " publishing is refused until it has them"
            )
