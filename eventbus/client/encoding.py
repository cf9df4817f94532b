"""Encode and decode what HTTP carries: bodies, gzip, CloudEvents attributes, batches, times, patterns. Pure."""

import json
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote, unquote_to_bytes

from eventbus.client.errors import BadBody, UsageError
from eventbus.core import topics
from eventbus.core.errors import BadRequest
from eventbus.core.event_expiry import parse_expires
from eventbus.core.order_key import check_key

#: Characters that a CloudEvents attribute keeps in a header: visible ASCII but for " and % (HTTP binding, 3.1.3.2).
_UNESCAPED = "".join(chr(code) for code in range(0x21, 0x7F) if chr(code) not in '"%')
_ATTRIBUTE = re.compile("[a-z0-9]{1,64}")
_HEADER = re.compile(r"[\t\x20-\x7e\x80-\xff]*")
#: Bytes of a batch's body, at most: half of what the bus takes.
BATCH_BYTES = 8 * 1024 * 1024


def encode_body(data: Any) -> tuple[bytes, str | None]:
    """Return the body and its type: bytes have none, a str is text, anything else JSON. Raises UsageError."""
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data), None
    if isinstance(data, str):
        return data.encode(), "text/plain; charset=utf-8"
    return json_bytes(data), "application/json"


def json_bytes(data: Any) -> bytes:
    """Return data as JSON, on one line. Raises UsageError."""
    try:
        return json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
    except (TypeError, ValueError) as error:
        raise UsageError(f"This data cannot be written as JSON: {error}") from error


def cloud_event_headers(attributes: Mapping[str, Any], topic: str | None, event_id: str) -> dict[str, str]:
    """Return the headers of a CloudEvent in binary mode, with the required attributes added. Raises UsageError."""
    given = {"specversion": "1.0", "id": event_id, "type": topic, **attributes}
    for name in ("type", "source"):
        if not given.get(name):
            raise UsageError(f"A CloudEvent needs a {name}: give a topic, and attributes with a source.")
    return {
        f"ce-{_attribute_name(name)}": _attribute_value(value) for name, value in given.items() if value is not None
    }


def _attribute_name(name: str) -> str:
    if not _ATTRIBUTE.fullmatch(name):
        raise UsageError(f"A CloudEvents attribute is named by lower-case letters and digits: {name!r}")
    return name


def _attribute_value(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return quote(rfc3339(value) if isinstance(value, datetime) else str(value), safe=_UNESCAPED)


def rfc3339(at: datetime) -> str:
    """Write a time as RFC 3339, in UTC. Raises UsageError for one without an offset."""
    if at.tzinfo is None:
        raise UsageError(f"The time {at.isoformat()} has no offset; make it with one, such as datetime.now(UTC).")
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def check_headers(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers if they can be sent as they are. Raises UsageError."""
    for name, value in headers.items():
        if not _HEADER.fullmatch(value) or not re.fullmatch(r"[!#-'*+.0-9A-Z^-z|~-]+", name):
            raise UsageError(f"The header {name!r} cannot hold {value!r}.")
    return dict(headers)


def check_patterns(patterns: Iterable[str]) -> tuple[str, ...]:
    """Return topic patterns, each once, as they are registered; () is every topic. Raises UsageError."""
    try:
        return topics.check_patterns(tuple(patterns))
    except BadRequest as error:
        raise UsageError(f"{error}.") from error


def order_key_query(key: str | None) -> list[tuple[str, str]]:
    """Return the parameter of a publish with an order key; none without one. Raises UsageError."""
    try:
        return [] if key is None else [("key", check_key(key, "order_by"))]
    except BadRequest as error:
        raise UsageError(str(error)) from error


def expiry(expires: float | timedelta | datetime | None) -> tuple[list[tuple[str, str]], dict[str, str]]:
    """Return the parameters and headers of a publish whose events expire. Raises UsageError."""
    if isinstance(expires, datetime):
        return [], {"ce-expirytime": rfc3339(expires)}
    if expires is None:
        return [], {}
    seconds = expires.total_seconds() if isinstance(expires, timedelta) else expires
    try:
        return [("expires", repr(parse_expires(repr(seconds))))], {}
    except BadRequest as error:
        raise UsageError(str(error)) from error


def json_line(item: Any) -> bytes:
    """Return one line of a batch: bytes are JSON already, anything else becomes it. Raises UsageError."""
    line = item.strip() if isinstance(item, bytes) else json_bytes(item)
    if not line or b"\n" in line:
        raise UsageError(f"An event of a batch is one line that is not blank: {line[:80]!r}")
    return line


def batches(items: Iterable[Any], size: int) -> Iterator[list[bytes]]:
    """Yield items as lines, in batches of at most ``size`` lines and BATCH_BYTES. Equal items make equal batches."""
    batch: list[bytes] = []
    room = BATCH_BYTES
    for line in map(json_line, items):
        if batch and (len(batch) == size or len(line) >= room):
            yield batch
            batch, room = [], BATCH_BYTES
        batch.append(line)
        room -= len(line) + 1
    if batch:
        yield batch


#: Bytes of a body when it is decompressed, at most: as many as any bus would send as it is.
MAX_DECOMPRESSED_BYTES = 16 * 1024 * 1024
_GZIP = ("gzip", "x-gzip")
_GZIP_BITS = 31  # zlib's sign for gzip and its largest window
_ESCAPED = re.compile(r"\\(.)")


def decompress(body: bytes, coding: str, limit: int = MAX_DECOMPRESSED_BYTES) -> bytes:
    """Return the body before gzip compressed it (RFC 9110, 8.4); as it is for an unknown coding.

    Raises BadBody.
    """
    codings = [each.strip().lower() for each in coding.split(",")]
    while codings and codings[-1] in (*_GZIP, "identity", ""):
        if codings.pop() in _GZIP:
            body = _gunzip(body, limit)
    return body


def _gunzip(body: bytes, limit: int) -> bytes:
    """Decompress gzip (RFC 1952), one member or several, in bounded memory."""
    data, rest = bytearray(), body
    while rest or not data:
        part = zlib.decompressobj(_GZIP_BITS)
        try:
            data += part.decompress(rest, limit + 1 - len(data))
        except zlib.error as error:
            raise BadBody("the body is not what its Content-Encoding says, gzip") from error
        if len(data) > limit:
            raise BadBody(f"the body is larger than {limit} bytes when it is decompressed")
        if not part.eof:
            raise BadBody("the compressed body is incomplete")
        rest = part.unused_data.lstrip(b"\0")
        if not rest:
            break
    return bytes(data)


def decode_attribute(value: str) -> str:
    """Decode an attribute in a header (CloudEvents HTTP binding, 3.1.3.2): remove quotes, then escapes.

    Return the value as it is where that is not UTF-8.
    """
    if len(value) > 1 and value[0] == value[-1] == '"':
        value = _ESCAPED.sub(r"\1", value[1:-1])
    try:
        return unquote_to_bytes(value.encode("latin-1")).decode()  # a header's characters are bytes
    except UnicodeEncodeError:
        return unquote_to_bytes(value).decode(errors="replace")
    except UnicodeDecodeError:
        return value
