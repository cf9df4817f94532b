"""A journal on a Redis server as what is copied, and as the copy."""

from collections.abc import Sequence
from typing import Any

from eventbus.core.errors import JournalLocked
from eventbus.journal.copy.copying import Batch, Extent, Kind, Mark
from eventbus.journal.copy.fingerprints import Row
from eventbus.journal.redis.lua import script
from eventbus.journal.redis.store import keys, server
from eventbus.journal.redis.store.copy_commands import commands
from eventbus.journal.redis.store.exports import Exports
from eventbus.journal.redis.store.queries import RedisQueries
from eventbus.journal.redis.store.server import translate_errors

#: Lanes that are read at once.
LANES = 100


class RedisCopying:
    """``eventbus.journal.copy.copying.Copyable`` on Redis at ``url``, which is called ``name``."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._client = server.connect(url, "eventbus-copy")
        self._queries = RedisQueries(self._client)
        self._exports = Exports(self._queries)
        self._begin = self._client.register_script(script("begin_copy"))
        self._name = name

    @property
    def name(self) -> str:
        """See Copyable.name."""
        return self._name

    def open(self, *, create: bool) -> tuple[str, ...]:
        """See Copyable.open; a database is always there."""
        with translate_errors("cannot be opened"):
            return server.examine(self._client, self._url)[1]

    def check_unused(self) -> None:
        """See Copyable.check_unused: every node shows that it lives."""
        with translate_errors("does not tell whether a bus runs on it"):
            ((seconds, micros),) = self._queries.pipelined(("TIME",))
            now = int(seconds) * 1_000 + int(micros) // 1_000
            (live,) = self._queries.pipelined(("ZCOUNT", keys.NODES, now, "+inf"))
        if live:
            raise self._used()

    def _used(self) -> JournalLocked:
        return JournalLocked(
            f"A bus runs on {self._name}, or was killed a few seconds ago; stop all that share it, and try again."
        )

    def extent(self) -> Extent:
        """See Copyable.extent."""
        with translate_errors("cannot be read"):
            seq, letter, *counts = self._queries.pipelined(
                ("GET", keys.SEQ), ("GET", keys.DEAD_ID), ("XLEN", keys.EVENTS), ("HLEN", keys.LANES),
                ("ZCARD", keys.WAITING), ("HLEN", keys.DEAD), ("ZCARD", keys.DISCARDS), ("HLEN", keys.KEYS),
            )  # fmt: skip
            last = int(seq or 0)
            return Extent(last, int(letter or 0), self._scanned(last), dict(zip(Kind, counts, strict=True)))

    def _scanned(self, last: int) -> int:
        """Nodes are not equally far: all lanes have been offered what the last of them has."""
        names = self._queries.open_lanes()
        parts = (self._queries.lane_records(names[start : start + LANES]) for start in range(0, len(names), LANES))
        return min((record.scanned for part in parts for record, _ in part), default=last)

    def export(self, kind: Kind, after: str, limit: int, max_bytes: int) -> Batch:
        """See Copyable.export."""
        with translate_errors("cannot be read"):
            return self._exports.batch(kind, after, limit, max_bytes)

    def mark(self) -> Mark | None:
        """See Copyable.mark."""
        with translate_errors("cannot be read"):
            (text,) = self._queries.pipelined(("GET", keys.COPY))
        return None if text is None else Mark.from_json(text.decode())

    def begin(self, mark: Mark) -> None:
        """See Copyable.begin."""
        extent = mark.extent
        with translate_errors("cannot be written"):
            begun = self._begin(
                keys=[keys.NODES], args=[mark.to_json(), extent.last_seq, extent.last_letter, extent.scanned]
            )
        if not begun:
            raise self._used()

    def take(self, rows: Sequence[Row], mark: Mark) -> None:
        """See Copyable.take: one transaction, which Redis runs whole or not at all."""
        pipeline: Any = self._client.pipeline(transaction=True)
        for command in commands(mark.kind, rows):
            pipeline.execute_command(*command)
        pipeline.execute_command("SET", keys.COPY, mark.to_json())
        with translate_errors("cannot be written"):
            pipeline.execute()

    def finish(self) -> None:
        """See Copyable.finish."""
        with translate_errors("cannot be written"):
            self._queries.pipelined(("DEL", keys.COPY))

    def close(self) -> None:
        """See Copyable.close."""
        self._client.close()
