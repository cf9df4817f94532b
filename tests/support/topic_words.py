"""Whether a topic matches, by the words of the definition and nothing faster."""

from collections.abc import Sequence


def matches_word_by_word(pattern: Sequence[str], topic: Sequence[str]) -> bool:
    """Whether the words of a topic match those of a pattern."""
    if not pattern or not topic:
        return not pattern and not topic
    if list(pattern) == [">"]:
        return True
    return pattern[0] in ("*", topic[0]) and matches_word_by_word(pattern[1:], topic[1:])


def matches_any(patterns: Sequence[str], topic: str | None) -> bool:
    """Whether a topic matches one of these patterns; where there are none, everything does."""
    if topic is None or not patterns:
        return not patterns
    return any(matches_word_by_word(pattern.split("."), topic.split(".")) for pattern in patterns)
