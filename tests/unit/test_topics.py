import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.core.errors import BadRequest
from eventbus.core.topics import MAX_PATTERNS, MAX_TOPIC_LENGTH, MAX_WORDS, check_patterns, check_topic, matches
from tests.support.topic_words import matches_any, matches_word_by_word

MATCHES = [
    # pattern, topic, whether it matches
    ("orders.created", "orders.created", True),
    ("orders.created", "orders.cancelled", False),
    ("orders.created", "Orders.created", False),
    ("orders", "orders.created", False),
    ("orders.created", "orders", False),
    ("orders.*", "orders.created", True),
    ("orders.*", "orders", False),
    ("orders.*", "orders.created.eu", False),
    ("*.created", "orders.created", True),
    ("*", "orders", True),
    ("*", "orders.created", False),
    ("orders.>", "orders.created", True),
    ("orders.>", "orders.created.eu", True),
    ("orders.>", "orders", False),
    (">", "orders", True),
    (">", "orders.created", True),
    ("*.*.>", "a.b.c", True),
    ("*.*.>", "a.b", False),
    ("or*", "orders", False),
]
NOT_WORDS = [
    "",
    ".",
    ".orders",
    "orders.",
    "orders..created",
    "two words",
    "line\n",
    "bücher",
    "tab\t",
    "\x7f",
]

WORDS = st.sampled_from(["a", "b", "c"])
TOPICS = st.lists(WORDS, min_size=1, max_size=4)
PATTERNS = st.builds(
    lambda words, last: words + last,
    st.lists(st.one_of(WORDS, st.just("*")), min_size=1, max_size=4),
    st.sampled_from([[], [">"]]),
)


@pytest.mark.parametrize(("pattern", "topic", "expected"), MATCHES)
def test_a_star_is_one_word_and_a_last_arrow_the_rest(pattern: str, topic: str, expected: bool) -> None:
    """In a pattern * stands for exactly one word and a last > for one or more."""
    assert matches((pattern,), topic) is expected


@given(PATTERNS, TOPICS)
def test_matching_is_word_by_word(pattern: list[str], topic: list[str]) -> None:
    """Any pattern matches any topic exactly when its words do, one after the other."""
    assert matches((".".join(pattern),), ".".join(topic)) is matches_word_by_word(pattern, topic)


@given(st.lists(PATTERNS.map(".".join), max_size=20, unique=True).map(tuple), st.none() | TOPICS.map(".".join))
def test_many_patterns_match_as_each_of_them_does(patterns: tuple[str, ...], topic: str | None) -> None:
    """However many patterns there are, a topic matches exactly when it matches one of them by itself."""
    assert matches(patterns, topic) is matches_any(patterns, topic)


@pytest.mark.parametrize("topic", [None, "orders.created"])
def test_who_chose_no_topic_gets_everything(topic: str | None) -> None:
    """A subscriber without patterns gets every event, those without a topic too."""
    assert matches((), topic)


def test_an_event_without_a_topic_matches_no_pattern() -> None:
    """An event without a topic goes to no subscriber that chose one."""
    assert not matches(("orders", "*"), None)


def test_one_of_several_patterns_is_enough() -> None:
    """An event goes to a subscriber when any one of its patterns matches."""
    assert matches(("a", "b.*"), "b.c")
    assert not matches(("a", "b.*"), "c")


def test_an_arrow_alone_is_everything() -> None:
    """A subscriber to > alone is a subscriber to everything, events without a topic too."""
    assert check_patterns([">"]) == ()


def test_patterns_are_kept_once_each_in_their_order() -> None:
    """A pattern given twice counts once, and the order stays as given."""
    assert check_patterns(["b", "a.*", "b", "a.>"]) == ("b", "a.*", "a.>")
    assert check_patterns([]) == ()


@pytest.mark.parametrize("text", ["orders", "orders.created", "a.b*c.d>", "Ünicode".encode("idna").decode()])
def test_a_topic_is_words_between_dots(text: str) -> None:
    """Words of visible ASCII between dots are a topic, and it stays as it was given."""
    assert check_topic(text) == text


@pytest.mark.parametrize("text", [*NOT_WORDS, "*", "orders.*", "orders.>"])
def test_a_malformed_topic_is_refused_with_its_text(text: str) -> None:
    """A topic with an empty word, a wildcard or anything but visible ASCII is refused, and quoted."""
    with pytest.raises(BadRequest) as refusal:
        check_topic(text)
    assert repr(text) in str(refusal.value)


@pytest.mark.parametrize("text", [*NOT_WORDS, ">.orders", "orders.>.created"])
def test_a_malformed_pattern_is_refused_with_its_text(text: str) -> None:
    """A pattern with an empty word, or with > before its end, is refused, and quoted."""
    with pytest.raises(BadRequest) as refusal:
        check_patterns(["orders", text])
    assert repr(text) in str(refusal.value)


def test_a_topic_may_be_long_but_not_longer() -> None:
    """A topic or pattern of 256 characters is accepted, and one of 257 refused with its length."""
    longest = "a" * MAX_TOPIC_LENGTH
    assert check_topic(longest) == longest
    assert check_patterns([longest]) == (longest,)
    for check in (check_topic, lambda text: check_patterns([text])):
        with pytest.raises(BadRequest, match="257"):
            check(longest + "a")


def test_a_topic_has_no_more_than_16_words() -> None:
    """A topic or pattern of 16 words is accepted, and one of 17 refused with their number."""
    longest = ".".join(["a"] * MAX_WORDS)
    assert check_topic(longest) == longest
    for check in (check_topic, lambda text: check_patterns([text])):
        with pytest.raises(BadRequest, match="at most 16 words, not 17"):
            check(f"{longest}.b")


def test_a_long_pattern_has_few_wildcards() -> None:
    """A pattern of 8 words may be all wildcards; one of 9, a last > included, has two * at most."""
    assert check_patterns([".".join("*" * 8), "a.b.c.d.e.f.*.*.>"])
    for pattern in (".".join("*" * 9), "a.b.c.d.e.*.*.*.>"):
        with pytest.raises(BadRequest, match="more than 8 words has at most 2"):
            check_patterns([pattern])


def test_a_subscriber_may_have_many_patterns_but_not_more() -> None:
    """A subscriber may have 64 different patterns, and a 65th is refused."""
    most = [f"topic{n}" for n in range(MAX_PATTERNS)]
    assert check_patterns(most + most) == tuple(most)
    with pytest.raises(BadRequest, match="at most 64 topic patterns, not 65"):
        check_patterns([*most, "one.more"])
