"""One field of many messages or events. By index, which costs a third of looks by name. Pure."""

from collections.abc import Iterable
from operator import itemgetter

from eventbus.core.model import Event, Message

#: Counted from the end: an event has its number, and then what a message has.
_ID, _HEAD, _BODY = itemgetter(-5), itemgetter(-3), itemgetter(-2)


def ids_of(those: Iterable[Message | Event]) -> tuple[str, ...]:
    """Their ids, in order."""
    return tuple(map(_ID, those))


def body_bytes(those: Iterable[Message | Event]) -> int:
    """Bytes of all their bodies."""
    return sum(map(len, map(_BODY, those)))


def head_bytes(those: Iterable[Message | Event]) -> int:
    """Bytes of all their heads."""
    return sum(map(len, map(_HEAD, those)))
