"""Reads a request's body, within limits of size and time."""

from collections.abc import Callable
from functools import partial
from typing import Any

import gevent
from flask import Request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, RequestTimeout

from eventbus.web.server.environment import BUFFERED, CONNECTION, CONTINUE
from eventbus.web.server.refusals import refusal
from eventbus.web.server.request_reader import MAX_HEAD_BYTES

#: Bytes that are read of a body at once: few at first, since they are counted as held before they arrive.
FIRST_READ_BYTES, MAX_READ_BYTES = 65_536, 1_048_576
#: Bytes of a chunked body that are read before its framing is checked.
CHUNKED_READ_BYTES = 4_096
#: Bytes of framing that are allowed for each byte of a chunked body, and in addition to that.
MAX_FRAMING_RATIO, FREE_FRAMING_BYTES = 2, 16_384


class _ChunkTooLarge(Exception):
    """A chunk announces more bytes than are allowed."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__()
        self.max_bytes = max_bytes


def read_body(request: Request, max_bytes: int, seconds: float) -> bytes:
    """Return a request's body. Raises BadRequest, RequestEntityTooLarge, RequestTimeout and TooManyStreams."""
    environ = request.environ
    length, coding = environ.get("CONTENT_LENGTH"), environ.get("HTTP_TRANSFER_ENCODING")
    if length == "0" or (length is None and coding is None):
        return b""
    if coding is not None and coding.strip().lower() != "chunked":
        raise BadRequest("The Transfer-Encoding is not supported; only chunked is.")
    if length is not None and int(length) > max_bytes:
        raise RequestEntityTooLarge(_too_large(max_bytes))
    stream = environ["wsgi.input"]
    if CONTINUE in environ:
        _in_time(environ[CONTINUE], stream, seconds)
    if coding is None and length is not None and int(length) <= environ.get(BUFFERED, 0):
        body: bytes = stream.read(int(length))  # it arrived with its head: no need to wait
        return body
    connection = environ.get(CONNECTION)
    take = _ignore if connection is None else connection.take
    read = _read_chunks if coding is not None else _read_parts
    body = _in_time(partial(read, stream, max_bytes + 1 if length is None else int(length), take), stream, seconds)
    if len(body) > max_bytes:
        raise RequestEntityTooLarge(_too_large(max_bytes))
    if length is not None and len(body) != int(length):
        raise BadRequest("The body ended before its Content-Length was reached.")
    return body


def _in_time(read: Callable[[], bytes], stream: Any, seconds: float) -> bytes:
    with gevent.Timeout(seconds) as deadline:
        try:
            return read()
        except _ChunkTooLarge as error:
            raise RequestEntityTooLarge(_too_large(error.max_bytes)) from None
        except gevent.Timeout as timer:
            if timer is not deadline:
                raise
            stream.failed = True  # the rest of the body may still arrive on this connection
            raise RequestTimeout(f"The body did not arrive within {seconds:g} seconds.") from None
        except ParseException as error:
            raise BadRequest(refusal(error, seconds)[1]) from None
        except OSError:
            raise BadRequest("The connection closed before the end of the body.") from None


def _read_parts(stream: Any, length: int, take: Callable[[int], None]) -> bytes:
    """Return a body of ``length`` bytes, or less if it ends early. Count each part as held before it is read."""
    if length <= FIRST_READ_BYTES:
        take(length)
        body: bytes = stream.read(length)
        return body
    parts, left = [], length
    while left > 0:
        size = min(left, max(FIRST_READ_BYTES, min(length - left, MAX_READ_BYTES)))
        take(size)
        part: bytes = stream.read(size)
        parts.append(part)
        left = left - size if len(part) == size else 0
    return b"".join(parts)


def _ignore(_: int) -> None:
    """Count nothing, for a request without a connection."""


def _read_chunks(stream: Any, limit: int, take: Callable[[int], None]) -> bytes:
    """Return a chunked body. Raises BadRequest if it is mostly framing."""
    chunks, body = stream.reader, bytearray()
    _limit_chunks(chunks, limit - 1)
    unreader = chunks.req.unreader
    while len(body) < limit:
        decoded = _buffered(chunks) + _buffered(stream)
        part = stream.read(min(max(CHUNKED_READ_BYTES, decoded), limit - len(body)))
        if not part:
            break
        take(len(part))
        body += part
        decoded = len(body) + _buffered(chunks) + _buffered(stream)
        if unreader.body_bytes - decoded > MAX_FRAMING_RATIO * decoded + FREE_FRAMING_BYTES:
            raise BadRequest("The body's chunks are too small; send larger ones.")
    return bytes(body)


def _limit_chunks(chunks: Any, max_bytes: int) -> None:
    """Make a chunked body raise _ChunkTooLarge once its chunks announce more than the limit, before that arrives.

    Trailers may be as long as a request's head.
    """
    parse, total = chunks.parse_chunk_size, 0

    def parse_bounded(unreader: Any, data: Any = None) -> tuple[int, Any]:
        nonlocal total
        unreader.load.give_way()
        size, rest = parse(unreader, data=data)
        total += size
        if total > max_bytes:
            raise _ChunkTooLarge(max_bytes)
        return size, rest

    chunks.parse_chunk_size = parse_bounded
    chunks.limit_trailer_section = MAX_HEAD_BYTES


def _buffered(reader: Any) -> int:
    """Return the bytes in a reader's buffer."""
    count: int = reader.buf.getbuffer().nbytes
    return count


def _too_large(max_bytes: int) -> str:
    return f"The body may have at most {max_bytes} bytes."
