from hypothesis import given
from hypothesis import strategies as st

from eventbus.core.model import Event
from eventbus.delivery.recent_events import OVERHEAD, RecentEvents

#: Bytes that each of these events counts for.
SIZE = 1_000


def event(seq: int, size: int = SIZE) -> Event:
    """An event that counts for so many bytes."""
    return Event(seq, f"id-{seq}", None, b"", bytes(size - OVERHEAD), 0.0)


def seqs(events: list[Event] | None) -> list[int] | None:
    """Their numbers."""
    return None if events is None else [event.seq for event in events]


def holding(*numbers: int, events: int = 10) -> RecentEvents:
    """A memory with room for so many events that has seen these."""
    recent = RecentEvents(events * SIZE, events * SIZE)
    recent.add([event(seq) for seq in numbers])
    return recent


def test_the_newest_events_are_in_memory_up_to_a_number_of_bytes() -> None:
    """The tail holds the newest events that fit its bytes, and says where it begins."""
    recent = holding(*range(1, 16))
    assert (recent.after, recent.newest) == (5, 15)
    assert [seq for seq in range(1, 16) if recent.get(seq)] == list(range(6, 16))


def test_one_event_is_held_however_large() -> None:
    """The newest event is in memory even where it is larger than all the room; it leaves with the next."""
    recent = holding(1, 2)
    recent.add([event(3, 50 * SIZE)])
    assert [seq for seq in (1, 2, 3) if recent.get(seq)] == [3]
    recent.add([event(4)])
    assert [seq for seq in (3, 4) if recent.get(seq)] == [4]
    assert recent.after == 3


def test_events_after_a_place_come_from_memory_in_order() -> None:
    """The events after a place are given in order, as many numbers as are asked for."""
    recent = holding(1, 2, 3, 4)
    assert seqs(recent.tail_after(1, 2)) == [2, 3]
    assert seqs(recent.tail_after(0, 100)) == [1, 2, 3, 4]
    assert recent.tail_after(4, 100) == []


def test_a_place_before_the_tail_is_for_the_journal() -> None:
    """Where the tail begins later than a place, memory does not answer for it, and never with a gap."""
    recent = holding(*range(1, 16))
    assert recent.tail_after(4, 100) is None
    assert seqs(recent.tail_after(5, 100)) == list(range(6, 16))


def test_numbers_that_were_never_given_are_no_gap() -> None:
    """A number that no event has is passed over, and counts toward what was asked for."""
    recent = holding(1, 3, 4)
    assert seqs(recent.tail_after(0, 3)) == [1, 3]


def test_after_a_start_the_tail_begins_with_the_next_event() -> None:
    """A process that starts answers from memory only for events that came after it."""
    recent = RecentEvents()
    recent.start(100)
    assert recent.newest == 100
    assert recent.tail_after(99, 10) is None
    assert recent.tail_after(100, 10) == []
    recent.add([event(101)])
    assert seqs(recent.tail_after(100, 10)) == [101]


def test_pages_are_kept_apart_and_bounded_too() -> None:
    """Events read for a lane that lags do not push out the newest, and have bytes of their own."""
    recent = holding(*range(101, 111))
    recent.add_page(event(seq) for seq in range(1, 16))
    assert [seq for seq in range(1, 16) if recent.get(seq)] == list(range(6, 16))
    assert all(recent.get(seq) for seq in range(101, 111))


def test_a_page_that_is_read_twice_takes_its_room_once() -> None:
    """Events that are in memory already are not counted again."""
    recent = holding(20)
    for _ in range(100):
        recent.add_page([event(1), event(20)])
    recent.add_page(event(seq) for seq in range(2, 11))
    assert all(recent.get(seq) for seq in range(1, 11))


@given(st.lists(st.tuples(st.booleans(), st.integers(OVERHEAD, 4 * SIZE)), max_size=80))
def test_memory_holds_no_more_than_its_bytes(steps: list[tuple[bool, int]]) -> None:
    """Whatever comes, the bytes held are within the bounds, but for one event; no held event is another."""
    recent, newest, page = RecentEvents(5 * SIZE, 5 * SIZE), 0, 10_000
    for is_new, size in steps:
        if is_new:
            newest += 1
            recent.add([event(newest, size)])
        else:
            page += 1
            recent.add_page([event(page, size)])
        for numbers in (range(1, newest + 1), range(10_001, page + 1)):
            held = [found for seq in numbers if (found := recent.get(seq)) is not None]
            assert len(held) <= 1 or sum(len(e.body) + OVERHEAD for e in held) <= 5 * SIZE
            assert all(found.seq in numbers for found in held)
        tail = seqs(recent.tail_after(recent.after, 1_000))
        assert tail == list(range(recent.after + 1, newest + 1))


def test_what_a_number_stands_for_may_change_when_all_is_forgotten() -> None:
    """Nothing of before is in memory, all room is there again, and whoever has noted a number can tell."""
    recent = RecentEvents(tail_bytes=6 * SIZE, page_bytes=SIZE)
    recent.add([event(seq) for seq in range(1, 6)])
    recent.add_page([event(0)])
    before = recent.epoch
    recent.reset(2)
    assert recent.epoch != before
    assert [recent.get(seq) for seq in range(6)] == [None] * 6
    assert (recent.after, recent.newest) == (2, 2)
    new = event(3)
    recent.add([new])
    recent.add([event(seq) for seq in range(4, 9)])
    assert recent.after == 2  # its room is what it was
    assert (recent.tail_after(2, 1), recent.newest) == ([new], 8)
