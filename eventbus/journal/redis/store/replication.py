"""Where a commit has to be before it counts, beside the server that made it: on replicas, and on disks.

By ``WAIT`` and ``WAITAOF``, which wait for all that was written before them.
https://redis.io/docs/latest/commands/wait/, https://redis.io/docs/latest/commands/waitaof/
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import redis

from eventbus.core.errors import JournalError
from eventbus.journal.redis.store.server import version_of

#: Seconds that replicas and disks get; less than an answer of the server may take.
ACKNOWLEDGE_SECONDS = 2.0
#: The oldest version that tells what is on disk.
OLDEST_ON_DISK = (7, 2)
#: Milliseconds for which the key that is written to stays, as the commit has said.
STAYS = 86_400_000


@dataclass(frozen=True, slots=True)
class ReplicationPolicy:
    """So many replicas have to have a commit; ``on_disk``: they and the server itself, in their append-only files."""

    replicas: int = 0
    on_disk: bool = False

    @property
    def anything(self) -> bool:
        """Whether more is wanted than that the server has made the commit."""
        return self.replicas > 0 or self.on_disk

    def wait(self, client: redis.Redis, key: str, number: int) -> str | None:
        """What is missing of a commit when the time is over; None where all is there. Raises RedisError.

        What is waited for is all that was written before ``key``, on this connection, is kept for another day: a
        write that takes no memory, so that it is made where there is none. ``key`` holds the commit's ``number``, or
        this is not the server that made it, and has perhaps never heard of it.
        """
        milliseconds = int(ACKNOWLEDGE_SECONDS * 1_000)
        together: Any = client.pipeline(transaction=False)
        together.hget(key, "number")
        together.pexpire(key, STAYS)
        if self.on_disk:
            together.execute_command("WAITAOF", 1, self.replicas, milliseconds)
        else:
            together.execute_command("WAIT", self.replicas, milliseconds)
        newest, _, answer = together.execute()
        if newest != str(number).encode():
            return "the server that answers now does not"
        return self.missing(answer if self.on_disk else (0, answer))

    def missing(self, answer: Sequence[int]) -> str | None:
        """What is missing, by how many servers (0 or 1), and how many replicas, have it."""
        on_disk, late = " on disk" if self.on_disk else "", f"after {ACKNOWLEDGE_SECONDS:g} s"
        if self.on_disk and not answer[0]:
            return f"not on disk {late}"
        if answer[1] < self.replicas:
            return f"{answer[1]} of {self.replicas} replicas have it{on_disk} {late}"
        return None

    def check(self, info: Mapping[str, Any]) -> Iterator[str]:
        """What an operator should know of a server that tells this of itself. Raises JournalError."""
        if self.on_disk and version_of(info) < OLDEST_ON_DISK:
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
