"""A journal on a Redis server as the source or the target of a copy."""

from collections.abc import Sequence
from typing import Any

from eventbus.core.errors import JournalLocked
from eventbus.core.override import override
from eventbus.journal.copy.copying import Batch, Copyable, Extent, Mark, RecordKind
from eventbus.journal.copy.fingerprints import Row
from eventbus.journal.redis.lua import script
from eventbus.journal.redis.store import keys, server
from eventbus.journal.redis.store.copy_commands import commands
from eventbus.journal.redis.store.exports import Exports
from eventbus.journal.redis.store.queries import RedisQueries
from eventbus.journal.redis.store.server import translate_errors

#: Lanes that are read at once.
PAGE_LANES = 100


class RedisCopying(Copyable):
    """A journal on Redis at ``url`` that is copied; ``name`` is its URL without secrets."""

    def __init__(self, url: str, name: str) -> None:
        self._url = url
        self._client = server.connect(url, "eventbus-copy")
        self._queries = RedisQueries(self._client)
        self._exports = Exports(self._queries)
        self._begin = self._client.register_script(script("begin_copy"))
        self._name = name

    @property
    @override
    def name(self) -> str:
        return self._name

    @override
    def open(self, *, create: bool) -> tuple[str, ...]:
        with translate_errors("cannot be opened"):
            return server.examine(self._client, self._url)[1]

    @override
    def check_unused(self) -> None:
        with translate_errors("does not return whether a bus runs on it"):
            ((seconds, micros),) = self._queries.pipelined(("TIME",))
            now = int(seconds) * 1_000 + int(micros) // 1_000
            (live,) = self._queries.pipelined(("ZCOUNT", keys.NODES, now, "+inf"))
        if live:
            raise self._used()

    def _used(self) -> JournalLocked:
        return JournalLocked(
            f"A bus runs on {self._name}, or was killed a few seconds ago; stop all that share it, and try again."
        )

    @override
    def extent(self) -> Extent:
        with translate_errors("cannot be read"):
            seq, letter, *counts = self._queries.pipelined(
                ("GET", keys.SEQ), ("GET", keys.DEAD_ID), ("XLEN", keys.EVENTS), ("HLEN", keys.LANES),
                ("ZCARD", keys.WAITING), ("HLEN", keys.DEAD), ("ZCARD", keys.DISCARDS), ("HLEN", keys.KEYS),
                ("ZCARD", keys.SCHEDULED), ("ZCARD", keys.CANCELLED),
            )  # fmt: skip
            last = int(seq or 0)
            return Extent(last, int(letter or 0), self._scanned(last), dict(zip(RecordKind, counts, strict=True)))

    def _scanned(self, last: int) -> int:
        """Return up to which event all lanes have seen the journal: nodes are not equally far."""
        names = self._queries.open_lanes()
        pages = (names[start : start + PAGE_LANES] for start in range(0, len(names), PAGE_LANES))
        records = (record for page in pages for record, _ in self._queries.lane_records(page))
        return min((record.scanned for record in records), default=last)

    @override
    def export(self, kind: RecordKind, after: str, limit: int, max_bytes: int) -> Batch:
        with translate_errors("cannot be read"):
            return self._exports.batch(kind, after, limit, max_bytes)

    @override
    def mark(self) -> Mark | None:
        with translate_errors("cannot be read"):
            (text,) = self._queries.pipelined(("GET", keys.COPY))
        return None if text is None else Mark.from_json(text.decode())

    @override
    def begin(self, mark: Mark) -> None:
        extent = mark.extent
        with translate_errors("cannot be written"):
            begun = self._begin(
                keys=[keys.NODES], args=[mark.to_json(), extent.last_seq, extent.last_letter, extent.scanned]
            )
        if not begun:
            raise self._used()

    @override
    def write(self, rows: Sequence[Row], mark: Mark) -> None:
        pipeline: Any = self._client.pipeline(transaction=True)
        for command in commands(mark.kind, rows):
            pipeline.execute_command(*command)
        pipeline.execute_command("SET", keys.COPY, mark.to_json())
        with translate_errors("cannot be written"):
            pipeline.execute()

    @override
    def finish(self) -> None:
        with translate_errors("cannot be written"):
            self._queries.pipelined(("DEL", keys.COPY))

    @override
    def close(self) -> None:
        self._client.close()
