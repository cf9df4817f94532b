"""Matching a topic against any number of patterns with wildcards, by the shapes of the patterns. Pure.

A shape says which words of a pattern are wildcards. For each shape there is exactly one pattern that matches a given
topic, so it is looked up. The cost of a topic is bounded by the number of shapes, the memory by that of patterns.
"""

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter

#: Patterns of more words may have few ``*``: each further word could double the number of shapes.
SHORT_WORDS, MAX_STARS = 8, 2

#: For each word of a pattern its index in ``("*", ">", *words of the topic)``.
Shape = tuple[int, ...]
#: Picks the words of a shape.
Put = Callable[[Sequence[str]], Sequence[str]]
#: Tells whether a topic's words match a pattern.
Test = Callable[[Sequence[str]], bool]


def has_too_many(words: list[str]) -> bool:
    """Return whether a pattern has more wildcards than are allowed."""
    return len(words) > SHORT_WORDS and words.count("*") > MAX_STARS


class Shapes:
    """The shapes of a set of patterns; those without wildcards have none."""

    def __init__(self) -> None:
        self._counts: dict[Shape, int] = {}
        self._same: dict[int, dict[Shape, Put]] = {}  # by the number of words in the topic
        self._open: dict[int, dict[Shape, Put]] = {}  # by the least number of words in the topic

    def add(self, pattern: str) -> None:
        """Add a pattern that is not in the set."""
        shape = _shape_of(pattern)
        if shape is None:
            return
        count = self._counts[shape] = self._counts.get(shape, 0) + 1
        if count == 1:
            self._group(shape).setdefault(len(shape), {})[shape] = itemgetter(*shape)

    def remove(self, pattern: str) -> None:
        """Remove a pattern from the set."""
        shape = _shape_of(pattern)
        if shape is None:
            return
        self._counts[shape] -= 1
        if not self._counts[shape]:
            del self._counts[shape]
            group = self._group(shape)
            del group[len(shape)][shape]
            if not group[len(shape)]:
                del group[len(shape)]

    def candidates(self, topic: str) -> Iterator[str]:
        """Yield the pattern of each shape that matches a topic; it may not be in the set."""
        words = ["*", ">", *topic.split(".")]
        count = len(words) - 2
        for put in self._same.get(count, {}).values():
            yield ".".join(put(words))
        for length, shapes in self._open.items():
            if length <= count:
                for put in shapes.values():
                    yield ".".join(put(words))

    def __len__(self) -> int:
        return len(self._counts)

    def _group(self, shape: Shape) -> dict[int, dict[Shape, Put]]:
        return self._open if shape[-1] == 1 else self._same


def tester_of(pattern: str) -> Test | None:
    """Return a function that matches topics against a pattern with wildcards; None for one without wildcards."""
    shape = _shape_of(pattern)
    if shape is None:
        return None
    count, is_open, put = len(shape), shape[-1] == 1, itemgetter(*shape)

    def matches(words: Sequence[str]) -> bool:
        if len(words) != count and not (is_open and len(words) > count):
            return False
        return ".".join(put(["*", ">", *words])) == pattern

    return matches


def _shape_of(pattern: str) -> Shape | None:
    if "*" not in pattern and ">" not in pattern:
        return None
    words = pattern.split(".")
    shape = [0 if word == "*" else index for index, word in enumerate(words, 2)]
    if words[-1] == ">":
        shape[-1] = 1
    return tuple(shape) if min(shape) < 2 else None
