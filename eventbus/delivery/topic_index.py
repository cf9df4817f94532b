"""Which lanes an event goes to: a tree of topic words, so that a publish touches only lanes that match. Pure."""

from collections.abc import Iterable, Iterator
from typing import Any, Generic, TypeVar

#: Topics whose lanes are remembered.
REMEMBERED = 4_096

T = TypeVar("T")


class TopicIndex(Generic[T]):
    """Entries by their topic patterns (see eventbus.topics); an entry without patterns gets everything."""

    def __init__(self) -> None:
        self._everything: dict[str, T] = {}
        self._patterns: dict[str, tuple[str, ...]] = {}
        self._root: dict[str, Any] = {}
        self._forget()

    def _forget(self) -> None:
        """Forget what was found: something has changed."""
        self._all: tuple[T, ...] | None = None
        self._answers: dict[str | None, tuple[T, ...]] = {}  # without those that get everything
        self._known: dict[tuple[T, ...], tuple[T, ...]] = {(): ()}  # the same answers, once
        self._joined: dict[int, tuple[T, ...]] = {}  # with those that get everything, by the answer's identity

    def put(self, key: str, patterns: tuple[str, ...], entry: T) -> None:
        """Add an entry, or change what it chose."""
        self.remove(key)
        self._patterns[key] = patterns
        if not patterns:
            self._everything[key] = entry
        for pattern in patterns:
            node = self._root
            for word in pattern.split("."):
                node = node.setdefault(word, {})
            node.setdefault("", {})[key] = entry
        self._forget()

    def remove(self, key: str) -> None:
        """Take an entry out; unknown ones are passed over."""
        self._everything.pop(key, None)
        for pattern in self._patterns.pop(key, ()):
            _prune(self._root, pattern.split("."), key)
        self._forget()

    def matching(self, topic: str | None) -> tuple[T, ...]:
        """The entries that an event with this topic goes to, each once."""
        specific = self.specific(topic)
        if not specific:
            return self.everything()
        found = self._joined.get(id(specific))
        if found is None:
            found = self._joined[id(specific)] = self.everything() + specific
        return found

    def everything(self) -> tuple[T, ...]:
        """The entries that get every event."""
        if self._all is None:
            self._all = tuple(self._everything.values())
        return self._all

    def specific(self, topic: str | None) -> tuple[T, ...]:
        """The entries with a pattern that matches, each once; the same ones are the same object."""
        found = self._answers.get(topic)
        if found is None:
            if len(self._answers) >= REMEMBERED:
                self._forget()
            found = self._find(topic)
            found = self._answers[topic] = self._known.setdefault(found, found)
        return found

    def among(self, topics: Iterable[str | None]) -> set[T]:
        """All entries that events with these topics go to."""
        found = set(self.everything())
        for specific in {id(specific): specific for specific in map(self.specific, topics)}.values():
            found.update(specific)
        return found

    def _find(self, topic: str | None) -> tuple[T, ...]:
        found: dict[str, T] = {}
        if topic is not None:
            for keys in _walk(self._root, topic.split("."), 0):
                found.update(keys)
        return tuple(found.values())


def _walk(node: dict[str, Any], words: list[str], depth: int) -> Iterator[dict[str, Any]]:
    if depth == len(words):
        if "" in node:
            yield node[""]
        return
    if ">" in node:
        yield node[">"][""]
    for branch in {words[depth], "*"}:
        if branch in node and branch != "":
            yield from _walk(node[branch], words, depth + 1)


def _prune(node: dict[str, Any], words: list[str], key: str) -> None:
    """Remove a pattern's entry, and the branches that it leaves empty."""
    if not words:
        entries = node.get("", {})
        entries.pop(key, None)
        if not entries:
            node.pop("", None)
        return
    branch = node.get(words[0])
    if branch is not None:
        _prune(branch, words[1:], key)
        if not branch:
            del node[words[0]]
