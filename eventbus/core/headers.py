"""The kept headers of an event, as one text: whether they may be sent. Pure."""

import re
from functools import lru_cache

#: The header with the name of the token that published the event.
PUBLISHER_HEADER = "Eventbus-Publisher"
#: The header of what was published for a dead letter, with its event's id.
DEAD_EVENT_HEADER = "Eventbus-Dead-Event"
#: Heads that are cached, and the bytes of one of them, at most: most events have one of a few heads.
MAX_CACHED_HEADS, MAX_CACHED_BYTES = 256, 256
#: Kept headers that may be sent: only these names, so that none changes a request's end or host, and values of one line
#: (RFC 9110, 5.5).
_HEAD = re.compile(
    rb"(?:(?:Content-Type|Content-Encoding|traceparent|tracestate|ce-[!#$%&'*+.^_`|~0-9A-Za-z-]*"
    rb"|Eventbus-Publisher|Eventbus-Dead-(?:Reason|Subscriber|Event|Topic))"
    rb": [\t\x20-\x7e\x80-\xff]*\r\n)*+\Z",
    re.IGNORECASE,
)


def is_dead_event(head: bytes) -> bool:
    """Return whether an event was published for a dead letter: it is not published for another one again."""
    return f"{DEAD_EVENT_HEADER}: ".encode() in head


def is_valid_head(head: bytes) -> bool:
    """Return whether a head from the journal may be sent: whoever can write to the journal may have changed it."""
    global _last  # noqa: PLW0603 - a cache of one: all events of a batch have the same head
    if head == _last:
        return True
    if len(head) > MAX_CACHED_BYTES:
        return _matches(head)
    valid = _cached(head)
    if valid:
        _last = head
    return valid


def headers_in(head: bytes) -> dict[str, str]:
    """Return the kept headers by name; none of a head that may not be sent."""
    if not is_valid_head(head):
        return {}
    lines = head.decode("latin-1").split("\r\n")[:-1]
    return dict(line.split(": ", 1) for line in lines)


def publisher_line(name: str) -> bytes:
    """Return the line of a head that names who published the event; empty without a name."""
    return f"{PUBLISHER_HEADER}: {name}\r\n".encode("ascii") if name else b""


def publisher_in(head: bytes) -> str | None:
    """Return the name of the token that published an event; None without one."""
    return headers_in(head).get(PUBLISHER_HEADER)


def _matches(head: bytes) -> bool:
    return _HEAD.match(head) is not None


_last = b""
_cached = lru_cache(MAX_CACHED_HEADS)(_matches)
