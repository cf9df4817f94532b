"""Queries, fed with any bytes: what they say is understood, or refused in words that can be sent."""

from collections.abc import Callable

from hypothesis import given
from hypothesis import strategies as st
from openapi_schema_validator import OAS31Validator

from eventbus.core.errors import BadQuery, BadRequest
from eventbus.core.model import Terms
from eventbus.core.option_table import options_of
from eventbus.core.options import registration_options
from eventbus.core.topics import MAX_PATTERNS, MAX_TOPIC_LENGTH, check_patterns, check_topic, matches
from eventbus.delivery.transport.request import encode_value
from eventbus.web.numbers import count_in
from eventbus.web.query import EMPTY, Query, parse_query
from eventbus.web.terms import terms_of

#: Characters in a refusal, at most, however long what is refused was.
LONGEST_REFUSAL = 2 * MAX_TOPIC_LENGTH * 4
KEYS = [*(one.parameter for one in registration_options()), "limit", "address", ""]
PIECES = [
    "true", "false", "0", "1", "5", "10", "86400", "0.1", "1e9", "-1", "+1", "nan", "inf", "1_0", "٣", "9" * 30,
    "%", "%2", "%zz", "%00", "%ff", "%e2%82%ac", "%0a", "+", ";", "&", "=", "a.b", "a.*", "a.>", ">", "*", "..", "\xff",
]  # fmt: skip
LATIN = st.text(st.characters(max_codepoint=255), max_size=40)
VALUES = st.lists(st.sampled_from(PIECES), max_size=4).map("".join)
#: Raw queries as WSGI hands them over: any bytes, and some that nearly make sense.
QUERIES = st.one_of(
    LATIN,
    st.lists(st.tuples(st.sampled_from(KEYS), st.one_of(VALUES, LATIN)), max_size=8).map(
        lambda pairs: "&".join(f"{key}={value}" for key, value in pairs).encode("latin-1", "ignore").decode("latin-1")
    ),
)
TEXTS = st.one_of(st.text(max_size=300), VALUES, st.text("a.*> ", max_size=300))


def unless_refused(work: Callable[[], object]) -> object | None:
    """What comes of it; None where it was refused."""
    try:
        return work()
    except BadRequest as refusal:
        check_words(str(refusal))
        return None


def check_words(said: str) -> None:
    """What a client is told is one line of bounded length that can be sent."""
    assert said.isprintable()
    assert 0 < len(said.encode()) <= LONGEST_REFUSAL


def read(raw: str) -> Query:
    """The query, or an empty one where it was refused."""
    try:
        return parse_query(raw)
    except BadQuery as refusal:
        check_words(str(refusal))
        return EMPTY


@given(QUERIES)
def test_any_bytes_are_a_query_or_refused(raw: str) -> None:
    """Any bytes are read as text with no broken characters, each key with a value at least, or are refused."""
    query = read(raw)
    for key, values in query.values.items():
        key.encode()
        assert values
        assert query.first(key) == values[0] == "".join(values[:1]).encode().decode()


@given(QUERIES)
def test_any_query_holds_terms_within_their_bounds_or_is_refused(raw: str) -> None:
    """Terms that are accepted are within the bounds that the protocol names, whatever was asked for."""
    query = read(raw)
    terms = unless_refused(lambda: terms_of(query))
    if not isinstance(terms, Terms):
        return
    for one in options_of(Terms):
        value = getattr(terms, one.name)
        assert value is None or OAS31Validator(one.kind.json_schema).is_valid(one.kind.to_json(value))
    assert len(terms.topics or ()) <= MAX_PATTERNS


@given(QUERIES, st.integers(0, 100), st.integers(100, 10**19))
def test_any_query_holds_a_count_within_its_bounds_or_is_refused(raw: str, low: int, high: int) -> None:
    """A count that is accepted is within its bounds, and the usual one where none is given."""
    query = read(raw)
    count = unless_refused(lambda: count_in(query, "limit", -1, low, high))
    if query.first("limit") is None:
        assert count == -1
    else:
        assert count is None or (isinstance(count, int) and low <= count <= high)


@given(TEXTS)
def test_any_text_is_a_topic_or_refused(text: str) -> None:
    """A topic that is accepted stays as it is, can be a header's value, and matches itself and everything."""
    topic = unless_refused(lambda: check_topic(text))
    if topic is not None:
        assert topic == text == encode_value(text).decode("ascii")
        assert matches((text,), text)
        assert matches((), text)


@given(st.lists(TEXTS, max_size=80))
def test_any_texts_are_patterns_or_refused(texts: list[str]) -> None:
    """Patterns that are accepted are accepted again as they are, and can be matched against any topic."""
    patterns = unless_refused(lambda: check_patterns(texts))
    if isinstance(patterns, tuple):
        assert check_patterns(patterns) == patterns
        assert matches(patterns, "a.b.c") in (True, False)
        assert matches(patterns, None) == (not patterns)
