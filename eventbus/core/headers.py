"""The headers that an event keeps, as one text: what of it may go on the wire. Pure."""

import re
from functools import lru_cache

#: Heads that are remembered, and the bytes that one of them may have: most events have one of a few.
MAX_CACHED_HEADS, MAX_CACHED_BYTES = 256, 256
#: Kept headers as they may go on the wire: of these names, so that none says where a request ends or for whom it is,
#: and with values that stay one line (RFC 9110, 5.5).
_HEAD = re.compile(
    rb"(?:(?:Content-Type|Content-Encoding|traceparent|tracestate|ce-[!#$%&'*+.^_`|~0-9A-Za-z-]*)"
    rb": [\t\x20-\x7e\x80-\xff]*\r\n)*+\Z",
    re.IGNORECASE,
)


def is_valid_head(head: bytes) -> bool:
    """Whether a head from the journal may be sent: whoever can write there may have put anything into it."""
    global _last  # noqa: PLW0603 - a cache of one, since those of a batch are the same
    if head == _last:
        return True
    if len(head) > MAX_CACHED_BYTES:
        return _matches(head)
    sound = _remembered(head)
    if sound:
        _last = head
    return sound


def _matches(head: bytes) -> bool:
    return _HEAD.match(head) is not None


_last = b""
_remembered = lru_cache(MAX_CACHED_HEADS)(_matches)
