"""The Redis commands that write rows into a copy: the same keys as the commit script writes."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

from eventbus.core.model import Event, Message
from eventbus.core.records import LaneRecord, Retry
from eventbus.core.schedule import ScheduledEvent
from eventbus.journal.base import KEY_OVERHEAD
from eventbus.journal.copy.copying import RecordKind
from eventbus.journal.copy.fingerprints import CancelledEvent, DatedDiscard, NumberedLetter, Row, UsedKey
from eventbus.journal.redis.store import keys
from eventbus.journal.redis.store.commit_plan import EVENT_OVERHEAD, lane_plan
from eventbus.journal.redis.store.rows import (
    FIELDS,
    KEY_FIELD,
    delivery_name,
    letter_text,
    order_member,
    retry_text,
    topic_text,
)
from eventbus.journal.redis.store.schedule import scheduled_member, scheduled_row

Command = tuple[Any, ...]


def commands(kind: RecordKind, rows: Sequence[Row]) -> Iterator[Command]:
    """Return the commands that write rows of one kind."""
    for row in rows:
        yield from _COMMANDS[kind](row)


def _event(event: Event) -> Iterator[Command]:
    topic, at = topic_text(event.topic), repr(event.accepted_at)
    fields: list[tuple[Any, Any]] = [*zip(FIELDS, (event.id, topic, event.head, event.body, at), strict=True)]
    if event.key:
        fields.append((KEY_FIELD, event.key))
    yield ("XADD", keys.EVENTS, f"{event.seq}-0", *(part for pair in fields for part in pair))
    yield ("HSET", keys.IDS, event.id, event.seq)
    yield ("INCRBY", keys.BYTES, _size(event))


def _size(event: Event | Message) -> int:
    """Return the bytes that an event counts for, as the commit script has it."""
    names = f"{event.id}{topic_text(event.topic)}{event.key}".encode()
    return len(names) + len(event.head) + len(event.body) + EVENT_OVERHEAD


def _lane(record: LaneRecord) -> Iterator[Command]:
    lane = lane_plan(record)
    key = lane["key"]
    yield ("HSET", keys.LANES, key, lane["record"])
    if "topics" in lane:
        yield ("HSET", keys.TOPICS, key, lane["topics"])
    if lane.get("members"):
        yield ("HSET", keys.MEMBERS, key, lane["members"])
        for address in lane["members"].split():
            yield ("HSET", keys.GROUPS, address, key)
    if "ended" in lane:
        yield ("ZADD", keys.ENDED, lane["ended"], key)
    else:
        yield ("SADD", keys.OPEN, key)
        yield ("SADD", keys.UNCLAIMED, key)


def _retry(row: Retry) -> Iterator[Command]:
    delivery = delivery_name(row.seq, row.replay_id)
    yield ("HSET", keys.waits(row.key), delivery, retry_text(row))
    yield ("ZADD", keys.due(row.key), repr(row.due_at), delivery)
    yield ("ZADD", keys.line(row.key), row.seq, delivery)
    yield ("ZADD", keys.WAITING, row.seq, f"{delivery}:{row.key}")
    if row.order_key:
        yield ("ZADD", keys.keyed(row.key), 0, order_member(row.order_key, row.seq, row.replay_id))


def _letter(kept: NumberedLetter) -> Iterator[Command]:
    letter, number = kept.letter, kept.id
    yield ("HSET", keys.DEAD_KNOWN, f"{delivery_name(letter.seq, letter.replay_id)}:{letter.key}", number)
    yield ("HSET", keys.DEAD, number, letter_text(letter))
    yield ("ZADD", keys.DEAD_IDS, number, number)
    yield ("ZADD", keys.dead_of(letter.key), number, number)
    yield ("ZADD", keys.DEAD_AT, repr(letter.last_at), number)
    yield ("ZADD", keys.DEAD_GONE if letter.event_id else keys.DEAD_SEQ, letter.seq, number)
    if letter.dead_to:
        yield ("ZADD", keys.DEAD_TO, number, number)


def _discard(kept: DatedDiscard) -> Iterator[Command]:
    span, at = kept.span, repr(kept.at)
    member = f"{span.first}:{span.last}:{at}:{span.key}"
    yield ("ZADD", keys.DISCARDS, span.last, member)
    yield ("ZADD", keys.DISCARDS_AT, at, member)


def _used_key(used: UsedKey) -> Iterator[Command]:
    yield ("HSET", keys.KEYS, used.key, used.ids)
    yield ("INCRBY", keys.KEYS_BYTES, len(used.key) + len(used.ids) + KEY_OVERHEAD)
    if used.content:
        yield ("HSET", keys.KEYS_CONTENT, used.key, used.content)
    if used.due_at is not None:
        yield ("HSET", keys.KEYS_DUE, used.key, repr(used.due_at))
    yield ("ZADD", keys.KEYS_AT, repr(used.at), used.key)


def _scheduled(event: ScheduledEvent) -> Iterator[Command]:
    message = event.message
    yield ("HSET", keys.SCHEDULED_ROWS, message.id, scheduled_row(event))
    yield ("ZADD", keys.SCHEDULED, repr(event.due_at), scheduled_member(event))
    yield ("INCRBY", keys.BYTES, _size(message))


def _cancelled(event: CancelledEvent) -> Iterator[Command]:
    yield ("ZADD", keys.CANCELLED, repr(event.at), event.id)


_COMMANDS: dict[RecordKind, Callable[[Any], Iterator[Command]]] = {
    RecordKind.EVENTS: _event,
    RecordKind.LANES: _lane,
    RecordKind.RETRIES: _retry,
    RecordKind.DEAD_LETTERS: _letter,
    RecordKind.DISCARDS: _discard,
    RecordKind.KEYS: _used_key,
    RecordKind.SCHEDULED: _scheduled,
    RecordKind.CANCELLED: _cancelled,
}
