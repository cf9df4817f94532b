"""The patterns with wildcards that could match a topic: one for each shape that patterns have, whatever their number.

A shape is where a pattern has its wildcards. Put into a shape, a topic makes the only pattern of that shape that
matches it. So the work for a topic is bounded by its length and the shapes that are allowed, and memory by the number
of patterns.
"""

from collections.abc import Callable, Iterator, Sequence
from operator import itemgetter

#: Patterns of more words than this have few ``*``: each further word could double the shapes.
SHORT_WORDS, MAX_STARS = 8, 2

#: For each word of a pattern its place in ``("*", ">", *words of the topic)``.
Shape = tuple[int, ...]
#: Puts such words into a shape.
Put = Callable[[Sequence[str]], Sequence[str]]
#: Whether a topic of these words matches a pattern.
Test = Callable[[Sequence[str]], bool]


def has_too_many(words: list[str]) -> bool:
    """Whether a pattern of these words has more wildcards than are allowed."""
    return len(words) > SHORT_WORDS and words.count("*") > MAX_STARS


class Shapes:
    """The shapes of some patterns; those without wildcards have none."""

    def __init__(self) -> None:
        self._counts: dict[Shape, int] = {}
        self._same: dict[int, dict[Shape, Put]] = {}  # for topics of so many words
        self._open: dict[int, dict[Shape, Put]] = {}  # for topics of so many words, or more

    def add(self, pattern: str) -> None:
        """Add a pattern, which was not added before."""
        shape = _shape_of(pattern)
        if shape is None:
            return
        count = self._counts[shape] = self._counts.get(shape, 0) + 1
        if count == 1:
            self._group(shape).setdefault(len(shape), {})[shape] = itemgetter(*shape)

    def remove(self, pattern: str) -> None:
        """Remove a pattern that was added."""
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
        """The patterns with wildcards that would match; only those that were added do."""
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
    """Return what tells whether a topic matches a pattern with wildcards; None for one that has none."""
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
    shape = [0 if word == "*" else place for place, word in enumerate(words, 2)]
    if words[-1] == ">":
        shape[-1] = 1
    return tuple(shape) if min(shape) < 2 else None
