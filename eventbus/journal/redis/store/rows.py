"""Events, retries and dead letters as Redis stores them. A delivery is named ``SEQ:REPLAY``, with six digits."""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from eventbus.core.model import Event
from eventbus.core.records import DeadLetter, Past, Retry
from eventbus.journal.base import KeptDeadLetter

#: Fields of an event in the stream, in this order: id, topic, head, body, time; and last the order key, if it has one.
FIELDS, KEY_FIELD = [b"i", b"t", b"h", b"b", b"a"], b"k"
_NAMES = (FIELDS, [*FIELDS, KEY_FIELD])


def topic_text(topic: str | None) -> str:
    """Return a topic as it is stored: empty for none, any other after an ``=``."""
    return "" if topic is None else f"={topic}"


def topic_of(kept: bytes) -> str | None:
    """Parse a stored topic."""
    return kept[1:].decode() if kept else None


def patterns_of(topics: str) -> tuple[str, ...]:
    """Parse topic patterns as they are stored; none is everything."""
    return () if topics == ">" else tuple(topics.split(" "))


def number_of(entry_id: bytes) -> int:
    """Return an event's sequence number, from its id in the stream."""
    return int(entry_id.partition(b"-")[0])


def event_of(entry: Sequence[Any]) -> Event | None:
    """Return the event of a stream's entry (its id, then names and values by turns), or None if it is no event."""
    entry_id, parts = entry
    number, _, sub = entry_id.partition(b"-")
    if sub != b"0" or parts[::2] not in _NAMES:
        return None
    event_id, topic, head, body, at, *key = parts[1::2]
    try:
        order_key = key[0].decode() if key else ""
        return Event(int(number), event_id.decode(), topic_of(topic), head, body, float(at), order_key)
    except ValueError:
        return None


def events_of(entries: Iterable[Sequence[Any]]) -> list[Event]:
    """Return the events among a stream's entries."""
    return [event for entry in entries if (event := event_of(entry)) is not None]


@dataclass(frozen=True, slots=True)
class NewEntries:
    """The events after a cursor, the next cursor, and entries that other programs have added.

    ``foreign`` are ids that no event has; ``beyond_newest`` is whether there is an entry after the newest event.
    """

    events: list[Event]
    cursor: int
    foreign: list[bytes]
    beyond_newest: bool


def new_entries(entries: Sequence[Sequence[Any]], cursor: int, newest: int) -> NewEntries:
    """Classify the entries after a cursor; ``newest`` is the newest event's number, read after the entries.

    An entry with an event's number, but other fields, is no event. It is not foreign: a newer bus may know it.
    """
    numbers = [number_of(entry_id) for entry_id, _ in entries]
    ours = [entry for entry, number in zip(entries, numbers, strict=True) if number <= newest]
    foreign = [entry_id for entry_id, _ in ours if not entry_id.endswith(b"-0")]
    return NewEntries(events_of(ours), numbers[len(ours) - 1] if ours else cursor, foreign, len(ours) < len(entries))


def delivery_name(seq: int, replay_id: int) -> str:
    """Return a delivery's name in its lane."""
    return f"{seq}:{replay_id:06d}"


def order_member(order_key: str, seq: int, replay_id: int) -> str:
    """Return what stands for a retry among those of its lane by order key and sequence number; see ``keys.keyed``."""
    return f"{order_key}\0{seq:016d}:{replay_id:06d}"


def member_delivery(member: bytes) -> str:
    """Return the name of the delivery that a member of ``keys.keyed`` stands for."""
    seq, replay_id = member.rpartition(b"\0")[2].decode().split(":")
    return delivery_name(int(seq), int(replay_id))


def retry_text(row: Retry) -> str:
    """Write a retry as JSON, without its lane and its delivery."""
    attempts = {"attempts": row.attempts, "first_at": row.first_at, "due_at": row.due_at}
    past = {} if row.past is None else {"past": _past_json(row.past)}
    key = {} if row.order_key is None else {"order_key": row.order_key}
    return json.dumps({**attempts, "status": row.status, "error": _plain(row.error), **past, **key})


def _past_json(past: Past) -> dict[str, Any]:
    """Return a past as older versions read it, but for what they have no word for."""
    fields = asdict(past)
    if past.expires:
        del fields["expires"]
    return fields


def retry_of(lane: str, name: str, text: bytes) -> Retry:
    """Parse a retry; ``name`` is its delivery's."""
    seq, replay_id = name.split(":")
    fields = json.loads(text)
    past = Past(**fields.pop("past")) if "past" in fields else None
    return Retry(lane, int(seq), int(replay_id), **fields, past=past)


def letter_text(letter: DeadLetter) -> str:
    """Write a dead letter as JSON, without its id. ``dead_to`` is last, where a script removes it."""
    return json.dumps(
        {
            "key": letter.key,
            "delivery": delivery_name(letter.seq, letter.replay_id),
            "reason": letter.reason,
            "attempts": letter.attempts,
            "first_at": letter.first_at,
            "last_at": letter.last_at,
            "status": letter.status,
            "error": _plain(letter.error),
            "answer": base64.b64encode(letter.answer).decode(),
            **(_names_of(letter) if letter.event_id else {}),
            **({"dead_to": letter.dead_to} if letter.dead_to else {}),
        }
    )


def _names_of(letter: DeadLetter) -> dict[str, str | None]:
    """Return what names the event of a dead letter that has given up its body."""
    key = {"order_key": letter.order_key} if letter.order_key else {}
    return {"event_id": letter.event_id, "topic": letter.topic, **key}


def letter_of(letter_id: int, text: bytes, names: Sequence[bytes]) -> KeptDeadLetter:
    """Parse a dead letter; ``names`` are its event's id, topic and key, and empty if the event is gone."""
    fields = json.loads(text)
    seq, replay_id = fields.pop("delivery").split(":")
    answer = base64.b64decode(fields.pop("answer"))
    letter = DeadLetter(seq=int(seq), replay_id=int(replay_id), answer=answer, **fields)
    event_id, topic = (names[0].decode(), topic_of(names[1])) if names else ("", None)
    order_key = names[2].decode() if names else ""
    if letter.event_id:
        event_id, topic, order_key = letter.event_id, letter.topic, letter.order_key
    return KeptDeadLetter(letter_id, letter, event_id, topic, order_key)


def _plain(text: str) -> str:
    """Replace lone surrogates, which no other reader of JSON accepts."""
    return text.encode("utf-8", "replace").decode()
