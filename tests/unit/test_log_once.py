"""Trouble is news when it begins and when it ends, and not in between."""

from eventbus.core.log_once import LogOnce


def test_trouble_is_news_once_when_it_begins_and_once_when_it_ends() -> None:
    """Of many tries in a row that fail, or do not, the first one alone is worth a line; and so again."""
    trouble = LogOnce()
    assert not trouble.cleared()
    for _ in range(2):
        assert [trouble.raised() for _ in range(3)] == [True, False, False]
        assert [trouble.cleared() for _ in range(3)] == [True, False, False]
