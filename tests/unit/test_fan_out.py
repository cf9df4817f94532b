from collections import defaultdict
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.core.addresses import parse_address
from eventbus.core.clock import Clock
from eventbus.core.model import Event
from eventbus.core.topics import matches
from eventbus.delivery import fan_out as module
from eventbus.delivery.dispatcher import Dispatcher
from eventbus.delivery.fan_out import fan_out, in_parts
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.lane_record import lane_of, new_record
from eventbus.delivery.topic_index import TopicIndex
from eventbus.telemetry.counters import Counters
from tests.support.events import event
from tests.support.lane_journal import LaneJournal, NoListener, NoTransport
from tests.support.lanes import EPOCH, subscriber_with

CHOICES = st.lists(st.sampled_from(["a", "b", "c", "*", ">", "a.*", "*.b"]), max_size=3, unique=True).map(tuple)
ENTRIES = st.dictionaries(st.sampled_from("klmnopq"), CHOICES)
TOPICS = st.lists(st.sampled_from([None, "a", "b", "c", "a.b", "a.c"]), min_size=1, max_size=30)


def index_of(entries: dict[str, tuple[str, ...]]) -> TopicIndex[str]:
    """An index in which each entry is its own key."""
    index = TopicIndex[str]()
    for key, patterns in entries.items():
        index.put(key, patterns, key)
    return index


def parts_of(events: list[Event], index: TopicIndex[str], *is_over: Callable[[], bool]) -> list[list[Event]]:
    """The parts in which events are offered."""
    return [events[part] for part in in_parts([event.topic for event in events], index, *is_over)]


@given(ENTRIES, TOPICS)
def test_each_entry_gets_what_it_chose_once_and_in_order(
    entries: dict[str, tuple[str, ...]], topics: list[str | None]
) -> None:
    """Whatever the topics of a batch are, each entry comes once, with exactly its events, by their numbers."""
    seqs = list(range(7, 7 + len(topics)))
    got: dict[str, list[list[int]]] = defaultdict(list)
    for keys, numbers in fan_out(seqs, topics, index_of(entries)):
        for key in keys:
            got[key].append(list(numbers))
    for key, patterns in entries.items():
        wanted = [seq for seq, topic in zip(seqs, topics, strict=True) if matches(patterns, topic)]
        assert [numbers for numbers in got.pop(key, []) if numbers] == ([wanted] if wanted else [])
    assert not got


def test_many_topics_for_the_same_entries_are_one_share() -> None:
    """With a thousand topics that go to the same entries there are two shares."""
    index = index_of({"all": (), "wide": (">",), "wider": ("t.*",)})
    topics = [f"t.{number % 1_000}" for number in range(10_000)]
    assert len(list(fan_out(range(10_000), topics, index))) == 2
    assert index.specific("t.1") is index.specific("t.2")
    assert index.among(topics) == {"all", "wide", "wider"}


def test_a_large_batch_is_cut_into_parts_in_order() -> None:
    """A batch of many events is offered in parts of a thousand, and a small one whole."""
    index = index_of({"all": ()})
    events = [event(seq, topic=f"t{seq % 2}") for seq in range(1, 2_501)]
    parts = parts_of(events, index)
    assert [len(part) for part in parts] == [1_000, 1_000, 500]
    assert [each for part in parts for each in part] == events
    assert parts_of(events[:900], index) == [events[:900]]


def test_parts_are_smaller_where_topics_go_to_many_different_entries() -> None:
    """The pairs of an entry and a topic in one part have a limit, and each part has an event at least."""
    wide = module.MAX_PAIRS // 10
    index = index_of(
        {f"wide {number}": (">",) for number in range(wide - 1)} | {f"t{n}": (f"t{n}",) for n in range(40)}
    )
    events = [event(seq, topic=f"t{seq % 40}") for seq in range(1, 81)]
    parts = parts_of(events, index)
    assert [each for part in parts for each in part] == events
    assert [len(part) for part in parts] == [10] * 8


def test_a_part_ends_when_its_time_is_over() -> None:
    """Where finding the entries takes long each part has few events, and one at least."""
    index = index_of({"all": ()})
    events = [event(seq, topic=f"t{seq}") for seq in range(1, 11)]
    over = iter([False, True, True] * 10)
    parts = parts_of(events, index, lambda: next(over))
    assert [each for part in parts for each in part] == events
    assert len(parts) > 3
    assert all(parts)


class Watched(Dispatcher):
    """A dispatcher that looks, whenever others could run, whether all that is known has been offered."""

    def __init__(self, clock: Clock) -> None:
        super().__init__(cast(Any, LaneJournal()), NoTransport(), clock, 512, Counters(), NoListener())
        self.turns = 0

    def sound(self) -> bool:
        """Whether each lane has been offered exactly what matches up to the newest event."""
        self.turns += 1
        return all(lane.accepted == self.recent.newest for lane in self.lanes.values())


def test_others_have_turns_while_a_large_batch_is_offered(monkeypatch: pytest.MonkeyPatch) -> None:
    """A large batch gives way between its parts, and at each of these moments all that is known has been offered."""
    dispatcher = Watched(Clock(lambda: 0.0, lambda: EPOCH))
    for number in range(50):
        subscriber = replace(subscriber_with(), address=parse_address(f"h:80/{number}"))
        record = new_record(subscriber, EPOCH, 0)
        dispatcher.registry.add(lane_of(record, Rules(), retries=0, ends=0.0, now=0.0, wall=EPOCH))
    seen: list[bool] = []
    monkeypatch.setattr(dispatcher.load, "give_way_urgently", lambda: seen.append(dispatcher.sound()))
    dispatcher.committed([event(seq, topic=f"t{seq % 2}") for seq in range(1, 10_001)])
    assert seen == [True] * 10
    assert all(lane.accepted == 10_000 for lane in dispatcher.lanes.values())


def test_what_is_left_of_a_batch_is_not_offered_to_another_journal(monkeypatch: pytest.MonkeyPatch) -> None:
    """When all is forgotten between two parts of a batch, what is left of it is not offered."""
    dispatcher = Watched(Clock(lambda: 0.0, lambda: EPOCH))
    lane = lane_of(new_record(subscriber_with(), EPOCH, 0), Rules(), retries=0, ends=0.0, now=0.0, wall=EPOCH)
    dispatcher.registry.add(lane)

    def reset() -> None:
        if dispatcher.recent.newest:
            dispatcher.reset(5)

    monkeypatch.setattr(dispatcher.load, "give_way_urgently", reset)
    dispatcher.committed([event(seq) for seq in range(1, 3_001)])
    assert (lane.accepted, dispatcher.recent.newest) == (1_000, 5)
