"""Order keys: events with the same one are delivered one after another to subscribers that ask for it. Pure.

Header values are encoded as CloudEvents attributes are (HTTP binding 1.0.2, 3.1.3.2).
"""

import re
from urllib.parse import quote, unquote_to_bytes

from eventbus.core.errors import BadRequest

#: The header of a delivery that carries the event's key.
ORDER_KEY_HEADER = "Eventbus-Key"
#: Bytes of a key in UTF-8, at most; at least one.
MAX_KEY_BYTES = 256
#: What a key may be, for error messages and for people.
ALLOWED_KEY = f"1 to {MAX_KEY_BYTES} bytes of UTF-8 without control characters"
#: Characters that no key may hold, as no CloudEvents attribute may: controls, surrogates and noncharacters; and U+FFFD,
#: which stands for bytes that are not UTF-8: else keys that differ in those would be one.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffd-\uffff]")
#: Characters that a header holds as they are: visible ASCII but for " and %.
_UNESCAPED = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
QUOTED_CHARACTERS = 40  # of a wrong key, in an error


def check_key(text: str, name: str) -> str:
    """Return ``text`` if it is a valid order key; ``name`` is what gave it. Raises BadRequest."""
    if not text or _FORBIDDEN.search(text) or len(text.encode()) > MAX_KEY_BYTES:
        raise BadRequest(f"{name} must be {ALLOWED_KEY}, not {_quoted(text)}.")
    return text


def _quoted(text: str) -> str:
    if len(text) > QUOTED_CHARACTERS:
        return f"{text[:QUOTED_CHARACTERS]!r} and more: {len(text.encode('utf-8', 'surrogatepass'))} bytes"
    return repr(text)


def encode_key(key: str) -> str:
    """Return a key as a header holds it: what is not visible ASCII, quotes and percent signs are escaped."""
    return quote(key, safe=_UNESCAPED)


def decode_key(value: str) -> str:
    """Return the key that a header holds."""
    return unquote_to_bytes(value).decode(errors="replace")
