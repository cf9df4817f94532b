"""Whether a topic matches a pattern: words between dots, ``*`` for one word, a last ``>`` for the rest."""

from collections.abc import Iterable

from eventbus.client.errors import UsageError

#: Matches every event, those without a topic too.
EVERYTHING = ">"


def check_pattern(pattern: str) -> str:
    """Return the pattern if the bus would take it. Raises UsageError."""
    words = pattern.split(".")
    visible = pattern.isascii() and pattern.isprintable() and " " not in pattern
    if not visible or not all(words) or EVERYTHING in words[:-1]:
        raise UsageError(f"A topic pattern is words between dots, * for one and a last > for the rest: {pattern!r}")
    return pattern


def matches(pattern: str, topic: str | None) -> bool:
    """Whether an event with this topic is meant."""
    if pattern == EVERYTHING:
        return True
    if topic is None:
        return False
    wanted, words = pattern.split("."), topic.split(".")
    if wanted[-1] == EVERYTHING:
        wanted.pop()
        if len(words) <= len(wanted):
            return False
        del words[len(wanted) :]
    return len(wanted) == len(words) and all(want in ("*", word) for want, word in zip(wanted, words, strict=True))


def matches_any(patterns: Iterable[str], topic: str | None) -> bool:
    """Whether one of these patterns matches; no pattern means everything."""
    chosen = tuple(patterns)
    return not chosen or any(matches(pattern, topic) for pattern in chosen)
