"""A body for people to read: as JSON, as text, as bytes. Pure."""

import json
from decimal import Decimal
from typing import Any, NoReturn

#: Bytes that are shown as text, and as bytes.
MAX_TEXT, MAX_HEX = 65_536, 4_096
#: Characters of JSON laid out: what is nested deeply is mostly spaces then.
MAX_LAID_OUT = 16 * MAX_TEXT
_LAYOUT = json.JSONEncoder(indent=2, ensure_ascii=False)
_ROW = 16


def views_of(body: bytes) -> dict[str, str | int | None]:
    """``json`` and ``text`` where it is such, ``hex`` always; ``bytes`` is how many there are."""
    whole = len(body) <= MAX_TEXT
    text = _text(body[:MAX_TEXT], 1 if whole else 4)
    return {"bytes": len(body), "json": _json(text) if whole and text else None, "text": text, "hex": _hex(body)}


def _text(body: bytes, cuts: int) -> str | None:
    for cut in range(cuts):  # a character may have been cut through
        try:
            return body[: len(body) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
    return None


def _json(text: str) -> str | None:
    """The text laid out; None where it is no JSON, would not mean the same any more, or is too large for it."""
    try:
        value = json.loads(text, parse_float=_exact, parse_constant=_refuse, object_pairs_hook=_once)
        return _laid_out(value)
    except (ValueError, ArithmeticError, RecursionError):
        return None


def _laid_out(value: Any) -> str | None:
    """The value on lines of its own, which are made only as far as they fit."""
    pieces, size = [], 0
    for piece in _LAYOUT.iterencode(value):
        pieces.append(piece)
        size += len(piece)
        if size > MAX_LAID_OUT:
            return None
    return "".join(pieces)


def _exact(text: str) -> float:
    value = float(text)
    return value if Decimal(text) == Decimal(repr(value)) else _refuse(text)


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    members = dict(pairs)
    return members if len(members) == len(pairs) else _refuse("a name that is there twice")


def _refuse(what: str) -> NoReturn:
    raise ValueError(what)


def _hex(body: bytes) -> str:
    lines = []
    for start in range(0, min(len(body), MAX_HEX), _ROW):
        row = body[start : start + _ROW]
        shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        lines.append(f"{start:08x}  {row.hex(' '):<{_ROW * 3}} {shown}")
    return "\n".join(lines)
