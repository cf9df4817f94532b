"""Which lanes get which events of a batch: each lane once, however many topics there are. Pure."""

from collections.abc import Callable, Iterator, Sequence
from typing import TypeVar

from eventbus.delivery.topic_index import TopicIndex

#: Events that are offered in one go at most, and pairs of a lane and a topic that they may have.
MAX_EVENTS, MAX_PAIRS = 1_000, 10_000

T = TypeVar("T")
#: Entries, and the numbers of the events that go to each of them.
Share = tuple[Sequence[T], Sequence[int]]


def fan_out(seqs: Sequence[int], topics: Sequence[str | None], index: TopicIndex[T]) -> Iterator[Share[T]]:
    """Yield entries with the sequence numbers of the events that each gets, rising; each entry once at most."""
    if _is_one(topics):
        yield index.matching(topics[0]), seqs
        return
    yield index.everything(), seqs
    groups: dict[int, tuple[tuple[T, ...], list[int]]] = {}
    for seq, topic in zip(seqs, topics, strict=True):
        entries = index.specific(topic)
        if entries:
            groups.setdefault(id(entries), (entries, []))[1].append(seq)
    if len(groups) == 1:
        yield from groups.values()
        return
    parts: dict[T, list[list[int]]] = {}
    for entries, numbers in groups.values():
        for entry in entries:
            parts.setdefault(entry, []).append(numbers)
    for entry, lists in parts.items():
        yield (entry,), lists[0] if len(lists) == 1 else sorted(seq for numbers in lists for seq in numbers)


def in_parts(
    topics: Sequence[str | None], index: TopicIndex[T], is_over: Callable[[], bool] = lambda: False
) -> Iterator[slice]:
    """Cut a batch into parts, in order, that are offered in one go each; a part ends when ``is_over``."""
    if _is_one(topics):
        yield from (slice(start, start + MAX_EVENTS) for start in range(0, len(topics), MAX_EVENTS))
        return
    start, pairs, seen = 0, 0, set[int]()
    for position, topic in enumerate(topics):
        entries = index.specific(topic)
        more = 0 if id(entries) in seen else len(entries)
        if position > start and (position - start >= MAX_EVENTS or pairs + more > MAX_PAIRS or is_over()):
            yield slice(start, position)
            start, pairs, more, seen = position, 0, len(entries), set()
        seen.add(id(entries))
        pairs += more
    yield slice(start, len(topics))


def _is_one(topics: Sequence[str | None]) -> bool:
    """Return whether all events have the same topic; there is at least one event."""
    return topics.count(topics[0]) == len(topics)
