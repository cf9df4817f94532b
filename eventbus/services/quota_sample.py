"""Which subscriptions hold back which events of a full journal: a random sample of the events, and who holds each."""

import random
from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from eventbus.core.journal_quota import Held, SampledEvent
from eventbus.delivery.dispatcher import Dispatcher
from eventbus.delivery.held_events import waiting_parts
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.topic_index import TopicIndex
from eventbus.journal.base import Journal

#: Events in the sample at most.
MAX_SAMPLE = 2_000
#: How often, in all, a lane is asked whether it holds an event of the sample.
MAX_LOOKUPS = 200_000
#: Events of the sample that are read in one step.
PAGE_EVENTS = 1_000
#: Parts of the journal from which events are chosen, and how many events of each at most.
PARTS, PART_EVENTS = 20, 5_000


@dataclass(frozen=True, slots=True)
class QuotaSample:
    """The sampled events, each with who holds it. Of subscriptions that hold the same ones only one is named there.

    ``same``: by its key, the keys of all of these.
    """

    held: Sequence[Held]
    same: dict[str, list[str]]


class Sampler:
    """Takes samples."""

    def __init__(self, dispatcher: Dispatcher, journal: Journal) -> None:
        self._dispatcher = dispatcher
        self._journal = journal
        self._rng = random.Random()  # noqa: S311 - which events are looked at is no secret

    def take(self) -> QuotaSample:
        """Return a sample of all events in the journal; all of them where they are few. Raises JournalError."""
        lanes = [lane for lane in self._dispatcher.lanes.values() if lane.backlog and lane.renewable]
        most = max(64, min(MAX_SAMPLE, MAX_LOOKUPS // max(1, len(lanes))))
        chosen = choose(self._sizes(), most, self._rng)
        seqs, found = sorted(chosen), list[SampledEvent]()
        for start in range(0, len(seqs), PAGE_EVENTS):
            found += self._journal.sample(seqs[start : start + PAGE_EVENTS])
        return self._with_holders([replace(event, size=chosen[event.seq]) for event in found], lanes)

    def _sizes(self) -> dict[int, float]:
        """Return sequence numbers of events all over the journal, and the bytes for which each stands."""
        newest = self._dispatcher.recent.newest
        first = self._journal.topics(0, newest, 1)
        began = first[0][0] - 1 if first else newest
        sizes: dict[int, float] = {}
        for number in range(PARTS):
            after, end = (began + (newest - began) * part // PARTS for part in (number, number + 1))
            page = self._journal.sizes(after, end, PART_EVENTS)
            read = page[-1][0] - after if len(page) == PART_EVENTS else end - after
            sizes.update((seq, size * (end - after) / read) for seq, size in page)
        return sizes

    def _with_holders(self, events: Sequence[SampledEvent], lanes: Sequence[Lane]) -> QuotaSample:
        """Ask the lanes for which events of the sample they wait."""
        give_way = self._dispatcher.load.give_way
        index, numbers = TopicIndex[tuple[int, float, str]](), defaultdict[int, list[str]](list)
        for lane in lanes:
            key = lane.subscriber.key
            for seq in lane.numbers():
                numbers[seq].append(key)
            for number, part in enumerate(waiting_parts(lane)):
                until = float("inf") if part.until is None else part.until
                index.put(f"{number} {key}", part.topics, (part.after, until, key))
            give_way()
        wanted = dict[str, int]()  # by key: a bit for each event of the sample
        for number, event in enumerate(events):
            waiting = [key for key in event.waiting if key in self._dispatcher.lanes]
            there = (key for after, until, key in index.matching(event.topic) if after < event.seq <= until)
            for key in (*waiting, *numbers[event.seq], *there):
                wanted[key] = wanted.get(key, 0) | 1 << number
            give_way()
        return _sample_of(events, wanted)


def choose(sizes: Mapping[int, float], most: int, rng: random.Random) -> dict[int, int]:
    """Choose ``most`` events at most by their bytes; return the bytes for which each stands.

    A few large events may be most of a journal that has very many small ones.
    """
    if len(sizes) <= most:
        return {seq: int(size) for seq, size in sizes.items()}
    each = sum(sizes.values()) / most
    chosen = Counter(rng.choices(list(sizes), list(sizes.values()), k=most))
    return {seq: int(each * times) for seq, times in chosen.items()}


def _sample_of(events: Sequence[SampledEvent], wanted: dict[str, int]) -> QuotaSample:
    """Group the subscriptions by the events that they hold; one that has dead letters is a group of its own."""
    dead = {key for event in events for key, _ in event.dead}
    groups: dict[tuple[int, str], list[str]] = defaultdict(list)
    for key, bits in wanted.items():
        groups[bits, key if key in dead else ""].append(key)
    pending: list[list[str]] = [[] for _ in events]
    for (bits, _), keys in groups.items():
        for number in range(bits.bit_length()):
            if bits >> number & 1:
                pending[number].append(keys[0])
    held = [Held(event, frozenset(keys)) for event, keys in zip(events, pending, strict=True)]
    return QuotaSample(held, {keys[0]: keys for keys in groups.values()})
