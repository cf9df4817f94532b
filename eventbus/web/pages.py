"""Long responses: pages with a limit of bytes, and lists that are sent in chunks."""

import json
from collections.abc import Callable, Iterable, Iterator
from itertools import chain
from typing import Any

from flask import Response

from eventbus.web.replies import JSON, NO_SNIFFING, Reply

#: Bytes on a page, at most; it has at least one row, and ``next`` leads to the next page.
MAX_PAGE_BYTES = 4 * 1_048_576
#: Bytes of a list that are encoded before they are sent.
CHUNK_BYTES = 65_536


def json_bytes(value: Any) -> bytes:
    """Return a value as JSON without spaces."""
    return json.dumps(value, separators=(",", ":")).encode()


def fitting(rows: Iterable[Any], give_way: Callable[[], None], max_bytes: int = MAX_PAGE_BYTES) -> list[bytes]:
    """Return the first rows as JSON: as many as fit into ``max_bytes``, but at least one."""
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
    """Yield rows as JSON, each but the first after a comma."""
    for number, row in enumerate(rows):
        yield (b"," if number else b"") + json_bytes(row)


def long_json(parts: Iterable[bytes], give_way: Callable[[], None]) -> Reply | Response:
    """Return a response of all parts: complete if it is short, else in chunks that are encoded while they are sent."""
    chunks = _chunks(parts, give_way)
    first, second = next(chunks, b""), next(chunks, None)
    if second is None:
        return Reply(first, content_type=JSON)
    return Response(chain((first, second), chunks), content_type=JSON, headers=NO_SNIFFING)


def _chunks(parts: Iterable[bytes], give_way: Callable[[], None]) -> Iterator[bytes]:
    """Yield the same bytes in chunks of about CHUNK_BYTES; give way in between."""
    chunk = bytearray()
    for part in parts:
        give_way()
        chunk += part
        if len(chunk) >= CHUNK_BYTES:
            yield bytes(chunk)
            chunk.clear()
    if chunk:
        yield bytes(chunk)
