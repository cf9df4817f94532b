"""What a journal in Redis keeps, as text and back. A delivery's name there is ``SEQ:RUN``, the run with six digits."""

import base64
import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

from eventbus.core.model import DeadLetter, Event, Past, Retry
from eventbus.journal.base import KeptDeadLetter

#: Fields of an event in the stream, in this order: id, topic, head, body, time.
FIELDS = [b"i", b"t", b"h", b"b", b"a"]


def topic_text(topic: str | None) -> str:
    """A topic as it is kept: none is empty, and any other has a sign before it."""
    return "" if topic is None else f"={topic}"


def topic_of(kept: bytes) -> str | None:
    """A topic from how it is kept."""
    return kept[1:].decode() if kept else None


def number_of(entry_id: bytes) -> int:
    """An event's number, from its id in the stream."""
    return int(entry_id.partition(b"-")[0])


def event_of(entry: Sequence[Any]) -> Event | None:
    """An event from the stream's entry: its id there, and names and values by turns; None for what is no event."""
    entry_id, parts = entry
    number, _, sub = entry_id.partition(b"-")
    if sub != b"0" or parts[::2] != FIELDS:
        return None
    _, event_id, _, topic, _, head, _, body, _, at = parts
    try:
        return Event(int(number), event_id.decode(), topic_of(topic), head, body, float(at))
    except ValueError:
        return None


def events_of(entries: Iterable[Sequence[Any]]) -> list[Event]:
    """The events among the stream's entries."""
    return [event for entry in entries if (event := event_of(entry)) is not None]


@dataclass(frozen=True, slots=True)
class NewEntries:
    """What came after a place: the events, the place to go on after, and what other programs have put there.

    ``beside`` are ids that no event has; ``beyond`` is whether anything stands after the newest event.
    """

    events: list[Event]
    place: int
    beside: list[bytes]
    beyond: bool


def new_entries(entries: Sequence[Sequence[Any]], place: int, newest: int) -> NewEntries:
    """Sort what stands after a place; ``newest`` is the newest event's number, asked for after the entries.

    An entry with other fields under a number that events have is neither an event nor removed: a newer bus may know it.
    """
    numbers = [number_of(entry_id) for entry_id, _ in entries]
    ours = [entry for entry, number in zip(entries, numbers, strict=True) if number <= newest]
    beside = [entry_id for entry_id, _ in ours if not entry_id.endswith(b"-0")]
    return NewEntries(events_of(ours), numbers[len(ours) - 1] if ours else place, beside, len(ours) < len(entries))


def delivery_name(seq: int, replay_id: int) -> str:
    """What a delivery is called among a lane's."""
    return f"{seq}:{replay_id:06d}"


def retry_text(row: Retry) -> str:
    """A deferral, but for its lane and its name."""
    told = {"attempts": row.attempts, "first_at": row.first_at, "due_at": row.due_at}
    past = {} if row.past is None else {"past": asdict(row.past)}
    return json.dumps({**told, "status": row.status, "error": _plain(row.error), **past})


def retry_of(lane: str, name: str, text: bytes) -> Retry:
    """A deferral from its lane, its name and its text."""
    seq, replay_id = name.split(":")
    said = json.loads(text)
    past = Past(**said.pop("past")) if "past" in said else None
    return Retry(lane, int(seq), int(replay_id), **said, past=past)


def letter_text(letter: DeadLetter) -> str:
    """A dead letter, but for its id."""
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
            **({"event_id": letter.event_id, "topic": letter.topic} if letter.event_id else {}),
        }
    )


def letter_of(letter_id: int, text: bytes, names: Sequence[bytes]) -> KeptDeadLetter:
    """A dead letter from its id, its text, and its event's id and topic, where that is still there."""
    said = json.loads(text)
    seq, replay_id = said.pop("delivery").split(":")
    answer = base64.b64decode(said.pop("answer"))
    letter = DeadLetter(seq=int(seq), replay_id=int(replay_id), answer=answer, **said)
    event_id, topic = (names[0].decode(), topic_of(names[1])) if names else ("", None)
    if letter.event_id:
        event_id, topic = letter.event_id, letter.topic
    return KeptDeadLetter(letter_id, letter, event_id, topic)


def _plain(text: str) -> str:
    """Without what is half a character, which no other reader of JSON takes."""
    return text.encode("utf-8", "replace").decode()
