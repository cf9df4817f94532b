"""Topics, and the patterns that match them.

A topic is words between dots (``orders.created``). In a pattern ``*`` stands for exactly one word and a
last ``>`` for one or more words: the subject syntax of NATS, https://docs.nats.io/nats-concepts/subjects.
"""

from collections.abc import Iterable, Sequence
from functools import lru_cache

from eventbus.core.errors import BadRequest
from eventbus.core.wildcards import MAX_STARS, SHORT_WORDS, Shapes, has_too_many

#: Characters in a topic or a pattern, at most.
MAX_TOPIC_LENGTH = 256
#: Words in a topic or a pattern, at most.
MAX_WORDS = 16
#: Patterns that one subscriber may have, and all members of a group together.
MAX_PATTERNS, MAX_GROUP_PATTERNS = 64, 256
#: A character of a topic but for its dots, the same but for wildcards, and a word: never a wildcard alone.
_VISIBLE = r"[!-\-/-~]"
_PLAIN = r"[!-)+,\-/-=?-~]"
_WORD = rf"(?:{_PLAIN}{_VISIBLE}*|[*>]{_VISIBLE}+)"
#: A word of a pattern: one of a topic, or ``*``.
_PATTERN_WORD = rf"(?:{_WORD}|\*)"
#: The same rules as regular expressions. Of long patterns only those without ``*`` match: how many they may have is
#: nothing that every program's expressions can say.
TOPIC_REGEX = rf"{_WORD}(?:\.{_WORD}){{0,{MAX_WORDS - 1}}}"
PATTERN_REGEX = (
    rf">|{_PATTERN_WORD}(?:\.{_PATTERN_WORD}){{0,{SHORT_WORDS - 1}}}"
    rf"|{_PATTERN_WORD}(?:\.{_PATTERN_WORD}){{0,{SHORT_WORDS - 2}}}\.>"
    rf"|{_WORD}(?:\.{_WORD}){{0,{MAX_WORDS - 1}}}|{_WORD}(?:\.{_WORD}){{0,{MAX_WORDS - 2}}}\.>"
)


def check_topic(text: str) -> str:
    """Return ``text`` if it is a valid topic. Raises BadRequest."""
    _check_words(text, "topic")
    if any(word in ("*", ">") for word in text.split(".")):
        raise BadRequest(f"A topic must not contain wildcards: {text!r}")
    return text


def check_patterns(texts: Sequence[str]) -> tuple[str, ...]:
    """Return the patterns without duplicates, in order. Raises BadRequest.

    ``>``, or a single empty pattern, matches everything: ().
    """
    patterns = tuple(dict.fromkeys(texts))
    if patterns == ("",):
        return ()
    for text in patterns:
        _check_words(text, "topic pattern")
        words = text.split(".")
        if ">" in words[:-1]:
            raise BadRequest(f"In a topic pattern > must be the last word: {text!r}")
        if has_too_many(words):
            raise BadRequest(f"A topic pattern of more than {SHORT_WORDS} words has at most {MAX_STARS} *: {text!r}")
    if len(patterns) > MAX_PATTERNS:
        raise BadRequest(f"A subscriber has at most {MAX_PATTERNS} topic patterns, not {len(patterns)}")
    return () if ">" in patterns else patterns


def matches(patterns: tuple[str, ...], topic: str | None) -> bool:
    """Return whether any of the patterns matches a topic. No patterns match everything."""
    if not patterns:
        return True
    if topic is None:
        return False
    chosen, shapes = _prepared(patterns)
    return topic in chosen or not chosen.isdisjoint(shapes.candidates(topic))


@lru_cache(maxsize=256)
def _prepared(patterns: tuple[str, ...]) -> tuple[frozenset[str], Shapes]:
    chosen, shapes = frozenset(patterns), Shapes()
    for pattern in chosen:
        shapes.add(pattern)
    return chosen, shapes


def covers(allowed: tuple[str, ...], asked: tuple[str, ...]) -> bool:
    """Return whether each pattern that is asked for matches only topics that one of the allowed patterns matches.

    No patterns are everything. Several allowed patterns together are not compared: ``a.*`` and ``a.*.>`` do not cover
    ``a.>``.
    """
    if not allowed:
        return True
    return bool(asked) and all(any(_covers(one, each) for one in allowed) for each in asked)


def _covers(allowed: str, asked: str) -> bool:
    wide, narrow = allowed.split("."), asked.split(".")
    if wide[-1] == ">":
        wide.pop()
        if len(narrow) <= len(wide):
            return False
    elif len(narrow) != len(wide):
        return False
    pairs = zip(wide, narrow, strict=False)
    return all(one == each or (one == "*" and each != ">") for one, each in pairs)


def _check_words(text: str, what: str) -> None:
    if len(text) > MAX_TOPIC_LENGTH:
        raise BadRequest(f"A {what} has at most {MAX_TOPIC_LENGTH} characters, not {len(text)}")
    if not text.isascii() or not text.isprintable() or " " in text:
        raise BadRequest(f"A {what} must be visible ASCII without spaces: {text!r}")
    words = text.split(".")
    if not all(words):
        raise BadRequest(f"A {what} must be words separated by dots, none of them empty: {text!r}")
    if len(words) > MAX_WORDS:
        raise BadRequest(f"A {what} has at most {MAX_WORDS} words, not {len(words)}")


def union(several: Iterable[Sequence[str]]) -> tuple[str, ...]:
    """Return the patterns of several subscribers together, sorted; none, which is everything, if one has none."""
    found: set[str] = set()
    for patterns in several:
        if not patterns:
            return ()
        found.update(patterns)
    return tuple(sorted(found))
