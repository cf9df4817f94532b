"""Event ids: UUID version 7 (RFC 9562, section 5.7), which sort by their time."""

import os
import re
import time

#: Characters in an idempotency key, and in an id of an earlier version's journal, at most.
MAX_ID_LENGTH = 256
#: A random hex digit, with its two high bits set to 10, the variant.
_VARIANT = {f"{digit:x}": f"{0x8 | digit & 0x3:x}" for digit in range(16)}
#: Hex digits at the end of an id, in which ids that are made together differ.
_COUNTER_DIGITS = 12
_UUID7 = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-7[0-9a-f]{3}-[89ab][0-9a-f]{3}-[0-9a-f]{12}\Z")
_HEADER_SAFE = re.compile(rf"[\x21-\x7e]{{1,{MAX_ID_LENGTH}}}\Z")


def new_event_id(unix_ms: int | None = None, entropy: bytes | None = None) -> str:
    """Make an id from milliseconds since 1970 and ten random bytes; by default the current time and os.urandom."""
    ms = time.time_ns() // 1_000_000 if unix_ms is None else unix_ms
    return _format(_start(ms), (os.urandom(10) if entropy is None else entropy).hex())


def new_event_ids(count: int) -> list[str]:
    """Make ``count`` ids of the same millisecond, which rise: the last 48 bits count from a random number on.

    RFC 9562, section 6.2, method 2, with a first bit of 0, so that they do not overflow.
    """
    first = new_event_id()
    beginning, counter = first[:-_COUNTER_DIGITS], int(first[-_COUNTER_DIGITS:], 16) >> 1
    return [f"{beginning}{number:012x}" for number in range(counter, counter + count)]


def _start(unix_ms: int) -> str:
    """Return twelve digits of time and the version."""
    ms = f"{unix_ms:012x}"
    return f"{ms[:8]}-{ms[8:]}-7"


def _format(start: str, noise: str) -> str:
    """Return an id of its start and twenty random digits."""
    return f"{start}{noise[:3]}-{_VARIANT[noise[3]]}{noise[4:7]}-{noise[7:19]}"


def is_header_safe(text: str) -> bool:
    """Return whether a key can be a header's value: visible ASCII, at most MAX_ID_LENGTH characters."""
    return _HEADER_SAFE.match(text) is not None


def unix_ms_of(event_id: str) -> int | None:
    """Return when an id was made, in milliseconds since 1970; None if it is not a UUID version 7."""
    return int(event_id[:8] + event_id[9:13], 16) if _UUID7.match(event_id) else None


def packed_id(event_id: str) -> bytes | None:
    """Return the 16 bytes of an id; None if it is not a UUID version 7."""
    return bytes.fromhex(event_id.replace("-", "")) if _UUID7.match(event_id) else None


def unpacked_id(packed: bytes) -> str:
    """Return the id of 16 bytes, as ``packed_id`` made them."""
    text = packed.hex()
    return f"{text[:8]}-{text[8:12]}-{text[12:16]}-{text[16:20]}-{text[20:]}"
