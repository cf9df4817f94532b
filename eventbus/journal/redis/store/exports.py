"""What a journal in Redis holds, in batches, in an order that stays the same while nobody writes."""

from collections.abc import Callable, Sequence
from functools import cached_property

from eventbus.core.model import Discard
from eventbus.journal import lane_json
from eventbus.journal.copy.copying import Batch, Kind
from eventbus.journal.copy.fingerprints import DatedDiscard, NumberedLetter, Row, UsedKey
from eventbus.journal.redis.store import keys
from eventbus.journal.redis.store.queries import RedisQueries
from eventbus.journal.redis.store.rows import letter_of, retry_of

#: A number that no event has.
BEYOND = 2**53 - 1
#: Rows that are read at once, before it is looked at how many bytes they have.
PIECE = 50

#: A member of a sorted set, and its score; a lane has none.
Name = tuple[bytes, float]
#: A row, and the bytes that it was read from.
Read = tuple[Row, int]


class Exports:
    """Reads through ``queries``. The place of an event is its number, that of others how many come before it."""

    def __init__(self, queries: RedisQueries) -> None:
        self._queries = queries
        self._ways: dict[Kind, tuple[str, Callable[[Sequence[Name]], list[Read]]]] = {
            Kind.LANES: (keys.LANES, self._lanes),
            Kind.DEFERRED: (keys.WAITING, self._retries),
            Kind.DEAD_LETTERS: (keys.DEAD_IDS, self._letters),
            Kind.DISCARDS: (keys.DISCARDS, self._discards),
            Kind.KEYS: (keys.KEYS_AT, self._used_keys),
        }

    def batch(self, kind: Kind, after: str, limit: int, max_bytes: int) -> Batch:
        """The next rows of a kind after a place. Raises RedisError."""
        if kind is Kind.EVENTS:
            page = self._queries.page(int(after or 0), BEYOND, limit, max_bytes)
            return Batch(page.events, str(page.events[-1].seq) if page.events else after)
        where, read = self._ways[kind]
        place, found, size = int(after or 0), list[Row](), 0
        while len(found) < limit and size < max_bytes:
            names = self._names(where, place, min(PIECE, limit - len(found)))
            if not names:
                break
            rows = read(names)
            found += [row for row, _ in rows]
            size += sum(length for _, length in rows)
            place += len(names)
        return Batch(tuple(found), str(place))

    def _names(self, where: str, first: int, count: int) -> list[Name]:
        if where == keys.LANES:
            return [(name, 0.0) for name in self._lane_names[first : first + count]]
        (said,) = self._queries.pipelined(("ZRANGE", where, first, first + count - 1, "WITHSCORES"))
        return [(name, float(score)) for name, score in zip(said[::2], said[1::2], strict=True)]

    @cached_property
    def _lane_names(self) -> list[bytes]:
        """All of them, since Redis keeps them in no order: a name for each subscriber."""
        (names,) = self._queries.pipelined(("HKEYS", keys.LANES))
        return sorted(names)

    def _lanes(self, names: Sequence[Name]) -> list[Read]:
        texts = self._values(keys.LANES, [name for name, _ in names])
        return [(lane_json.from_json(text.decode()), len(text)) for text in texts]

    def _retries(self, names: Sequence[Name]) -> list[Read]:
        parts = [name.decode().split(":", 2) for name, _ in names]
        wanted = [(lane, f"{seq}:{replay_id}") for seq, replay_id, lane in parts]
        texts = self._queries.pipelined(*(("HGET", keys.waits(lane), delivery) for lane, delivery in wanted))
        return [
            (retry_of(lane, delivery, text), len(text)) for (lane, delivery), text in zip(wanted, texts, strict=True)
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
            (UsedKey(name.decode(), ids.decode(), at, (content or b"").decode()), len(ids))
            for (name, at), ids, content in zip(names, texts, contents, strict=True)
        ]

    def _values(self, where: str, names: Sequence[bytes | int]) -> list[bytes]:
        (texts,) = self._queries.pipelined(("HMGET", where, *names))
        return list(texts)
