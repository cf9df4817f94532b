"""Bodies that are JSON, parsed so that nothing in them raises an error or means two things. Pure."""

import json
import re
from typing import Any, Final

#: Bytes of the longest body that is parsed.
MAX_JSON_BYTES = 262_144


class _Missing:
    """The type of ``MISSING``."""

    def __repr__(self) -> str:
        return "MISSING"


#: What stands for a value that is not there; JSON's null is None.
MISSING: Final = _Missing()

_BEGINS = re.compile(rb"[ \t\r\n]*[\[{]")
#: An escape of half a character; two halves that belong together are one character, and harmless.
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(body: bytes) -> Any:
    """Return the object or the array that a body holds, or MISSING.

    It is MISSING for anything but JSON in UTF-8 of at most MAX_JSON_BYTES (RFC 8259), and where programs would read it
    differently: a name twice in one object, NaN, half a character, integers of thousands of digits, or so many levels
    that a parser gives up, which is hundreds.
    """
    if len(body) > MAX_JSON_BYTES or _BEGINS.match(body) is None:
        return MISSING
    try:
        text = body.decode()
        value = STRICT_DECODER.decode(text)
        if "\\" in text and _SURROGATE.search(text):  # to find one character costs nothing
            json.dumps(value, ensure_ascii=False).encode()
    except (ValueError, RecursionError):
        return MISSING
    return value


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name occurs twice in one object")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is not a JSON number")


#: Decodes JSON; raises ValueError for a name that occurs twice in one object, and for NaN and the infinities.
STRICT_DECODER: Final = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant)
