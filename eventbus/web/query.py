"""Query strings, parsed like Go's net/url.ParseQuery: the error texts are part of the wire contract.

https://pkg.go.dev/net/url#ParseQuery
"""

import re
from collections.abc import MutableMapping
from dataclasses import dataclass
from typing import Any

from eventbus.core.errors import BadQuery

_ESCAPE = re.compile(rb"%([0-9A-Fa-f]{2})?")


@dataclass(frozen=True, slots=True)
class Query:
    """The values of each key, in order."""

    values: dict[str, list[str]]

    def first(self, key: str) -> str | None:
        """Return the first value of a key, None if the key is missing."""
        found = self.values.get(key)
        return found[0] if found else None

    def all(self, key: str) -> list[str] | None:
        """Return all values of a key; None if the key is missing."""
        return self.values.get(key)


EMPTY = Query({})
_PARSED = "eventbus.query"


def parse_query(raw: str) -> Query:
    """Parse a raw query as in WSGI (bytes as Latin-1). Raises BadQuery with Go's error text."""
    if not raw:
        return EMPTY
    values: dict[str, list[str]] = {}
    failure: str | None = None
    for pair in raw.encode("latin-1").split(b"&"):
        if b";" in pair:
            failure = "invalid semicolon separator in query"
            continue
        if not pair:
            continue
        key, _, value = pair.partition(b"=")
        try:
            values.setdefault(_unescape(key), []).append(_unescape(value))
        except BadQuery as error:
            failure = failure or str(error)
    if failure is not None:
        raise BadQuery(failure)
    return Query(values)


def query_of(environ: MutableMapping[str, Any]) -> Query:
    """Return the query of a request, parsed once. Raises BadQuery with Go's error text."""
    raw: str = environ["QUERY_STRING"]
    if not raw:
        return EMPTY
    parsed: tuple[str, Query] | None = environ.get(_PARSED)
    if parsed is None or parsed[0] is not raw:
        parsed = environ[_PARSED] = raw, parse_query(raw)
    return parsed[1]


def _unescape(text: bytes) -> str:
    if b"%" in text:
        for match in _ESCAPE.finditer(text):
            if match[1] is None:
                raise BadQuery(f"invalid URL escape {_quoted(text[match.start() : match.start() + 3])}")
    spaced = text.replace(b"+", b" ")
    return _ESCAPE.sub(lambda match: bytes([int(match[1], 16)]), spaced).decode("utf-8", "replace")


def _quoted(text: bytes) -> str:
    """Return a text as Go's strconv.Quote writes it."""
    characters = text.decode("utf-8", "surrogateescape")
    return '"' + "".join(_quoted_character(character) for character in characters) + '"'


def _quoted_character(character: str) -> str:
    simple = {'"': '\\"', "\\": "\\\\", "\a": "\\a", "\b": "\\b", "\f": "\\f", "\n": "\\n", "\r": "\\r",
              "\t": "\\t", "\v": "\\v"}  # fmt: skip
    if character in simple:
        return simple[character]
    if "\udc80" <= character <= "\udcff":
        return f"\\x{ord(character) - 0xDC00:02x}"
    if character.isprintable():
        return character
    return f"\\x{ord(character):02x}" if ord(character) < 0x80 else f"\\u{ord(character):04x}"
