"""Topics and the patterns that subscribers choose them by.

A topic is words between dots (``orders.created``). In a pattern ``*`` stands for exactly one word and a
last ``>`` for one or more words: the subject syntax of NATS, https://docs.nats.io/nats-concepts/subjects.
"""

from collections.abc import Sequence
from functools import lru_cache

from eventbus.errors import Refused

#: Characters in a topic or a pattern, at most.
MAX_TOPIC_LENGTH = 256
#: Words in a topic or a pattern, at most.
MAX_WORDS = 16
#: Patterns that one subscriber may have.
MAX_PATTERNS = 64


def check_topic(text: str) -> str:
    """Return ``text`` if it can be an event's topic; raises Refused."""
    _check_words(text, "topic")
    if any(word in ("*", ">") for word in text.split(".")):
        raise Refused(f"A topic holds no wildcards: {text!r}")
    return text


def check_patterns(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the patterns, each once, in their order; raises Refused.

    ``>``, or an empty one alone, is everything: ().
    """
    patterns = tuple(dict.fromkeys(texts))
    if patterns == ("",):
        return ()
    for text in patterns:
        _check_words(text, "topic pattern")
        if ">" in text.split(".")[:-1]:
            raise Refused(f"In a topic pattern > comes last: {text!r}")
    if len(patterns) > MAX_PATTERNS:
        raise Refused(f"A subscriber has at most {MAX_PATTERNS} topic patterns, not {len(patterns)}")
    return () if ">" in patterns else patterns


def matches(patterns: tuple[str, ...], topic: str | None) -> bool:
    """Whether an event with this topic goes to who chose these patterns. None chosen means everything."""
    if not patterns:
        return True
    return topic is not None and any(_matches(_words(pattern), topic) for pattern in patterns)


@lru_cache(maxsize=4096)
def _words(pattern: str) -> tuple[str, ...]:
    return tuple(pattern.split("."))


def _matches(pattern: tuple[str, ...], topic: str) -> bool:
    words = topic.split(".")
    if pattern[-1] == ">":
        pattern = pattern[:-1]
        if len(words) <= len(pattern):
            return False
        words = words[: len(pattern)]
    return len(pattern) == len(words) and all(
        wanted in ("*", word) for wanted, word in zip(pattern, words, strict=True)
    )


def _check_words(text: str, what: str) -> None:
    if len(text) > MAX_TOPIC_LENGTH:
        raise Refused(f"A {what} has at most {MAX_TOPIC_LENGTH} characters, not {len(text)}")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise Refused(f"A {what} is visible ASCII without spaces: {text!r}")
    words = text.split(".")
    if not all(words):
        raise Refused(f"A {what} is words between dots, none of them empty: {text!r}")
    if len(words) > MAX_WORDS:
        raise Refused(f"A {what} has at most {MAX_WORDS} words, not {len(words)}")
