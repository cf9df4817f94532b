from hypothesis import given
from hypothesis import strategies as st

from eventbus.core.model import Span
from eventbus.delivery.lane.ranges import LOW_WATER, WINDOW, Stretch


def stretch_of(*seqs: int, cursor: int = 0) -> Stretch:
    """A live stretch that has been offered these numbers."""
    stretch = Stretch(Span(0, cursor, None, 0))
    stretch.offer(seqs)
    return stretch


def test_numbers_are_held_up_to_the_window_and_counted_beyond() -> None:
    """A stretch holds 1,024 numbers in memory; what comes after is only counted, and not skipped."""
    stretch = stretch_of(*range(1, WINDOW + 101))
    assert len(stretch.ready) == WINDOW == 1_024
    assert (stretch.behind, stretch.left) == (100, WINDOW + 100)
    assert stretch.cursor == WINDOW


def test_once_behind_nothing_overtakes_what_is_in_the_journal() -> None:
    """While numbers are in the journal only, new ones are counted there too, even when memory has room."""
    stretch = stretch_of(*range(1, WINDOW + 2))
    stretch.ready.clear()
    stretch.offer([WINDOW + 2])
    assert (list(stretch.ready), stretch.behind, stretch.cursor) == ([], 2, WINDOW)


def test_the_next_page_is_wanted_when_memory_runs_low() -> None:
    """The next page is fetched with fewer than 128 numbers left, and only if there is one."""
    stretch = stretch_of(*range(1, WINDOW + 2))
    while len(stretch.ready) > LOW_WATER:
        stretch.ready.popleft()
    assert not stretch.wants_page()
    stretch.ready.popleft()
    assert stretch.wants_page()
    assert not stretch_of(1).wants_page()


def test_a_page_moves_the_cursor_to_its_end() -> None:
    """A page that is read counts as looked at up to its end, though only some of it matched."""
    stretch = Stretch(Span(0, 10, None, 3))
    stretch.load([12, 15], 40)
    assert (list(stretch.ready), stretch.behind, stretch.cursor) == ([12, 15], 1, 40)


def test_a_page_never_moves_the_cursor_back() -> None:
    """A cursor only moves on."""
    stretch = Stretch(Span(0, 10, None, 1))
    stretch.load([], 5)
    assert stretch.cursor == 10


def test_a_place_is_before_the_first_number_that_waits() -> None:
    """What is kept of a stretch carries on with the first number that was not taken."""
    stretch = stretch_of(3, 7, 9)
    assert stretch.span() == Span(0, 2, None, 3)
    stretch.ready.popleft()
    assert stretch.span() == Span(0, 6, None, 2)
    stretch.ready.clear()
    assert stretch.span() == Span(0, 9, None, 0)


def test_a_replays_place_keeps_its_end_and_its_topics() -> None:
    """What is kept of a replay names its run, where it ends, and what it chose."""
    span = Span(3, 10, 90, 5, ("orders.*",))
    assert Stretch(span).span() == span


def test_rewinding_puts_what_is_in_memory_back_into_the_journal() -> None:
    """Numbers that are forgotten, with the one that was next, are counted and read again."""
    stretch = stretch_of(1, 2, 3)
    stretch.ready.popleft()
    stretch.rewind(1)
    assert (list(stretch.ready), stretch.behind, stretch.cursor) == ([], 3, 0)


def test_a_subscriber_that_is_down_keeps_one_number_in_memory() -> None:
    """Shedding keeps the next number alone; the others are counted, and come again after it."""
    stretch = stretch_of(1, 4, 6)
    stretch.shed()
    assert (list(stretch.ready), stretch.behind, stretch.cursor) == ([1], 2, 3)
    stretch.shed()
    assert (list(stretch.ready), stretch.behind, stretch.cursor) == ([1], 2, 3)


def test_an_empty_stretch_counts_nothing() -> None:
    """A stretch that was emptied has nothing left, in memory or behind."""
    stretch = stretch_of(*range(1, WINDOW + 2))
    stretch.empty()
    assert (stretch.left, stretch.wants_page()) == (0, False)


@given(st.lists(st.sampled_from(["offer", "take", "read", "shed", "restart"]), max_size=120), st.data())
def test_every_number_comes_once_and_in_order(steps: list[str], data: st.DataObject) -> None:
    """However a stretch is offered, read, shed and restarted, each number is taken once and in order."""
    stretch, journal, taken, newest = stretch_of(), list[int](), list[int](), 0
    for step in steps:
        if step == "offer":
            before = len(journal)
            for _ in range(data.draw(st.integers(1, 400))):
                newest += data.draw(st.integers(1, 2)) if len(journal) < 20 else 1
                journal.append(newest)
            stretch.offer(journal[before:])
        elif step == "take" and stretch.ready:
            taken.append(stretch.ready.popleft())
        elif step == "read" and stretch.behind:
            page = [seq for seq in journal if seq > stretch.cursor][: data.draw(st.integers(1, 100))]
            stretch.load(page, page[-1])
        elif step == "shed":
            stretch.shed()
        elif step == "restart":
            stretch = Stretch(stretch.span())
        assert stretch.left == len(journal) - len(taken)
    while stretch.left:
        if not stretch.ready:
            page = [seq for seq in journal if seq > stretch.cursor]
            stretch.load(page, page[-1])
        taken.append(stretch.ready.popleft())
    assert taken == journal
