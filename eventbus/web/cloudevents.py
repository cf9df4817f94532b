"""Structured CloudEvents: found in a request's bytes, and checked by the rules of CloudEvents 1.0.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

import binascii
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from werkzeug.exceptions import RequestEntityTooLarge

from eventbus.core.clock import seconds_of
from eventbus.core.errors import BadRequest

STRUCTURED = "application/cloudevents+json"
BATCH = "application/cloudevents-batch+json"
_REQUIRED = ("id", "source", "specversion", "type")
_OPTIONAL = ("datacontenttype", "dataschema", "subject", "time")
_NAME = re.compile(r"[a-z0-9]+\Z")
_URI = re.compile(r"[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%-]+\Z")
#: RFC 9110, 8.3.1: two tokens, then parameters.
_MEDIA_TYPE = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+/[!#$%&'*+.^_`|~0-9A-Za-z-]+\s*(;.*)?\Z", re.DOTALL)
#: Characters that no attribute holds (CloudEvents 1.0.2, 3.1, String): controls, surrogates, and no characters.
_FORBIDDEN = re.compile("[\x00-\x1f\x7f-\x9f\ud800-\udfff\ufdd0-\ufdef\ufffe\uffff]")
#: Characters in which the end of an event is looked for first.
WINDOW = 16_384
_SPACE = re.compile(r"[ \t\n\r]*")
#: JSON's integers in an attribute: CloudEvents has 32 bits.
_INTEGERS = range(-(2**31), 2**31)


class TooDeep(BadRequest):
    """Nested so deeply that a longer look would not help."""


@dataclass(frozen=True, slots=True)
class CloudEvent:
    """What the bus needs of an event, and the bytes in which it was written."""

    id: str
    source: str
    type: str
    written: bytes


def parse_one(body: bytes) -> CloudEvent:
    """The event that a body holds. Raises BadRequest with what is wrong."""
    text = _decoded(body)
    value = _whole(text)
    return _checked(value, body, "The event")


def parse_batch(body: bytes, max_bytes: int) -> Iterator[CloudEvent]:
    """The events of a JSON array one by one, each with its own bytes. Raises BadRequest at the first unsound one.

    One with more than ``max_bytes`` is not read to its end.
    """
    for number, (value, written) in enumerate(_elements(_decoded(body), max_bytes)):
        yield _checked(value, written.encode(), f"Event {number} of the batch")


def _decoded(body: bytes) -> str:
    try:
        return body.decode("utf-8")
    except UnicodeDecodeError:
        raise BadRequest("The body is no JSON: it is not UTF-8.") from None


def _whole(text: str) -> Any:
    value, end = _value(text, _skip(text, 0))
    if _skip(text, end) != len(text):
        raise BadRequest("The body is no JSON: something follows its end.")
    return value


def _elements(text: str, longest: int) -> Iterator[tuple[Any, str]]:
    """The elements of an array, each with the text in which it was written."""
    place = _skip(text, 0)
    if text[place : place + 1] != "[":
        raise BadRequest("A batch is a JSON array of events.")
    place = _skip(text, place + 1)
    first = True
    while text[place : place + 1] != "]":
        if not first:
            if text[place : place + 1] != ",":
                raise BadRequest("The batch is no JSON: a comma or the array's end is missing.")
            place = _skip(text, place + 1)
        value, end = _bounded_value(text, place, longest)
        yield value, text[place:end]
        place, first = _skip(text, end), False
    if _skip(text, place + 1) != len(text):
        raise BadRequest("The batch is no JSON: something follows its end.")


def _bounded_value(text: str, place: int, longest: int) -> tuple[Any, int]:
    """A value and its end, looked for in a window that is small at first: most events are."""
    for window in (WINDOW, longest):
        if place + window < len(text):
            try:
                value, end = _value(text[place : place + window], 0)
            except TooDeep:
                raise
            except BadRequest:
                continue
            return value, place + end
    if place + longest < len(text):
        raise RequestEntityTooLarge(f"The batch holds an event that has more than {longest} bytes, or is no JSON.")
    return _value(text, place)


def _skip(text: str, place: int) -> int:
    match = _SPACE.match(text, place)
    return place if match is None else match.end()


def _pairs(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name is given twice in one object")
    return found


def _constant(name: str) -> Any:
    raise ValueError(f"{name} is no JSON number")


_DECODER = json.JSONDecoder(object_pairs_hook=_pairs, parse_constant=_constant)


def _value(text: str, place: int) -> tuple[Any, int]:
    try:
        return _DECODER.raw_decode(text, place)
    except RecursionError:
        raise TooDeep("The body is no JSON: it is nested too deeply.") from None
    except ValueError as error:
        raise BadRequest(f"The body is no JSON: {error}.") from None


def _checked(value: Any, written: bytes, what: str) -> CloudEvent:
    if not isinstance(value, dict):
        raise BadRequest(f"{what} is no JSON object.")
    for name in _REQUIRED:
        if not isinstance(value.get(name), str) or not value[name]:
            raise BadRequest(f"{what} has no {name}: a text that is not empty is required.")
    if value["specversion"] != "1.0":
        raise BadRequest(f"{what} has specversion {value['specversion'][:20]!r}; the bus takes 1.0.")
    for name in ("id", "type"):
        if _FORBIDDEN.search(value[name]):
            raise BadRequest(f"{what} has a control character, or what is no character, in its {name}.")
    _check_forms(value, what)
    _check_data(value, what)
    for name, attribute in value.items():
        if name not in (*_REQUIRED, *_OPTIONAL, "data", "data_base64"):
            _check_extension(name, attribute, what)
    return CloudEvent(value["id"], value["source"], value["type"], written)


def _check_forms(value: dict[str, Any], what: str) -> None:
    for name in _OPTIONAL:
        if value.get(name) is not None and (not isinstance(value[name], str) or not value[name]):
            raise BadRequest(f"{what} has a {name} that is no text, or empty.")
    for name in ("source", "dataschema"):
        if value.get(name) is not None and not _URI.match(value[name]):
            raise BadRequest(f"{what} has a {name} that is no URI: {value[name][:80]!r}.")
    if value.get("datacontenttype") is not None and not _MEDIA_TYPE.match(value["datacontenttype"]):
        raise BadRequest(f"{what} has a datacontenttype that is no media type: {value['datacontenttype'][:80]!r}.")
    if value.get("time") is not None and (" " in value["time"] or seconds_of(value["time"]) is None):
        raise BadRequest(f"{what} has a time that is not as RFC 3339 has it: {value['time'][:40]!r}.")


def _check_data(value: dict[str, Any], what: str) -> None:
    if value.get("data_base64") is None:  # null is an attribute that is not set
        return
    if "data" in value:
        raise BadRequest(f"{what} has both data and data_base64.")
    try:
        binascii.a2b_base64(value["data_base64"].encode("ascii"), strict_mode=True)
    except (AttributeError, ValueError):
        raise BadRequest(f"{what} has data_base64 that is not Base64.") from None


def _check_extension(name: str, attribute: Any, what: str) -> None:
    if not _NAME.match(name):
        raise BadRequest(f"{what} has an attribute {name[:40]!r}; names are lower-case letters and digits.")
    if isinstance(attribute, int) and not isinstance(attribute, bool) and attribute not in _INTEGERS:
        raise BadRequest(f"{what} has an attribute {name[:40]!r} beyond 32 bits.")
    if not isinstance(attribute, str | int | None):
        raise BadRequest(f"{what} has an attribute {name[:40]!r} that is no text, whole number or boolean.")
