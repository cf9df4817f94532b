"""Fingerprints of rows, the same for every kind of journal, to compare a copy with its source."""

import json
from dataclasses import astuple, dataclass
from functools import singledispatch
from hashlib import sha256
from typing import Any

from eventbus.core.model import Event
from eventbus.core.records import DeadLetter, Discard, LaneRecord, Retry
from eventbus.core.schedule import ScheduledEvent
from eventbus.journal import lane_json

#: Fingerprints are added up within this, so that the order in which rows are read makes no difference.
MODULUS = 1 << 256


@dataclass(frozen=True, slots=True)
class NumberedLetter:
    """A dead letter with its id."""

    id: int
    letter: DeadLetter


@dataclass(frozen=True, slots=True)
class DatedDiscard:
    """A span that was discarded, and when, in seconds since 1970."""

    span: Discard
    at: float


@dataclass(frozen=True, slots=True)
class UsedKey:
    """An idempotency key, the ids that it stands for, a line each, and when it was used, in seconds since 1970."""

    key: str
    ids: str
    at: float
    content: str = ""  # a digest of the topics and bodies; keys of older versions have none
    due_at: float | None = None  # of what was scheduled


@dataclass(frozen=True, slots=True)
class CancelledEvent:
    """The id of a scheduled event that was cancelled, and when, in seconds since 1970."""

    id: str
    at: float


#: One row of a journal.
Row = Event | LaneRecord | Retry | NumberedLetter | DatedDiscard | UsedKey | ScheduledEvent | CancelledEvent


def fingerprint(row: Row) -> int:
    """Return a number that only equal rows share."""
    fields, *bodies = _parts(row)
    found = sha256(json.dumps([type(row).__name__, fields, *map(len, bodies)]).encode())
    for body in bodies:
        found.update(body)
    return int.from_bytes(found.digest(), "big")


@singledispatch
def _parts(row: Any) -> tuple[Any, ...]:
    """Return a row's fields, then its bytes. Times are floats, since one kind of journal may read them as integers."""
    raise TypeError(f"A journal holds no {type(row).__name__}")


@_parts.register
def _(row: Event) -> tuple[Any, ...]:
    return (row.seq, row.id, row.topic, float(row.accepted_at), *_given(row.key or None)), row.head, row.body


@_parts.register
def _(row: LaneRecord) -> tuple[Any, ...]:
    return (lane_json.to_json(row),)


@_parts.register
def _(row: Retry) -> tuple[Any, ...]:
    when = (float(row.first_at), float(row.due_at))
    past = () if row.past is None else astuple(row.past)
    return (
        (row.key, row.seq, row.replay_id, row.attempts, *when, row.status, row.error, *past, *_given(row.order_key)),
    )


@_parts.register
def _(row: NumberedLetter) -> tuple[Any, ...]:
    *fields, first_at, last_at, status, error, answer, event_id, topic, key, dead_to = astuple(row.letter)
    first = None if first_at is None else float(first_at)
    later = (*_given(key or None), *(("dead_to", dead_to) if dead_to else ()))
    return (row.id, *fields, first, float(last_at), status, error, event_id, topic, *later), answer


@_parts.register
def _(row: DatedDiscard) -> tuple[Any, ...]:
    return ((*astuple(row.span), float(row.at)),)


@_parts.register
def _(row: UsedKey) -> tuple[Any, ...]:
    due = () if row.due_at is None else (float(row.due_at),)
    return ((row.key, row.ids, float(row.at), row.content, *due),)


@_parts.register
def _(row: ScheduledEvent) -> tuple[Any, ...]:
    event_id, topic, head, body, accepted_at, key = row.message
    return (row.number, float(row.due_at), event_id, topic, float(accepted_at), key), head, body


@_parts.register
def _(row: CancelledEvent) -> tuple[Any, ...]:
    return ((row.id, float(row.at)),)


def _given(order_key: str | None) -> tuple[str, ...]:
    """Return an order key as the last of the fields; none without one, as older versions count."""
    return () if order_key is None else (order_key,)
