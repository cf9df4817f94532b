"""A body for people to read: as JSON, as text, as bytes. Pure."""

import json

#: Bytes that are shown as text, and as bytes.
MAX_TEXT, MAX_HEX = 65_536, 4_096
_ROW = 16


def views_of(body: bytes) -> dict[str, str | int | None]:
    """``json`` and ``text`` where it is such, ``hex`` always; ``bytes`` is how many there are."""
    text = _text(body[:MAX_TEXT])
    whole = text is not None and len(body) <= MAX_TEXT
    return {"bytes": len(body), "json": _json(text) if whole and text else None, "text": text, "hex": _hex(body)}


def _text(body: bytes) -> str | None:
    for cut in range(4):  # a character may have been cut through
        try:
            return body[: len(body) - cut].decode("utf-8")
        except UnicodeDecodeError:
            continue
    return None


def _json(text: str) -> str | None:
    try:
        return json.dumps(json.loads(text), indent=2, ensure_ascii=False)
    except (ValueError, RecursionError):
        return None


def _hex(body: bytes) -> str:
    lines = []
    for start in range(0, min(len(body), MAX_HEX), _ROW):
        row = body[start : start + _ROW]
        shown = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in row)
        lines.append(f"{start:08x}  {row.hex(' '):<{_ROW * 3}} {shown}")
    return "\n".join(lines)
