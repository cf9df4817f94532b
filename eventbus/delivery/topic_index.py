"""The lanes that an event goes to, found by the patterns that match: a publish touches only these. Pure."""

from collections.abc import Callable, Iterable
from typing import Generic, TypeVar

from eventbus.core.wildcards import Shapes, Test, tester_of

#: Topics whose entries are remembered, beside as many that came before these.
REMEMBERED = 4_096
#: Entries that all remembered answers may hold together.
REMEMBERED_ENTRIES = 500_000
#: Changes of patterns with wildcards after which nothing is remembered of what was before them.
REMEMBERED_CHANGES = 4_096

T = TypeVar("T")


class TopicIndex(Generic[T]):
    """Entries by their topic patterns (see eventbus.core.topics); an entry without patterns gets everything."""

    def __init__(self, remembered_entries: int = REMEMBERED_ENTRIES) -> None:
        self._max_entries = remembered_entries
        self._everything: dict[str, T] = {}
        self._patterns: dict[str, tuple[str, ...]] = {}
        self._chosen: dict[str, dict[str, T]] = {}  # entries by each pattern
        self._shapes = Shapes()
        self._forget()

    def _forget(self) -> None:
        """Drop all answers."""
        #: Without those that get everything, and how many changes there had been.
        self._answers: dict[str | None, tuple[int, tuple[T, ...]]] = {}
        self._older: dict[str | None, tuple[int, tuple[T, ...]]] = {}  # what was found before these were too many
        self._changes: list[Test] = []  # whether a topic is concerned, for each pattern with wildcards
        self._known_entries = 0
        self._forget_same()

    def _forget_same(self) -> None:
        """Drop which answers are the same; the answers stay."""
        self._all: tuple[T, ...] | None = None
        self._known: dict[tuple[T, ...], tuple[T, ...]] = {(): ()}  # the same answers, once
        self._joined: dict[int, tuple[T, ...]] = {}  # with those that get everything, by the answer's identity
        self._joined_entries = 0

    def _change(self, patterns: tuple[str, ...]) -> None:
        """Drop the answers for topics that match, since other entries match now.

        The others stay, however often somebody registers: a batch's topics are looked up before it is committed, while
        others have their turns, and must not have to be looked up again when all wait for it.
        """
        self._forget_same()
        for pattern in patterns:
            test = tester_of(pattern)
            if test is None:
                self._answers.pop(pattern, None)
                self._older.pop(pattern, None)
            else:
                self._changes.append(test)
        if not self._patterns or len(self._changes) > REMEMBERED_CHANGES:
            self._forget()

    def put(self, key: str, patterns: tuple[str, ...], entry: T) -> None:
        """Add an entry, or change its patterns."""
        if key in self._patterns:
            if self._patterns[key] == patterns and self._has(key, patterns, entry):
                return
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
        self._change(patterns)

    def _has(self, key: str, patterns: tuple[str, ...], entry: T) -> bool:
        there = self._chosen[patterns[0]] if patterns else self._everything
        return there.get(key) is entry

    def remove(self, key: str) -> None:
        """Remove an entry; ignore an unknown one."""
        self._everything.pop(key, None)
        patterns = self._patterns.pop(key, ())
        for pattern in patterns:
            entries = self._chosen[pattern]
            del entries[key]
            if not entries:
                del self._chosen[pattern]
                self._shapes.remove(pattern)
        self._change(patterns)

    def matching(self, topic: str | None) -> tuple[T, ...]:
        """Return the entries that an event with this topic goes to, each once."""
        specific, everything = self.specific(topic), self.everything()
        if not specific or not everything:
            return specific or everything
        found = self._joined.get(id(specific))
        if found is None:
            found = everything + specific
            self._joined_entries += len(found)
            if self._joined_entries > self._max_entries:
                self._joined, self._joined_entries = {}, len(found)
            self._joined[id(specific)] = found
        return found

    def everything(self) -> tuple[T, ...]:
        """Return the entries that get every event."""
        if self._all is None:
            self._all = tuple(self._everything.values())
        return self._all

    def specific(self, topic: str | None) -> tuple[T, ...]:
        """Return the entries with a pattern that matches, each once; equal answers are the same object."""
        answer = self._answers.get(topic)
        if answer is not None and answer[0] == len(self._changes):
            return answer[1]
        if topic is None:
            return ()
        if answer is None:
            answer = self._older.get(topic)
        found = answer[1] if answer is not None and self._holds(topic, answer[0]) else self._find_and_remember(topic)
        if len(self._answers) >= REMEMBERED:
            self._older, self._answers = self._answers, {}
        self._answers[topic] = len(self._changes), found
        return found

    def _holds(self, topic: str, since: int) -> bool:
        """Return whether no change concerns a topic; also False if finding out would take longer than a new search."""
        if len(self._changes) - since > len(self._shapes):
            return False
        if len(self._changes) == since:
            return True
        words = topic.split(".")
        return not any(concerns(words) for concerns in self._changes[since:])

    def _find_and_remember(self, topic: str) -> tuple[T, ...]:
        found = self._find(topic)
        known = self._known.get(found)
        if known is None:
            self._known_entries += len(found)
            if self._known_entries > self._max_entries:
                self._forget()
                self._known_entries = len(found)
            known = self._known[found] = found
        return known

    def among(self, topics: Iterable[str | None], give_way: Callable[[], None] = lambda: None) -> set[T]:
        """Return all entries that events with these topics go to; call ``give_way`` after each topic."""
        found, seen = set(self.everything()), dict[int, tuple[T, ...]]()
        for topic in topics:
            specific = self.specific(topic)
            if id(specific) not in seen:
                seen[id(specific)] = specific
                found.update(specific)
            give_way()
        return found

    def _find(self, topic: str) -> tuple[T, ...]:
        chosen, found = self._chosen, dict(self._chosen.get(topic, ()))
        for pattern in self._shapes.candidates(topic):
            if pattern in chosen:
                found.update(chosen[pattern])
        return tuple(found.values())
