"""Reads a request's body: bounded in size and in time, whole or not at all."""

from collections.abc import Callable
from functools import partial
from typing import Any

import gevent
from flask import Request
from gunicorn.http.errors import ParseException
from werkzeug.exceptions import BadRequest, RequestEntityTooLarge, RequestTimeout

from eventbus.web.server.request_reader import MAX_HEAD, refusal
from eventbus.web.server.response_writer import CONNECTION, CONTINUE, HELD

#: Bytes that are read of a body at once: few at first, since room is taken for them before they come.
FIRST_STEP, MAX_STEP = 65_536, 1_048_576
#: Bytes of a chunked body that are read before its framing is looked at.
STEP = 4_096
#: Bytes of framing that a chunk's own bytes may cost on average, and some that are always free.
FRAMING, FREE = 2, 16_384


class _ChunkTooLarge(Exception):
    """A chunk says that it has more bytes than may come."""

    def __init__(self, max_bytes: int) -> None:
        super().__init__()
        self.max_bytes = max_bytes


def read_body(request: Request, max_bytes: int, seconds: float) -> bytes:
    """The whole body. Raises BadRequest, RequestEntityTooLarge, RequestTimeout, and Crowded where too much is held."""
    environ = request.environ
    length, coding = environ.get("CONTENT_LENGTH"), environ.get("HTTP_TRANSFER_ENCODING")
    if length == "0" or (length is None and coding is None):
        return b""
    if coding is not None and coding.strip().lower() != "chunked":
        raise BadRequest("Its transfer coding is not supported; only chunked is.")
    if length is not None and int(length) > max_bytes:
        raise RequestEntityTooLarge(_too_large(max_bytes))
    stream = environ["wsgi.input"]
    if CONTINUE in environ:
        _in_time(environ[CONTINUE], stream, seconds)
    if coding is None and length is not None and int(length) <= environ.get(HELD, 0):
        whole: bytes = stream.read(int(length))  # it came with its head: there is nothing to wait for
        return whole
    connection = environ.get(CONNECTION)
    take = _nothing if connection is None else connection.take
    read = _chunks if coding is not None else _pieces
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
            stream.failed = True  # what follows on this connection is the rest of the body, if anything
            raise RequestTimeout(f"The body did not come within {seconds:g} seconds.") from None
        except ParseException as error:
            raise BadRequest(refusal(error, seconds)[1]) from None
        except OSError:
            raise BadRequest("The body broke off.") from None


def _pieces(stream: Any, length: int, take: Callable[[int], None]) -> bytes:
    """A body of so many bytes, or less where it breaks off; room for a piece is taken before it is read."""
    if length <= FIRST_STEP:
        take(length)
        whole: bytes = stream.read(length)
        return whole
    pieces, left = [], length
    while left > 0:
        step = min(left, max(FIRST_STEP, min(length - left, MAX_STEP)))
        take(step)
        piece: bytes = stream.read(step)
        pieces.append(piece)
        left = left - step if len(piece) == step else 0
    return b"".join(pieces)


def _nothing(_: int) -> None:
    """Count nothing, where there is no connection."""


def _chunks(stream: Any, limit: int, take: Callable[[int], None]) -> bytes:
    """A chunked body, that is more than framing."""
    chunks, body = stream.reader, bytearray()
    _bound(chunks, limit - 1)
    unreader = chunks.req.unreader
    while len(body) < limit:
        ready = _held(chunks) + _held(stream)  # decoded already
        part = stream.read(min(max(STEP, ready), limit - len(body)))
        if not part:
            break
        take(len(part))
        body += part
        decoded = len(body) + _held(chunks) + _held(stream)
        if unreader.wire - decoded > FRAMING * decoded + FREE:
            raise BadRequest("The body's chunks are too small; send larger ones.")
    return bytes(body)


def _bound(chunks: Any, max_bytes: int) -> None:
    """Let a chunked body end with _ChunkTooLarge where a chunk's size is over the limit, before any of it has come.

    What follows its end, trailers, may be as long as a request's head.
    """
    parse, whole = chunks.parse_chunk_size, 0

    def parse_bounded(unreader: Any, data: Any = None) -> tuple[int, Any]:
        nonlocal whole
        unreader.load.give_way()
        size, rest = parse(unreader, data=data)
        whole += size
        if whole > max_bytes:
            raise _ChunkTooLarge(max_bytes)
        return size, rest

    chunks.parse_chunk_size = parse_bounded
    chunks.limit_trailer_section = MAX_HEAD


def _held(reader: Any) -> int:
    """Bytes in a reader's buffer."""
    count: int = reader.buf.getbuffer().nbytes
    return count


def _too_large(max_bytes: int) -> str:
    return f"The body may have at most {max_bytes} bytes."
