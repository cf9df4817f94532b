"""Which lanes an event goes to: found by the patterns that match, so that a publish touches only these lanes. Pure."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from eventbus.core.wildcards import Shapes

#: Topics whose entries are remembered, and how many entries the different answers may hold in all.
REMEMBERED, REMEMBERED_ENTRIES = 4_096, 500_000

T = TypeVar("T")


class TopicIndex(Generic[T]):
    """Entries by their topic patterns (see eventbus.core.topics); an entry without patterns gets everything."""

    def __init__(self) -> None:
        self._everything: dict[str, T] = {}
        self._patterns: dict[str, tuple[str, ...]] = {}
        self._chosen: dict[str, dict[str, T]] = {}  # entries by each pattern
        self._shapes = Shapes()
        self._forget()

    def _forget(self) -> None:
        """Forget what was found: something has changed."""
        self._all: tuple[T, ...] | None = None
        self._answers: dict[str | None, tuple[T, ...]] = {}  # without those that get everything
        self._known: dict[tuple[T, ...], tuple[T, ...]] = {(): ()}  # the same answers, once
        self._joined: dict[int, tuple[T, ...]] = {}  # with those that get everything, by the answer's identity
        self._known_entries = self._joined_entries = 0

    def put(self, key: str, patterns: tuple[str, ...], entry: T) -> None:
        """Add an entry, or change what it chose."""
        self.remove(key)
        self._patterns[key] = patterns
        if not patterns:
            self._everything[key] = entry
        for pattern in patterns:
            entries = self._chosen.get(pattern)
            if entries is None:
                entries = self._chosen[pattern] = {}
                self._shapes.add(pattern)
            entries[key] = entry
        self._forget()

    def remove(self, key: str) -> None:
        """Take an entry out; unknown ones are passed over."""
        self._everything.pop(key, None)
        for pattern in self._patterns.pop(key, ()):
            entries = self._chosen[pattern]
            del entries[key]
            if not entries:
                del self._chosen[pattern]
                self._shapes.remove(pattern)
        self._forget()

    def matching(self, topic: str | None) -> tuple[T, ...]:
        """The entries that an event with this topic goes to, each once."""
        specific, everything = self.specific(topic), self.everything()
        if not specific or not everything:
            return specific or everything
        found = self._joined.get(id(specific))
        if found is None:
            found = everything + specific
            self._joined_entries += len(found)
            if self._joined_entries > REMEMBERED_ENTRIES:
                self._joined, self._joined_entries = {}, len(found)
            self._joined[id(specific)] = found
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
            known = self._known.get(found)
            if known is None:
                self._known_entries += len(found)
                if self._known_entries > REMEMBERED_ENTRIES:
                    self._forget()
                    self._known_entries = len(found)
                known = self._known[found] = found
            found = self._answers[topic] = known
        return found

    def among(self, topics: Iterable[str | None], give_way: Callable[[], None] = lambda: None) -> set[T]:
        """All entries that events with these topics go to; others may have their turns after each topic."""
        found, seen = set(self.everything()), dict[int, tuple[T, ...]]()
        for topic in topics:
            specific = self.specific(topic)
            if id(specific) not in seen:
                seen[id(specific)] = specific
                found.update(specific)
            give_way()
        return found

    def _find(self, topic: str | None) -> tuple[T, ...]:
        if topic is None:
            return ()
        chosen, found = self._chosen, dict(self._chosen.get(topic, ()))
        for pattern in self._shapes.candidates(topic):
            if pattern in chosen:
                found.update(chosen[pattern])
        return tuple(found.values())
