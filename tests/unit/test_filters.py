"""Filters: what each dialect and each kind of field means, and what is wrong in one."""

import json
from typing import Any

import pytest

from eventbus.core.errors import BadRequest
from eventbus.core.event_view import EventView
from eventbus.core.filters import MAX_DEPTH, MAX_FILTER_BYTES, parse_filter
from eventbus.core.json_body import MAX_JSON_BYTES, MISSING, parse_json
from eventbus.core.model import Event

SPEC = "https://github.com/cloudevents/spec"


def event(
    body: bytes = b"", topic: str | None = None, head: str = "", key: str = "", event_id: str = "evt-1"
) -> EventView:
    """Return an event as filters see it; ``head`` has a header in each line."""
    lines = "".join(f"{line}\r\n" for line in head.splitlines())
    return EventView(Event(1, event_id, topic, lines.encode("latin-1"), body, 0.0, key))


def matches(expression: Any, view: EventView) -> bool:
    """Tell whether an event matches a filter."""
    found = parse_filter(json.dumps(expression))
    return found is None or found.matches(view)


# The examples of the CloudEvents Subscriptions API, 3.2.4.1


@pytest.mark.parametrize(
    ("expression", "ce_type", "subject", "expected"),
    [
        ({"exact": {"type": "com.github.push", "subject": SPEC}}, "com.github.push", SPEC, True),
        ({"exact": {"type": "com.github.push", "subject": SPEC}}, "com.github.push", f"{SPEC}/", False),
        ({"exact": {"type": "com.github.push", "subject": SPEC}}, "com.GitHub.push", SPEC, False),
        ({"exact": {"type": "com.github.push", "subject": SPEC}}, "com.github.push", "", False),
        ({"prefix": {"type": "com.github.", "subject": "https://github.com/cloudevents"}}, "com.github.x", SPEC, True),
        ({"prefix": {"type": "com.github.", "subject": "https://github.com/cloudevents"}}, "com.gitlab.x", SPEC, False),
        ({"suffix": {"type": ".created", "subject": "/cloudevents/spec"}}, "repo.created", SPEC, True),
        ({"suffix": {"type": ".created", "subject": "/cloudevents/spec"}}, "repo.Created", SPEC, False),
        (
            {"all": [{"exact": {"type": "com.github.push"}}, {"exact": {"subject": SPEC}}]},
            "com.github.push",
            SPEC,
            True,
        ),
        (
            {"all": [{"exact": {"type": "com.github.push"}}, {"exact": {"subject": SPEC}}]},
            "com.github.pull",
            SPEC,
            False,
        ),
        (
            {"any": [{"exact": {"type": "com.github.push"}}, {"exact": {"subject": SPEC}}]},
            "com.github.pull",
            SPEC,
            True,
        ),
        (
            {"any": [{"exact": {"type": "com.github.push"}}, {"exact": {"subject": SPEC}}]},
            "com.github.pull",
            "x",
            False,
        ),
        ({"not": {"exact": {"type": "com.github.push"}}}, "com.github.push", SPEC, False),
        ({"not": {"exact": {"type": "com.github.push"}}}, "com.github.pull", SPEC, True),
        ([{"prefix": {"type": "com."}}, {"suffix": {"subject": "/spec"}}], "com.github.push", SPEC, True),
        ([{"prefix": {"type": "com."}}, {"suffix": {"subject": "/Spec"}}], "com.github.push", SPEC, False),
        ([], "com.github.push", SPEC, True),
    ],
)
def test_the_examples_of_the_cloudevents_subscriptions_api(
    expression: Any, ce_type: str, subject: str, *, expected: bool
) -> None:
    """Each dialect of the specification tells of its example what that says, in binary and in structured mode."""
    attributes = {"specversion": "1.0", "id": "1", "source": "/s", "type": ce_type, "subject": subject}
    attributes = {name: value for name, value in attributes.items() if value}
    binary = "\n".join(f"ce-{name}: {value}" for name, value in attributes.items())
    structured = event(json.dumps(attributes).encode(), head="Content-Type: application/cloudevents+json")
    assert matches(expression, event(head=binary)) is expected
    assert matches(expression, structured) is expected


def test_an_event_that_is_no_cloudevent_has_the_attributes_of_one_in_a_batch() -> None:
    """Without ce-* headers the type is the topic, and the source the bus; id and time are the bus's."""
    view = event(topic="orders.created", event_id="evt-9", head="Content-Type: text/plain")
    usual = {"type": "orders.created", "source": "eventbus", "id": "evt-9", "specversion": "1.0"}
    assert matches({"exact": {**usual, "time": "1970-01-01T00:00:00Z", "datacontenttype": "text/plain"}}, view)
    assert matches({"exact": {"type": "eventbus/event"}}, event())
    assert matches({"exists": {"subject": False, "time": True}}, view)


def test_attributes_are_decoded_and_headers_are_as_they_came() -> None:
    """An attribute is compared as CloudEvents decodes it; header.NAME is the header's value, its name in any case."""
    view = event(head='ce-subject: "Euro%20%E2%82%AC"\nce-foo-bar: 1\nContent-Type: application/json; charset=utf-8')
    assert matches({"exact": {"subject": "Euro €", "header.ce-subject": '"Euro%20%E2%82%AC"'}}, view)
    assert matches({"prefix": {"header.Content-Type": "application/json"}}, view)
    assert matches({"exact": {"header.ce-foo-bar": "1"}}, view)
    assert matches({"exists": {"header.traceparent": False, "header.content-type": True}}, view)


def test_attributes_of_structured_events_are_compared_as_texts() -> None:
    """Integers and booleans of a structured CloudEvent are their texts; null is not set."""
    body = {"specversion": "1.0", "id": "a", "source": "/", "type": "t", "count": 5, "flag": True, "none": None}
    view = event(json.dumps(body).encode(), head="Content-Type: application/cloudevents+json; charset=utf-8")
    assert matches({"exact": {"count": "5", "flag": "true", "id": "a"}}, view)
    assert matches({"exists": {"none": False, "count": True}}, view)


def test_topic_and_key_are_the_buss_own_names() -> None:
    """``topic`` and ``key`` are the event's topic and order key; one without either has no such field."""
    view = event(topic="a.b", key="k1", head="ce-type: other")
    assert matches({"exact": {"topic": "a.b", "key": "k1", "type": "other"}}, view)
    assert matches({"exists": {"topic": False, "key": False}}, event())
    assert not matches({"prefix": {"topic": "a"}}, event())


DATA = {
    "name": "ann", "count": 5, "price": 1.5, "yes": True, "none": None, "list": [{"id": 7}, "x"], "a.b": {"c\\d": "z"},
    "0": "zero", "empty": "",
}  # fmt: skip


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ({"exact": {"data.name": "ann"}}, True),
        ({"exact": {"data.name": "Ann"}}, False),
        ({"exact": {"data.count": 5}}, True),
        ({"exact": {"data.count": 5.0}}, True),
        ({"exact": {"data.count": "5"}}, False),
        ({"exact": {"data.name": 5}}, False),
        ({"exact": {"data.yes": True}}, True),
        ({"exact": {"data.yes": 1}}, False),
        ({"exact": {"data.count": True}}, False),
        ({"exact": {"data.none": None}}, True),
        ({"exact": {"data.missing": None}}, False),
        ({"exact": {"data.empty": ""}}, True),
        ({"exact": {"data.list": "x"}}, False),
        ({"exact": {"data.list.1": "x"}}, True),
        ({"exact": {"data.list.0.id": 7}}, True),
        ({"exact": {"data.list.01": "x"}}, False),
        ({"exact": {"data.list.2": "x"}}, False),
        ({"exact": {"data.list.-1": "x"}}, False),
        ({"exact": {"data.0": "zero"}}, True),
        ({"exact": {"data.a\\.b.c\\\\d": "z"}}, True),
        ({"exact": {"data.name.0": "a"}}, False),
        ({"prefix": {"data.name": "an"}}, True),
        ({"prefix": {"data.count": "5"}}, False),
        ({"suffix": {"data.name": "nn"}}, True),
        ({"exists": {"data.none": True}}, True),
        ({"exists": {"data.list": True, "data.missing": False}}, True),
        ({"exists": {"data.name.x": True}}, False),
        ({"number": {"data.count": {">": 4, "<=": 5}}}, True),
        ({"number": {"data.count": {">": 5}}}, False),
        ({"number": {"data.price": {"=": 1.5}}}, True),
        ({"number": {"data.price": {"<": 1.5}}}, False),
        ({"number": {"data.name": {"<": 9}}}, False),
        ({"number": {"data.yes": {"<": 9}}}, False),
        ({"number": {"data.none": {"<": 9}}}, False),
        ({"number": {"data.missing": {"<": 9}}}, False),
        ({"not": {"number": {"data.missing": {"<": 9}}}}, True),
    ],
)
def test_values_in_data_are_compared_by_their_type(expression: Any, *, expected: bool) -> None:
    """A text is no number, a number no text, an array equals nothing, and what is missing only fails to exist."""
    body = json.dumps(DATA).encode()
    assert matches(expression, event(body)) is expected
    structured = json.dumps({"specversion": "1.0", "id": "1", "source": "/", "type": "t", "data": DATA}).encode()
    assert matches(expression, event(structured, head="Content-Type: application/cloudevents+json")) is expected


@pytest.mark.parametrize(
    "body",
    [
        b"", b"{", b"text", b'"x"', b"5", b'{"a":1,"a":1}', b'{"a":NaN}', b'{"a":-Infinity}', b'{"a":"\\ud800"}',
        b'\xff{"a":1}', b'{"a":"\xff"}', b"\xef\xbb\xbf{}", b"[" * 100_000, b'{"a":' * 50_000,
        b'{"a":%b}' % (b"1" * 5_000),
        b'{"a":"%b"}' % (b"x" * MAX_JSON_BYTES), b"[1,]", b"\x00{}",
    ],
)  # fmt: skip
def test_what_is_no_unambiguous_json_has_no_data(body: bytes) -> None:
    """A body that programs may read differently, or not at all, has no data, and raises nothing."""
    assert parse_json(body) is MISSING
    for expression, expected in (({"exists": {"data.a": True}}, False), ({"not": {"exact": {"data.a": 1}}}, True)):
        assert matches(expression, event(body)) is expected


def test_a_body_with_a_content_coding_has_no_data() -> None:
    """A body that is compressed is not JSON, and one that only says so is not read either."""
    assert not matches({"exact": {"data.a": 1}}, event(b'{"a":1}', head="Content-Encoding: gzip"))


def test_numbers_beyond_a_double_are_none() -> None:
    """1e999 is no number that could be compared; a large integer is compared exactly."""
    body = b'{"infinite":1e999,"large":9007199254740993}'
    assert not matches({"number": {"data.infinite": {">": 1}}}, event(body))
    assert matches({"exact": {"data.large": 9007199254740993}}, event(body))
    assert not matches({"exact": {"data.large": 9007199254740992}}, event(body))


def test_pairs_of_surrogates_are_one_character() -> None:
    """An escaped character beyond 16 bits is compared as that character."""
    assert matches({"exact": {"data.a": "😀"}}, event(b'{"a":"\\ud83d\\ude00"}'))


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("{", "filter is not JSON: Expecting property name enclosed in double quotes at character 2."),
        ("5", "filter is wrong: an expression is an object, not 5."),
        ("{}", "filter is wrong: an expression has one dialect, not 0; an array takes several expressions."),
        ('{"exact":{"type":"a"},"not":{}}', "filter is wrong: an expression has one dialect, not 2; an array"),
        ('{"sql":"x"}', "filter is wrong: 'sql' is no dialect; there are exact, prefix, suffix, exists, number, all,"),
        ('{"exact":{"type":"a","type":"b"}}', "filter is not JSON: the name 'type' stands twice in one object."),
        (
            '[{"all":[{"exact":{"type":5}}]}]',
            "filter is wrong at [0].all[0].exact.type: its value is a text of at least",
        ),
        ('{"all":[]}', "filter is wrong at all: it takes an array of at least one expression, not an empty array."),
        ('{"exact":{}}', "filter is wrong at exact: it takes an object of at least one name and value, not an empty"),
        ('{"exact":{"type":""}}', "filter is wrong at exact.type: its value is a text of at least one"),
        ('{"exact":{"":"a"}}', "filter is wrong at exact.: a name is topic, key, that of a CloudEvents attribute"),
        ('{"exact":{"data":"a"}}', "filter is wrong at exact.data: a name is topic, key"),
        ('{"exact":{"data.":"a"}}', "filter is wrong at exact.data.: data.PATH has names between dots, none of them"),
        ('{"exact":{"data.a\\\\x":"a"}}', "filter is wrong at exact.data.a\\x: in data.PATH a backslash stands before"),
        ('{"exact":{"data.a":[1]}}', "filter is wrong at exact.data.a: its value is a text of at least one character"),
        ('{"exact":{"data.a":1e999}}', "filter is wrong at exact.data.a: its value is a finite number, not Infinity."),
        ('{"exact":{"header.host":"a"}}', "filter is wrong at exact.header.host: the headers that are kept are"),
        ('{"prefix":{"data.a":1}}', "filter is wrong at prefix.data.a: its value is a text of at least one character"),
        ('{"exists":{"type":1}}', "filter is wrong at exists.type: exists takes true or false, not 1."),
        ('{"number":{"type":{"<":1}}}', "filter is wrong at number.type: number takes data.PATH alone"),
        ('{"number":{"data.a":{"!":1}}}', "filter is wrong at number.data.a: it takes an object with some of ="),
        ('{"number":{"data.a":{"<":true}}}', "filter is wrong at number.data.a.<: its value is a finite number"),
        ('{"exact":{"type":"\\ud800"}}', "filter holds half a character: an escape such as \\ud800 alone."),
        ("[" * 3_000, "filter is not JSON: it is nested too deeply."),
        (f'"{"x" * MAX_FILTER_BYTES}"', f"filter has {MAX_FILTER_BYTES + 2} bytes; at most {MAX_FILTER_BYTES} are"),
    ],
)
def test_a_wrong_filter_is_refused_with_the_place_where_it_is_wrong(text: str, error: str) -> None:
    """The error names the place in the filter, the value, and what would be right."""
    with pytest.raises(BadRequest) as caught:
        parse_filter(text)
    assert str(caught.value).startswith(error)


def test_expressions_may_be_eight_deep() -> None:
    """The innermost of eight expressions is taken, and one more is refused."""

    def nested(depth: int) -> str:
        return '{"not":' * (depth - 1) + '{"exact":{"type":"a"}}' + "}" * (depth - 1)

    assert parse_filter(nested(MAX_DEPTH)) is not None
    with pytest.raises(BadRequest, match="8 deep"):
        parse_filter(nested(MAX_DEPTH + 1))


@pytest.mark.parametrize("text", ["", "  ", "[]", " [ ] "])
def test_an_empty_filter_is_none(text: str) -> None:
    """An empty text, and an empty array, leave nothing out."""
    assert parse_filter(text) is None


def test_a_filter_is_kept_as_json_without_spaces() -> None:
    """Two spellings of one filter are the same filter."""
    spaced = parse_filter('{ "exact" : { "subject" : "\\u20ac" } }')
    assert spaced is not None
    assert spaced.text == '{"exact":{"subject":"€"}}'
    assert spaced == parse_filter(spaced.text)


@pytest.mark.parametrize(
    ("expression", "values"),
    [
        ({"any": [{"exact": {"data.a": wanted}} for wanted in (1, "b", None)]}, [1, 1.0, "b", None]),
        (
            {"any": [{"prefix": {"data.a": "ab"}}, {"suffix": {"data.a": "z"}}, {"exact": {"data.a": "c"}}]},
            ["abc", "z"],
        ),
        (
            {"all": [{"not": {"exact": {"data.a": wanted}}} for wanted in ("b", "c", 1)]},
            [True, None, "abc", "z", [1], {"a": 1}],
        ),
        ({"any": [{"number": {"data.a": {"=": 1}}}, {"exact": {"data.a": True}}]}, [1, 1.0, True]),
        ({"any": [{"exact": {"data.a": n, "topic": "t"}} for n in (1, "z", "z")]}, [1, 1.0, "z"]),
        ({"any": [{"exact": {"data.a": n, "topic": topic}} for n, topic in ((1, "t"), ("z", "u"))]}, [1, 1.0]),
    ],
)
def test_conditions_on_one_field_are_told_apart_by_type(expression: Any, values: list[Any]) -> None:
    """Several conditions on a field, or on it and others, match the values that one of them asks for, and no others."""
    candidates: list[Any] = [1, 1.0, True, None, "b", "abc", "z", [1], {"a": 1}]
    found = [value for value in candidates if matches(expression, event(json.dumps({"a": value}).encode(), "t"))]
    assert list(map(repr, found)) == list(map(repr, [value for value in candidates if _same_in(value, values)]))


def _same_in(value: Any, values: list[Any]) -> bool:
    return any(type(value) is type(one) and value == one for one in values)


@pytest.mark.parametrize(
    "expression",
    [
        {"any": [{"exact": {"data.a": 1}}, {"exact": {"topic": "t"}}]},
        {"not": {"exact": {"data.a": 1, "topic": "u"}}},
        {"any": [{"all": [{"exact": {"topic": "u"}}, {"number": {"data.a": {">": n}}}]} for n in range(9)]},
        [{"any": [{"exact": {"data.a": 1}}, {"exact": {"data.a": 2}}]}, {"prefix": {"key": "k"}}],
    ],
)
def test_the_body_is_parsed_only_where_nothing_else_decides(expression: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Conditions on anything but the data are asked before those on the data, in whatever order they stand."""

    def refuse(body: bytes) -> Any:
        raise AssertionError(body)

    monkeypatch.setattr("eventbus.core.event_view.parse_json", refuse)
    matches(expression, event(b'{"a":1}', "t"))
