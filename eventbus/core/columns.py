"""One field of many messages or events, by index, which costs a third of access by name. Pure."""

from collections.abc import Iterable
from operator import itemgetter

from eventbus.core.model import Event, Message

#: Indexes from the end: an event has its sequence number before a message's fields.
_ID, _HEAD, _BODY = itemgetter(-6), itemgetter(-4), itemgetter(-3)


def ids_of(items: Iterable[Message | Event]) -> tuple[str, ...]:
    """Return the ids, in order."""
    return tuple(map(_ID, items))


def body_bytes(items: Iterable[Message | Event]) -> int:
    """Return the number of bytes in all bodies."""
    return sum(map(len, map(_BODY, items)))


def head_bytes(items: Iterable[Message | Event]) -> int:
    """Return the number of bytes in all heads."""
    return sum(map(len, map(_HEAD, items)))
