"""The rows of a journal on Redis in batches, in an order that stays the same while nobody writes."""

from collections.abc import Callable, Sequence
from functools import cached_property

from eventbus.core.records import Discard
from eventbus.journal import lane_json
from eventbus.journal.copy.copying import Batch, RecordKind
from eventbus.journal.copy.fingerprints import CancelledEvent, DatedDiscard, NumberedLetter, Row, UsedKey
from eventbus.journal.redis.store import keys
from eventbus.journal.redis.store.queries import RedisQueries
from eventbus.journal.redis.store.rows import letter_of, retry_of
from eventbus.journal.redis.store.schedule import scheduled_id, scheduled_of

#: A sequence number above all others.
MAX_SEQ = 2**53 - 1
#: Rows that are read at once, before their bytes are counted.
PAGE_ROWS = 50

#: A member of a sorted set, and its score; a lane has none.
Name = tuple[bytes, float]
#: A row, and the bytes that it was read from.
Read = tuple[Row, int]


class Exports:
    """Reads through ``queries``. An event's position is its number, that of another row how many come before it."""

    def __init__(self, queries: RedisQueries) -> None:
        self._queries = queries
        self._readers: dict[RecordKind, tuple[str, Callable[[Sequence[Name]], list[Read]]]] = {
            RecordKind.LANES: (keys.LANES, self._lanes),
            RecordKind.RETRIES: (keys.WAITING, self._retries),
            RecordKind.DEAD_LETTERS: (keys.DEAD_IDS, self._letters),
            RecordKind.DISCARDS: (keys.DISCARDS, self._discards),
            RecordKind.KEYS: (keys.KEYS_AT, self._used_keys),
            RecordKind.SCHEDULED: (keys.SCHEDULED, self._scheduled),
            RecordKind.CANCELLED: (keys.CANCELLED, self._cancelled),
        }

    def batch(self, kind: RecordKind, after: str, limit: int, max_bytes: int) -> Batch:
        """Return the next rows of a kind after a position. Raises RedisError."""
        if kind is RecordKind.EVENTS:
            page = self._queries.page(int(after or 0), MAX_SEQ, limit, max_bytes)
            return Batch(page.events, str(page.events[-1].seq) if page.events else after)
        where, read = self._readers[kind]
        position, found, size = int(after or 0), list[Row](), 0
        while len(found) < limit and size < max_bytes:
            names = self._names(where, position, min(PAGE_ROWS, limit - len(found)))
            if not names:
                break
            rows = read(names)
            found += [row for row, _ in rows]
            size += sum(length for _, length in rows)
            position += len(names)
        return Batch(tuple(found), str(position))

    def _names(self, where: str, first: int, count: int) -> list[Name]:
        if where == keys.LANES:
            return [(name, 0.0) for name in self._lane_names[first : first + count]]
        (members,) = self._queries.pipelined(("ZRANGE", where, first, first + count - 1, "WITHSCORES"))
        return [(name, float(score)) for name, score in zip(members[::2], members[1::2], strict=True)]

    @cached_property
    def _lane_names(self) -> list[bytes]:
        """All names, since Redis keeps them in no order."""
        (names,) = self._queries.pipelined(("HKEYS", keys.LANES))
        return sorted(names)

    def _lanes(self, names: Sequence[Name]) -> list[Read]:
        texts = self._values(keys.LANES, [name for name, _ in names])
        return [(lane_json.from_json(text.decode()), len(text)) for text in texts]

    def _retries(self, names: Sequence[Name]) -> list[Read]:
        parts = [name.decode().split(":", 2) for name, _ in names]
        deliveries = [(lane, f"{seq}:{replay_id}") for seq, replay_id, lane in parts]
        texts = self._queries.pipelined(*(("HGET", keys.waits(lane), delivery) for lane, delivery in deliveries))
        return [
            (retry_of(lane, delivery, text), len(text))
            for (lane, delivery), text in zip(deliveries, texts, strict=True)
        ]

    def _letters(self, names: Sequence[Name]) -> list[Read]:
        numbers = [int(name) for name, _ in names]
        texts = self._values(keys.DEAD, numbers)
        return [
            (NumberedLetter(number, letter_of(number, text, ()).letter), len(text))
            for number, text in zip(numbers, texts, strict=True)
        ]

    def _discards(self, names: Sequence[Name]) -> list[Read]:
        parts = [(name.decode().split(":", 3), len(name)) for name, _ in names]
        return [
            (DatedDiscard(Discard(lane, int(first), int(last)), float(at)), size)
            for (first, last, at, lane), size in parts
        ]

    def _used_keys(self, names: Sequence[Name]) -> list[Read]:
        every = [name for name, _ in names]
        texts, contents = self._values(keys.KEYS, every), self._values(keys.KEYS_CONTENT, every)
        return [
            (
                UsedKey(
                    name.decode(), ids.decode(), at, (content or b"").decode(), None if due is None else float(due)
                ),
                len(ids),
            )
            for (name, at), ids, content, due in zip(
                names, texts, contents, self._values(keys.KEYS_DUE, every), strict=True
            )
        ]

    def _scheduled(self, names: Sequence[Name]) -> list[Read]:
        ids = [scheduled_id(member) for member, _ in names]
        rows = self._values(keys.SCHEDULED_ROWS, ids)
        return [(scheduled_of(event_id, row), len(row)) for event_id, row in zip(ids, rows, strict=True)]

    def _cancelled(self, names: Sequence[Name]) -> list[Read]:
        return [(CancelledEvent(name.decode(), at), len(name)) for name, at in names]

    def _values(self, where: str, names: Sequence[bytes | str | int]) -> list[bytes]:
        (texts,) = self._queries.pipelined(("HMGET", where, *names))
        return list(texts)
