"""Many messages or events at once: a field of each, by index, which costs a third of access by name. Pure."""

from collections.abc import Iterable, Sequence
from functools import partial
from itertools import repeat
from operator import itemgetter

from eventbus.core.model import Event, Message

#: Indexes from the end: an event has its sequence number before a message's fields.
_ID, _HEAD, _BODY = itemgetter(-6), itemgetter(-4), itemgetter(-3)
_SEQ = itemgetter(0)


def messages_of(
    ids: Sequence[str], topic: str | None, head: bytes, bodies: Sequence[bytes], accepted_at: float
) -> list[Message]:
    """Return a message without an order key for each id and body; the rest they have in common."""
    make = partial(tuple.__new__, Message)
    columns = ids, repeat(topic), repeat(head), bodies, repeat(accepted_at), repeat("")
    return list(map(make, zip(*columns, strict=False)))


def numbered(messages: Iterable[Message], first: int) -> list[Event]:
    """Return messages as events with consecutive sequence numbers, the first one given."""
    make = partial(tuple.__new__, Event)
    return list(map(make, ((seq, *message) for seq, message in enumerate(messages, first))))


def seqs_of(events: Iterable[Event]) -> list[int]:
    """Return the sequence numbers, in order."""
    return list(map(_SEQ, events))


def ids_of(items: Iterable[Message | Event]) -> tuple[str, ...]:
    """Return the ids, in order."""
    return tuple(map(_ID, items))


def body_bytes(items: Iterable[Message | Event]) -> int:
    """Return the number of bytes in all bodies."""
    return sum(map(len, map(_BODY, items)))


def head_bytes(items: Iterable[Message | Event]) -> int:
    """Return the number of bytes in all heads."""
    return sum(map(len, map(_HEAD, items)))
