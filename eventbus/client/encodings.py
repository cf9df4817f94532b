"""How a body and CloudEvents attributes are written in HTTP, read back: gzip, percent signs and quotes. Pure."""

import re
import zlib
from urllib.parse import unquote_to_bytes

from eventbus.client.errors import BadBody

#: Bytes of a body when it is decompressed, at most: as many as any bus would send as it is.
MOST_BYTES = 16 * 1024 * 1024
_GZIP = ("gzip", "x-gzip")
_GZIP_BITS = 31  # zlib's sign for gzip and its largest window
_ESCAPED = re.compile(r"\\(.)")


def decoded(body: bytes, coding: str, limit: int = MOST_BYTES) -> bytes:
    """The body before it was encoded (RFC 9110, 8.4), for gzip; as it is for a coding that is not known.

    Raises BadBody.
    """
    codings = [each.strip().lower() for each in coding.split(",")]
    while codings and codings[-1] in (*_GZIP, "identity", ""):
        if codings.pop() in _GZIP:
            body = _unzipped(body, limit)
    return body


def _unzipped(body: bytes, limit: int) -> bytes:
    """What gzip has compressed (RFC 1952), one part or several, in bounded memory."""
    whole, rest = bytearray(), body
    while rest or not whole:
        part = zlib.decompressobj(_GZIP_BITS)
        try:
            whole += part.decompress(rest, limit + 1 - len(whole))
        except zlib.error as error:
            raise BadBody("the body is not what its Content-Encoding says, gzip") from error
        if len(whole) > limit:
            raise BadBody(f"the body is larger than {limit} bytes when it is decompressed")
        if not part.eof:
            raise BadBody("the compressed body breaks off")
        rest = part.unused_data.lstrip(b"\0")
        if not rest:
            break
    return bytes(whole)


def attribute_of(value: str) -> str:
    """An attribute's value from its header (CloudEvents HTTP binding, 3.1.3.2): without quotes, then without escapes.

    What is no UTF-8 after that stays as it was.
    """
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = _ESCAPED.sub(r"\1", value[1:-1])
    try:
        return unquote_to_bytes(value.encode("latin-1")).decode()  # a header's characters are bytes
    except UnicodeEncodeError:
        return unquote_to_bytes(value).decode(errors="replace")
    except UnicodeDecodeError:
        return value
