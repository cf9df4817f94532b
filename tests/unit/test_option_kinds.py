"""The kinds of subscription options: what is read, written and described agree, for any text."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator

from eventbus.core.errors import BadRequest
from eventbus.core.filter_option import FilterExpression
from eventbus.core.number_kinds import Duration, Integer, Number
from eventbus.core.option_kinds import Boolean, Enumeration, Kind, Position, Text, Texts, TopicName, TopicPatterns
from eventbus.core.ordering import Ordering

KINDS: list[Kind] = [
    Number(0.5, 1_000), Duration(1, 86_400), Integer(1, 500), Boolean(), Enumeration(("push", "pull", "both")),
    Text("[a-z]{1,9}", "a word of letters"), Texts("[a-z]{1,3}", "words of letters", max_items=3), TopicPatterns(),
    Position(), Ordering(), FilterExpression(), Duration(0, 5), TopicName(),
]  # fmt: skip
TEXT = st.one_of(
    st.text(max_size=300),
    st.sampled_from(
        [
            "",
            "true",
            "false",
            "key",
            "push",
            "0.5",
            "1",
            "1.0",
            "500",
            "2.5",
            "86400",
            "1e3",
            "0.00001",
            "2e-07",
            "nan",
            "abc",
            "a.*",
        ]
    ),
    st.integers(-10, 100_000).map(str),
    st.text("abc.*>", max_size=5),
    st.sampled_from(["[]", '{"exact": {"data.a": 1.50}}', '[{"not":{"exists":{"key":true}}}]', "{}", '{"exact":5}']),
)


def parse(kind: Kind, texts: list[str]) -> tuple[Any, ...]:
    """The value, alone in a tuple; an empty one where the texts are refused."""
    try:
        return (kind.parse("option", texts),)
    except BadRequest:
        return ()


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
@given(texts=st.lists(TEXT, min_size=1, max_size=4))
def test_a_value_that_is_read_is_as_described(kind: Kind, texts: list[str]) -> None:
    """Whatever is given, a value that is accepted fits its JSON Schema, and is read back from JSON and from a query."""
    for value in parse(kind, texts):
        assert OAS31Validator(kind.json_schema).is_valid(kind.to_json(value))
        assert kind.from_json(kind.to_json(value)) == value
        written = [str(part).lower() if isinstance(part, bool) else str(part) for part in kind.query_values(value)]
        assert parse(kind, written) == (value,)
        assert kind.display(value)


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: type(kind).__name__)
@given(texts=st.lists(TEXT, min_size=1, max_size=4))
def test_a_text_that_is_refused_does_not_fit_the_querys_schema(kind: Kind, texts: list[str]) -> None:
    """The schema of a query says of texts, flags and words what the bus does; numbers and filters are JSON's own."""
    if isinstance(kind, Number | TopicPatterns | FilterExpression):
        return
    given_texts = texts if isinstance(kind, Texts) else texts[0]
    fits = OAS31Validator(kind.query_schema).is_valid(given_texts)
    too_many = isinstance(kind, Texts) and len(set(texts)) > kind.max_items
    assert fits == bool(parse(kind, texts)) or too_many


@pytest.mark.parametrize(
    ("kind", "value", "shown"),
    [
        (Duration(1, 86_400), 86_400.0, "86,400 s"),
        (Number(0, 1), 0.25, "0.25"),
        (Integer(1, 5_000), 5_000, "5,000"),
        (Boolean(), False, "no"),
        (Text("[a-z]*", "letters"), "", "none"),
        (Enumeration(("push", "pull")), "pull", "pull"),
        (Texts("[a-z]", "letters"), (), "none"),
        (TopicPatterns(), (), "everything"),
        (FilterExpression(), "", "none"),
        (FilterExpression(), '{"exact":{"key":"a"}}', '{"exact":{"key":"a"}}'),
        (TopicPatterns(), ("a.*", "b"), "a.*, b"),
    ],
)
def test_a_value_is_displayed_for_people(kind: Kind, value: Any, shown: str) -> None:
    """A value is displayed with its unit, and an empty list by a word."""
    assert kind.display(value) == shown


def test_a_list_has_a_limit() -> None:
    """A parameter that repeats too often is refused with both numbers; a repeated text counts once."""
    words = Texts("[a-z]", "letters", max_items=2)
    assert words.parse("word", ["a", "b", "a"]) == ("a", "b")
    with pytest.raises(BadRequest, match="word may be given 2 times, not 3"):
        words.parse("word", ["a", "b", "c"])


@given(value=st.floats(0, 5))
def test_a_number_is_taken_as_json_writes_it(value: float) -> None:
    """A small one has an exponent there."""
    assert Duration(0, 5).parse("batch_wait", [json.dumps(value)]) == value
