"""Answers that may be long: a page has so many bytes at most, and a list is sent piece by piece."""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from flask import Response

from eventbus.web.replies import JSON, NO_SNIFFING, Reply

#: Bytes of a page, after which ``next`` goes on; it has one row at least.
MAX_PAGE_BYTES = 4 * 1_048_576
#: Bytes of a list that are made before they are sent.
PIECE_BYTES = 65_536


def json_bytes(value: Any) -> bytes:
    """A value as JSON without spaces."""
    return json.dumps(value, separators=(",", ":")).encode()


def fitting(rows: Iterable[Any], give_way: Callable[[], None], max_bytes: int = MAX_PAGE_BYTES) -> list[bytes]:
    """Return the first rows as JSON, as many as have ``max_bytes`` together, and one at least."""
    parts: list[bytes] = []
    size = 0
    for row in rows:
        give_way()
        part = json_bytes(row)
        size += len(part)
        if parts and size > max_bytes:
            break
        parts.append(part)
    return parts


def separated(rows: Iterable[Any]) -> Iterator[bytes]:
    """Rows as JSON, each but the first after a comma."""
    for number, row in enumerate(rows):
        yield (b"," if number else b"") + json_bytes(row)


def long_json(parts: Iterable[bytes], give_way: Callable[[], None]) -> Reply | Response:
    """Answer with all parts: whole where they are few bytes, else in pieces that are made as they are sent."""
    pieces = _pieces(parts, give_way)
    first, second = next(pieces, b""), next(pieces, None)
    if second is None:
        return Reply(first, content_type=JSON)
    return Response(chain((first, second), pieces), content_type=JSON, headers=NO_SNIFFING)


def _pieces(parts: Iterable[bytes], give_way: Callable[[], None]) -> Iterator[bytes]:
    """The same bytes in pieces of a size; others have their turn in between."""
    piece = bytearray()
    for part in parts:
        give_way()
        piece += part
        if len(piece) >= PIECE_BYTES:
            yield bytes(piece)
            piece.clear()
    if piece:
        yield bytes(piece)
