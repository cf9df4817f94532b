import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.client.errors import UsageError
from eventbus.client.topics import check_pattern, matches, matches_any
from eventbus.core.errors import BadRequest
from eventbus.core.topics import check_patterns
from eventbus.core.topics import matches as bus_matches

WORDS = st.sampled_from(["a", "b", "orders", "*", ">", ""])
PATTERNS = st.lists(WORDS, min_size=1, max_size=4).map(".".join)
TOPICS = st.none() | st.lists(st.sampled_from(["a", "b", "orders"]), min_size=1, max_size=4).map(".".join)


def taken_by_the_bus(pattern: str) -> bool:
    """Whether the bus takes a pattern of a subscriber."""
    try:
        check_patterns(("x", pattern))
    except BadRequest:
        return False
    return True


@given(pattern=PATTERNS, topic=TOPICS)
def test_a_pattern_means_the_same_to_the_client_and_to_the_bus(pattern: str, topic: str | None) -> None:
    """The client takes exactly the patterns that the bus takes, and they match the same topics."""
    if taken_by_the_bus(pattern):
        assert check_pattern(pattern) == pattern
        assert matches(pattern, topic) == bus_matches(check_patterns((pattern,)), topic)
    else:
        with pytest.raises(UsageError):
            check_pattern(pattern)


@pytest.mark.parametrize("pattern", ["a b", "a\n", "\u00fcber", "a\tb", " "])
def test_a_pattern_is_visible_ascii(pattern: str) -> None:
    """A pattern that could not be sent is refused where the handler is made."""
    with pytest.raises(UsageError, match="topic pattern"):
        check_pattern(pattern)


def test_no_pattern_is_every_topic() -> None:
    """Of no patterns nothing is asked; of several one has to match."""
    assert matches_any((), None)
    assert matches_any(("a", "b.*"), "b.c")
    assert not matches_any(("a", "b.*"), "c")
    assert not matches_any(("a",), None)
