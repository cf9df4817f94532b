"""Structured CloudEvents: parsed from a request's bytes, and checked by the rules of CloudEvents 1.0.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

import binascii
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from werkzeug.exceptions import RequestEntityTooLarge

from eventbus.core.clock import seconds_of
from eventbus.core.errors import BadRequest
from eventbus.core.event_attributes import EXPIRY_ATTRIBUTE
from eventbus.core.event_expiry import check_expirytime
from eventbus.core.json_body import STRICT_DECODER

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
_REQUIRED = ("id", "source", "specversion", "type")
#: https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/extensions/partitioning.md
PARTITION_KEY = "partitionkey"
_OPTIONAL = ("datacontenttype", "dataschema", "subject", "time")
_NAME = re.compile(r"[a-z0-9]+\Z")
_URI = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+\Z")
#: RFC 9110, 8.3.1: two tokens, then parameters.
_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*(;.*)?\Z", re.DOTALL)
#: Characters that no attribute may hold (CloudEvents 1.0.2, 3.1, String): controls, surrogates and noncharacters.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
#: Characters in which the end of an event is searched first.
WINDOW_CHARACTERS = 16_384
_SPACE = re.compile(r"[ \t\n\r]*")
#: The integers that an attribute may hold: 32 bits.
_INTEGERS = range(-(2**31), 2**31)


class TooDeep(BadRequest):
    """JSON that is nested too deeply, so that a larger window would not help."""


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """The attributes of an event that the bus uses, and its original bytes."""

    id: str
    source: str
    type: str
    raw: bytes
    partition_key: str | None = None  # the extension "partitionkey"
    expirytime: str | None = None  # the extension of this name, RFC 3339


def parse_one(body: bytes) -> CloudEvent:
    """Return the event in a body. Raises BadRequest."""
    text = _decoded(body)
    value = _json_value(text)
    return _checked(value, body, "The event")


def parse_batch(body: bytes, max_bytes: int) -> Iterator[CloudEvent]:
    """Yield the events of a JSON array, each with its own bytes. Raises BadRequest at the first invalid one.

    Raises RequestEntityTooLarge, without reading it to its end, for one with more than ``max_bytes``.
    """
    for number, (value, raw) in enumerate(_elements(_decoded(body), max_bytes)):
        yield _checked(value, raw.encode(), f"Event {number} of the batch")


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("The body is not JSON: it is not UTF-8.") from None


def _json_value(text: str) -> Any:
    value, end = _value(text, _skip(text, 0))
    if _skip(text, end) != len(text):
        raise BadRequest("The body is not JSON: there is extra data after its end.")
    return value


def _elements(text: str, longest: int) -> Iterator[tuple[Any, str]]:
    """Yield the elements of an array, each with its original text."""
    start = _skip(text, 0)
    if text[start : start + 1] != "[":
        raise BadRequest("A batch is a JSON array of events.")
    start = _skip(text, start + 1)
    first = True
    while text[start : start + 1] != "]":
        if not first:
            if text[start : start + 1] != ",":
                raise BadRequest("The batch is not JSON: a comma or the end of the array is missing.")
            start = _skip(text, start + 1)
        value, end = _bounded_value(text, start, longest)
        yield value, text[start:end]
        start, first = _skip(text, end), False
    if _skip(text, start + 1) != len(text):
        raise BadRequest("The batch is not JSON: there is extra data after its end.")


def _bounded_value(text: str, start: int, longest: int) -> tuple[Any, int]:
    """Return a value and its end. Search its end in a small window first, since most events are small."""
    for window in (WINDOW_CHARACTERS, longest):
        if start + window < len(text):
            try:
                value, end = _value(text[start : start + window], 0)
            except TooDeep:
                raise
            except BadRequest:
                continue
            return value, start + end
    if start + longest < len(text):
        raise RequestEntityTooLarge(f"The batch holds an event of more than {longest} bytes, or is not JSON.")
    return _value(text, start)


def _skip(text: str, start: int) -> int:
    match = _SPACE.match(text, start)
    return start if match is None else match.end()


def _value(text: str, start: int) -> tuple[Any, int]:
    try:
        return STRICT_DECODER.raw_decode(text, start)
    except RecursionError:
        raise TooDeep("The body is not JSON: it is nested too deeply.") from None
    except ValueError as error:
        raise BadRequest(f"The body is not JSON: {error}.") from None


def _checked(value: Any, raw: bytes, what: str) -> CloudEvent:
    if not isinstance(value, dict):
        raise BadRequest(f"{what} is not a JSON object.")
    for name in _REQUIRED:
        if not isinstance(value.get(name), str) or not value[name]:
            raise BadRequest(f"{what} has no {name}; it must be a non-empty string.")
    if value["specversion"] != "1.0":
        raise BadRequest(f"{what} has specversion {value['specversion'][:20]!r}; it must be 1.0.")
    for name in ("id", "type"):
        if _FORBIDDEN.search(value[name]):
            raise BadRequest(f"{what} has a control character or a noncharacter in its {name}.")
    _check_forms(value, what)
    _check_data(value, what)
    for name, attribute in value.items():
        if name not in (*_REQUIRED, *_OPTIONAL, "data", "data_base64"):
            _check_extension(name, attribute, what)
    partition_key = value.get(PARTITION_KEY)
    if not isinstance(partition_key, str | None):
        raise BadRequest(f"{what} has a {PARTITION_KEY} that is not a string.")
    return CloudEvent(value["id"], value["source"], value["type"], raw, partition_key, _expirytime(value, what))


def _expirytime(value: dict[str, Any], what: str) -> str | None:
    given = value.get(EXPIRY_ATTRIBUTE)
    if not isinstance(given, str | None):
        raise BadRequest(f"{what} has an {EXPIRY_ATTRIBUTE} that is not a string.")
    return None if given is None else check_expirytime(given, what)


def _check_forms(value: dict[str, Any], what: str) -> None:
    for name in _OPTIONAL:
        if value.get(name) is not None and (not isinstance(value[name], str) or not value[name]):
            raise BadRequest(f"{what} has a {name} that is not a non-empty string.")
    for name in ("source", "dataschema"):
        if value.get(name) is not None and not _URI.match(value[name]):
            raise BadRequest(f"{what} has a {name} that is not a URI: {value[name][:80]!r}.")
    if value.get("datacontenttype") is not None and not _MEDIA_TYPE.match(value["datacontenttype"]):
        raise BadRequest(f"{what} has a datacontenttype that is not a media type: {value['datacontenttype'][:80]!r}.")
    if value.get("time") is not None and (" " in value["time"] or seconds_of(value["time"]) is None):
        raise BadRequest(f"{what} has a time that is not RFC 3339: {value['time'][:40]!r}.")


def _check_data(value: dict[str, Any], what: str) -> None:
    if value.get("data_base64") is None:  # null means that it is not set
        return
    if "data" in value:
        raise BadRequest(f"{what} has both data and data_base64.")
    try:
        binascii.a2b_base64(value["data_base64"].encode("ascii"), strict_mode=True)
    except (AttributeError, ValueError):
        raise BadRequest(f"{what} has a data_base64 that is not Base64.") from None


def _check_extension(name: str, attribute: Any, what: str) -> None:
    if not _NAME.match(name):
        raise BadRequest(f"{what} has an attribute {name[:40]!r}; attribute names are lower-case letters and digits.")
    if isinstance(attribute, int) and not isinstance(attribute, bool) and attribute not in _INTEGERS:
        raise BadRequest(f"{what} has an attribute {name[:40]!r} that does not fit into 32 bits.")
    if not isinstance(attribute, str | int | None):
        raise BadRequest(f"{what} has an attribute {name[:40]!r} that is not a string, integer or boolean.")
