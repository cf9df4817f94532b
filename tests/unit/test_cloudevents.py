"""Structured CloudEvents: what is one, beside the specification's own Python package as a second opinion."""

import json
from collections.abc import Callable
from contextlib import suppress
from typing import Any

import pytest
from cloudevents.core.exceptions import CloudEventValidationError
from cloudevents.core.formats.json import JSONFormat
from cloudevents.core.v1.event import CloudEvent
from hypothesis import given
from hypothesis import strategies as st

from eventbus.core.errors import BadRequest
from eventbus.web.cloudevents import parse_batch, parse_one

#: Stands for an attribute that is left out.
OUT: Any = object()
SOUND = {"specversion": "1.0", "id": "a", "source": "/shop", "type": "orders.created"}

TIMES = [
    "2026-11-24T06:03:29Z",
    "2026-11-24t06:03:29z",
    "2026-11-24T06:03:29.123456789+02:00",
    "yesterday",
    "2026-11-24T06:03:29",
    "2026-13-24T06:03:29Z",
]
#: Attributes on which the package and the bus have to agree, some sound and some not.
ATTRIBUTES = st.fixed_dictionaries(
    {
        "specversion": st.sampled_from(["1.0", "1.0", "1.0", "0.3", "1", "", 1]),
        "id": st.sampled_from(["a", "a", "A234-1234-1234", "~!#", "", 7, True]),
        "source": st.sampled_from(["/shop", "/shop", "urn:uuid:6e8bc430", "https://example.com/a?b=c#d", "", 7, OUT]),
        "type": st.sampled_from(["orders.created", "orders.created", "x", "", [], OUT]),
    },
    optional={
        "subject": st.sampled_from(["x", "caf\xe9", "", 7]),
        "dataschema": st.sampled_from(["https://example.com/schema", "", 7]),
        "datacontenttype": st.sampled_from(["application/json", "text/plain; charset=utf-8", "", 7]),
        "time": st.sampled_from(TIMES),
        "data": st.sampled_from([None, 0, "text", {"a": [1, 2.5, None]}, []]),
    },
)  # fmt: skip
NAMES = st.text(st.sampled_from("abz09_A-. \xe9"), max_size=4).filter(lambda name: name not in SOUND)
EXTENSIONS = st.dictionaries(NAMES, st.text(max_size=4), max_size=2)
JSON_VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
    max_leaves=6,
)

#: Bytes that an event of a batch may have.
LONGEST = 1_048_576


def written(event: dict[str, Any]) -> bytes:
    """An event as JSON, without what is left out."""
    return json.dumps({name: value for name, value in event.items() if value is not OUT}).encode()


def ours(body: bytes) -> tuple[str, str] | None:
    """The id and type that the bus reads; None where it refuses."""
    try:
        event = parse_one(body)
    except BadRequest:
        return None
    assert event.raw == body
    return event.id, event.type


def theirs(body: bytes) -> tuple[str, str] | None:
    """The id and type that the package reads; None where it refuses, which it does by various errors."""
    try:
        event = JSONFormat().read(CloudEvent, body)
    except (CloudEventValidationError, ValueError, TypeError, AttributeError):
        return None
    return event.get_id(), event.get_type()


@given(ATTRIBUTES, EXTENSIONS)
def test_the_bus_and_the_package_agree(attributes: dict[str, Any], extensions: dict[str, str]) -> None:
    """Presence, types and emptiness of attributes, versions, times and names are judged as the package does."""
    body = written(extensions | attributes)
    assert ours(body) == theirs(body)


@given(st.dictionaries(st.sampled_from([*SOUND, "time", "subject", "data", "extra"]), JSON_VALUES) | JSON_VALUES)
def test_what_the_bus_takes_the_package_takes(value: Any) -> None:
    """Whatever JSON comes, the bus takes nothing that the package refuses, but for attributes that are null."""
    changed = SOUND | value if isinstance(value, dict) else value
    body = json.dumps(changed).encode()
    if (found := ours(body)) is not None:
        without_nulls = {name: content for name, content in changed.items() if content is not None}
        assert found == theirs(json.dumps(without_nulls).encode())


#: Where the bus and the package differ knowingly: what is sent, whether the bus takes it, and why.
DIFFERENCES: dict[str, tuple[bytes, bool]] = {
    "what is missing is not made up: 3.1 requires it": (written(SOUND | {"id": OUT}), False),
    "nor is a version": (written(SOUND | {"specversion": OUT}), False),
    "an id holds no control characters: 3.1, String": (written(SOUND | {"id": "a\nb"}), False),
    "nor does a type hold what is no character": (written(SOUND | {"type": "a\uffff"}), False),
    "a source is a URI-reference": (written(SOUND | {"source": "two words"}), False),
    "so is a schema": (written(SOUND | {"dataschema": "\xe9"}), False),
    "a content type is a media type": (written(SOUND | {"datacontenttype": "json"}), False),
    "a time is RFC 3339, and not all of ISO 8601": (written(SOUND | {"time": "20261124T0603Z"}), False),
    "null is an attribute that is not set (JSON format, 2.4)": (written(SOUND | {"time": None}), True),
    "a minute may have a leap second (RFC 3339, 5.7)": (written(SOUND | {"time": "2016-12-31T23:59:60Z"}), True),
    "no attribute is an object": (written(SOUND | {"extra": {}}), False),
    "or a fraction": (written(SOUND | {"extra": 1.5}), False),
    "or beyond 32 bits": (written(SOUND | {"extra": 2**31}), False),
    "no name ends in a newline": (written(SOUND | {"extra\n": "x"}), False),
    "data comes one way, not both": (written(SOUND | {"data": None, "data_base64": "AA=="}), False),
    "Base64 has no other characters": (written(SOUND | {"data_base64": "A A=="}), False),
    "JSON has no NaN (RFC 8259, 6)": (written(SOUND | {"data": 0}).replace(b"0}", b"NaN}"), False),
    "a name given twice may be read two ways": (b'{"id": "b", ' + written(SOUND)[1:], False),
}  # fmt: skip


#: What CloudEvents 1.0 calls valid, though it may look odd.
VALID: list[dict[str, Any]] = [
    {"id": "caf\xe9-1"}, {"id": "order 1"}, {"id": "x" * 3_000}, {"id": " "}, {"id": "\U0001f600"}, {"id": "a.b"},
    {"type": "https://example.com/types/order-created"}, {"type": "order created"}, {"type": "com..example"},
    {"type": "bestellung.gel\xf6scht"}, {"type": "*"}, {"type": "a.>"}, {"type": "a" * 300},
    {"source": "mailto:a@example.org"}, {"source": "1-555-123-4567"}, {"source": "#"}, {"source": "//[::1]/a%20b"},
    {"time": "2026-02-28t23:59:59z"}, {"time": "2026-02-28T23:59:59-00:00"}, {"time": "2028-02-29T00:00:00Z"},
    {"time": "2026-02-28T23:59:59.123456789123+05:30"}, {"datacontenttype": "application/vnd.x%y'z+json"},
    {"extra": True}, {"extra": -(2**31)}, {"extra": ""}, {"a" * 40: "x"}, {"data": ""}, {"data_base64": ""},
    {"data_base64": None}, {"data": 1, "data_base64": None},
]  # fmt: skip


@pytest.mark.parametrize("changes", VALID, ids=str)
def test_what_is_valid_is_taken(changes: dict[str, Any]) -> None:
    """Whatever CloudEvents 1.0 calls valid is taken, alone and in a batch, with its id, source and type as written."""
    event = SOUND | changes
    body = written(event)
    for found in (parse_one(body), *parse_batch(b"[" + body + b"]", LONGEST)):
        assert (found.id, found.source, found.type) == (event["id"], event["source"], event["type"])
        assert found.raw == body


@pytest.mark.parametrize(("body", "taken"), DIFFERENCES.values(), ids=DIFFERENCES)
def test_the_bus_differs_where_it_has_a_reason(body: bytes, taken: bool) -> None:
    """Where the bus is stricter or laxer than the package, the specification, or the wire, is the reason."""
    assert (ours(body) is not None, theirs(body) is not None) == (taken, not taken)


SPACE = st.text(st.sampled_from(" \t\r\n"), max_size=3)


@given(st.data(), st.lists(JSON_VALUES, max_size=4))
def test_each_event_of_a_batch_has_its_own_bytes(data: st.DataObject, contents: list[Any]) -> None:
    """However a batch is spaced, its events come in order, each with exactly the text in which it was written."""
    events = [SOUND | {"id": str(number), "data": content} for number, content in enumerate(contents)]
    styles = [(data.draw(st.booleans()), data.draw(st.sampled_from([None, 1]))) for _ in events]
    texts = [
        json.dumps(event, ensure_ascii=ascii_only, indent=indent)
        for event, (ascii_only, indent) in zip(events, styles, strict=True)
    ]
    spaced = [data.draw(SPACE) + text + data.draw(SPACE) for text in texts]
    body = (data.draw(SPACE) + "[" + (",".join(spaced) or data.draw(SPACE)) + "]" + data.draw(SPACE)).encode(
        "utf-8", "surrogatepass"
    )
    try:
        body.decode()
    except UnicodeDecodeError:
        with pytest.raises(BadRequest):
            list(parse_batch(body, LONGEST))
        return
    found = list(parse_batch(body, LONGEST))
    assert [(event.id, event.raw.decode()) for event in found] == [(str(n), text) for n, text in enumerate(texts)]


@given(st.binary(max_size=60) | st.text(st.sampled_from('[]{},:"\\ 1eE.-tfn\n'), max_size=60).map(str.encode))
def test_any_bytes_are_taken_or_refused(body: bytes) -> None:
    """Whatever bytes come, they are an event or refused, and nothing else happens."""
    readers: list[Callable[[bytes], object]] = [parse_one, lambda text: list(parse_batch(text, LONGEST))]
    for read in readers:
        with suppress(BadRequest):
            read(body)


@pytest.mark.parametrize("opening", ["[", '{"a":'])
@pytest.mark.parametrize("depth", [500, 10_000, 200_000])
def test_deep_nesting_is_refused_or_taken(opening: str, depth: int) -> None:
    """However deeply an event is nested, it is taken or refused, and no recursion ends the process."""
    closing = {"[": "]", '{"a":': "}"}[opening]
    body = json.dumps(SOUND | {"data": "D"}).replace('"D"', opening * depth + "1" + closing * depth).encode()
    assert ours(body) in (None, ("a", "orders.created"))


@pytest.mark.parametrize("digits", [10, 4_000, 5_000, 100_000])
def test_long_numbers_are_refused_or_taken(digits: int) -> None:
    """However many digits a number has, it is taken or refused."""
    body = json.dumps(SOUND | {"data": "D"}).replace('"D"', "7" * digits).encode()
    assert ours(body) in (None, ("a", "orders.created"))
