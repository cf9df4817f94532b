from hypothesis import given
from hypothesis import strategies as st

from eventbus.core.records import Span
from eventbus.delivery.lane.limits import DEFAULT_LIMITS
from eventbus.delivery.lane.ranges import Range

WINDOW, LOW_WATER = DEFAULT_LIMITS.buffered_events, DEFAULT_LIMITS.low_water


def range_of(*seqs: int, cursor: int = 0) -> Range:
    """A live range that has been offered these numbers."""
    part = Range(Span(0, cursor, None, 0))
    part.offer(seqs)
    return part


def test_numbers_are_held_up_to_the_window_and_counted_beyond() -> None:
    """A range holds 1,024 numbers in memory; what comes after is only counted, and not skipped."""
    part = range_of(*range(1, WINDOW + 101))
    assert len(part.buffered) == WINDOW == 1_024
    assert (part.remaining, part.left) == (100, WINDOW + 100)
    assert part.cursor == WINDOW


def test_once_behind_nothing_overtakes_what_is_in_the_journal() -> None:
    """While numbers are in the journal only, new ones are counted there too, even when memory has room."""
    part = range_of(*range(1, WINDOW + 2))
    part.buffered.clear()
    part.offer([WINDOW + 2])
    assert (list(part.buffered), part.remaining, part.cursor) == ([], 2, WINDOW)


def test_the_next_page_is_wanted_when_memory_runs_low() -> None:
    """The next page is fetched with fewer than 128 numbers left, and only if there is one."""
    part = range_of(*range(1, WINDOW + 2))
    while len(part.buffered) > LOW_WATER:
        part.buffered.popleft()
    assert not part.wants_page()
    part.buffered.popleft()
    assert part.wants_page()
    assert not range_of(1).wants_page()


def test_a_page_moves_the_cursor_to_its_end() -> None:
    """A page that is read counts as looked at up to its end, though only some of it matched."""
    part = Range(Span(0, 10, None, 3))
    part.load([12, 15], 40)
    assert (list(part.buffered), part.remaining, part.cursor) == ([12, 15], 1, 40)


def test_a_page_never_moves_the_cursor_back() -> None:
    """A cursor only moves on."""
    part = Range(Span(0, 10, None, 1))
    part.load([], 5)
    assert part.cursor == 10


def test_a_span_begins_before_the_first_number_that_waits() -> None:
    """What is kept of a range carries on with the first number that was not taken."""
    part = range_of(3, 7, 9)
    assert part.span() == Span(0, 2, None, 3)
    part.buffered.popleft()
    assert part.span() == Span(0, 6, None, 2)
    part.buffered.clear()
    assert part.span() == Span(0, 9, None, 0)


def test_a_replays_span_keeps_its_end_and_its_topics() -> None:
    """What is kept of a replay names its run, where it ends, and what it chose."""
    span = Span(3, 10, 90, 5, ("orders.*",))
    assert Range(span).span() == span


def test_rewinding_puts_what_is_in_memory_back_into_the_journal() -> None:
    """Numbers that are forgotten, with the one that was next, are counted and read again."""
    part = range_of(1, 2, 3)
    part.buffered.popleft()
    part.rewind(1)
    assert (list(part.buffered), part.remaining, part.cursor) == ([], 3, 0)


def test_a_subscriber_that_is_down_keeps_one_number_in_memory() -> None:
    """Shedding keeps the next number alone; the others are counted, and come again after it."""
    part = range_of(1, 4, 6)
    part.shrink()
    assert (list(part.buffered), part.remaining, part.cursor) == ([1], 2, 3)
    part.shrink()
    assert (list(part.buffered), part.remaining, part.cursor) == ([1], 2, 3)


def test_an_empty_range_counts_nothing() -> None:
    """A range that was emptied has nothing left, in memory or behind."""
    part = range_of(*range(1, WINDOW + 2))
    part.empty()
    assert (part.left, part.wants_page()) == (0, False)


@given(st.lists(st.sampled_from(["offer", "take", "read", "shed", "restart"]), max_size=120), st.data())
def test_every_number_comes_once_and_in_order(steps: list[str], data: st.DataObject) -> None:
    """However a range is offered, read, shed and restarted, each number is taken once and in order."""
    part, journal, taken, newest = range_of(), list[int](), list[int](), 0
    for step in steps:
        if step == "offer":
            before = len(journal)
            for _ in range(data.draw(st.integers(1, 400))):
                newest += data.draw(st.integers(1, 2)) if len(journal) < 20 else 1
                journal.append(newest)
            part.offer(journal[before:])
        elif step == "take" and part.buffered:
            taken.append(part.buffered.popleft())
        elif step == "read" and part.remaining:
            page = [seq for seq in journal if seq > part.cursor][: data.draw(st.integers(1, 100))]
            part.load(page, page[-1])
        elif step == "shed":
            part.shrink()
        elif step == "restart":
            part = Range(part.span())
        assert part.left == len(journal) - len(taken)
    while part.left:
        if not part.buffered:
            page = [seq for seq in journal if seq > part.cursor]
            part.load(page, page[-1])
        taken.append(part.buffered.popleft())
    assert taken == journal
