"""An event's body in readable forms: JSON, text, and a hex dump. Pure."""

import json
from decimal import Decimal
from typing import Any, NoReturn

#: Bytes of a body that are displayed as text, and as a hex dump.
MAX_TEXT, MAX_HEX = 65_536, 4_096
#: Characters of indented JSON: deep nesting makes mostly spaces.
MAX_INDENTED = 16 * MAX_TEXT
_ENCODER = json.JSONEncoder(indent=2, ensure_ascii=False)
_ROW_BYTES = 16


def views_of(body: bytes) -> dict[str, str | int | None]:
    """Return ``bytes`` (the count), ``hex``, and ``json`` and ``text``, each None if the body is no such."""
    complete = len(body) <= MAX_TEXT
    text = _text(body[:MAX_TEXT], 1 if complete else 4)
    return {"bytes": len(body), "json": _json(text) if complete and text else None, "text": text, "hex": _hex(body)}


def _text(body: bytes, cuts: int) -> str | None:
    for cut in range(cuts):  # the limit may have cut a character
        try:
            return body[: len(body) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
    return None


def _json(text: str) -> str | None:
    """Return the text as indented JSON; None if it is no JSON, is too large, or would change its meaning."""
    try:
        value = json.loads(text, parse_float=_exact, parse_constant=_refuse, object_pairs_hook=_once)
        return _indented(value)
    except (ValueError, ArithmeticError, RecursionError):
        return None


def _indented(value: Any) -> str | None:
    """Return the value as indented JSON; None, without encoding the rest, once it is too large."""
    chunks, size = [], 0
    for chunk in _ENCODER.iterencode(value):
        chunks.append(chunk)
        size += len(chunk)
        if size > MAX_INDENTED:
            return None
    return "".join(chunks)


def _exact(text: str) -> float:
    value = float(text)
    return value if Decimal(text) == Decimal(repr(value)) else _refuse(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    return members if len(members) == len(pairs) else _refuse("a name occurs twice in an object")


def _refuse(what: str) -> NoReturn:
    raise ValueError(what)


def _hex(body: bytes) -> str:
    lines = []
    for start in range(0, min(len(body), MAX_HEX), _ROW_BYTES):
        row = body[start : start + _ROW_BYTES]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        lines.append(f"{start:08x}  {row.hex(' '):<{_ROW_BYTES * 3}} {text}")
    return "\n".join(lines)
