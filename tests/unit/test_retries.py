import math
from dataclasses import replace

import pytest

from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.limits import DEFAULT_LIMITS
from eventbus.delivery.lane.retries import Retries

IN_MEMORY = DEFAULT_LIMITS.retries


def delivery(seq: int, due: float = 0.0, replay_id: int = 0) -> Delivery:
    """A delivery that has been attempted once."""
    return Delivery(seq, replay_id, attempts=1, due=due)


def rows(*deliveries: Delivery) -> list[Delivery]:
    """What the journal would read back for them."""
    return [replace(d, kept=True) for d in deliveries]


def pop_all(retries: Retries, now: float) -> list[int]:
    """The numbers of all that are due, in the order they come."""
    found = []
    while (popped := retries.pop(now)) is not None:
        found.append(popped.seq)
    return found


def test_the_next_one_is_the_one_due_first() -> None:
    """Deferred deliveries come when they are due, the earliest first, and those of one moment as they were put."""
    retries = Retries(ordered=False)
    for seq, due in ((1, 30.0), (2, 10.0), (3, 20.0), (4, 10.0)):
        retries.push(delivery(seq, due))
    assert retries.next_due() == 10.0
    assert retries.pop(9.9) is None
    assert pop_all(retries, 20.0) == [2, 4, 3]
    assert retries.count == 1
    assert retries.next_due() == 30.0


def test_where_order_counts_the_next_one_is_the_lowest() -> None:
    """In an ordered lane the lowest number comes first, and holds back those behind it until it is due."""
    retries = Retries(ordered=True)
    for seq, due in ((7, 5.0), (3, 50.0), (5, 1.0)):
        retries.push(delivery(seq, due))
    assert retries.next_due() == 50.0
    assert retries.pop(49.9) is None
    assert pop_all(retries, 50.0) == [3, 5, 7]


def test_nothing_waits_in_the_beginning() -> None:
    """With nothing deferred there is never a moment to look again."""
    for ordered in (True, False):
        retries = Retries(ordered=ordered)
        assert (retries.next_due(), retries.wants_rows(1e12), retries.spilled) == (math.inf, False, 0)


def test_only_the_nearest_are_in_memory() -> None:
    """Beyond a thousand, the deliveries due last are in the journal only, and are counted all the same."""
    retries = Retries(ordered=False)
    for seq in range(IN_MEMORY + 50, 0, -1):
        retries.push(delivery(seq, float(seq)))
    assert sorted(d.seq for d in retries.in_memory()) == list(range(1, IN_MEMORY + 1))
    assert (retries.count, retries.spilled) == (IN_MEMORY + 50, 50)


@pytest.mark.parametrize("ordered", [True, False])
def test_a_spilled_delivery_is_read_back_when_its_turn_comes(ordered: bool) -> None:
    """What was spilled is wanted back before anything behind it is attempted, and not before."""
    retries = Retries(ordered=ordered)
    everything = [delivery(seq, float(seq)) for seq in range(1, IN_MEMORY + 3)]
    for one in everything:
        retries.push(one)
    for seq in range(1, IN_MEMORY + 1):
        assert not retries.wants_rows(float(seq)), seq
        popped = retries.pop(float(seq))
        assert popped is not None
        assert popped.seq == seq
        retries.forget(popped)
    assert retries.wants_rows(IN_MEMORY + 1.0)
    retries.removed_rows.clear()
    retries.begin_load()
    retries.load(rows(*everything[-2:]), [], more=False)
    assert not retries.wants_rows(1e9)
    assert pop_all(retries, 1e9) == [IN_MEMORY + 1, IN_MEMORY + 2]
    assert (retries.count, retries.spilled) == (0, 0)


def test_a_new_delivery_does_not_overtake_a_spilled_one_where_order_counts() -> None:
    """In an ordered lane a spilled lower number is read back before a higher one in memory is attempted."""
    retries = Retries(ordered=True, count=3)
    retries.push(delivery(9, 0.0))
    assert retries.wants_rows(0.0)
    retries.begin_load()
    retries.load(rows(delivery(2), delivery(4)), [], more=True)
    assert pop_all(retries, 0.0)[:2] == [2, 4]
    assert retries.wants_rows(0.0)


def test_the_look_again_counts_what_was_spilled() -> None:
    """The moment to look again is that of a spilled delivery where it is the next."""
    retries = Retries(ordered=False)
    for seq in range(1, IN_MEMORY + 2):
        retries.push(delivery(seq, float(seq)))
    retries.take_all()
    assert retries.next_due() == IN_MEMORY + 1.0
    assert retries.wants_rows(IN_MEMORY + 1.0)
    assert not retries.wants_rows(IN_MEMORY + 0.9)


def test_what_is_in_memory_or_under_way_is_not_taken_twice() -> None:
    """Rows of deliveries that wait in memory or are under way are passed over when they are read."""
    waiting, moving, spilled = delivery(1), delivery(2), delivery(3)
    retries = Retries(ordered=False, count=1)
    retries.push(waiting)
    retries.begin_load()
    retries.load(rows(waiting, moving, spilled), [moving], more=False)
    assert retries.count == 2
    assert retries.spilled == 0
    assert sorted(pop_all(retries, 0.0)) == [1, 3]


def test_what_was_settled_while_rows_were_read_does_not_come_back() -> None:
    """A delivery that is settled while its row is being read is not attempted again."""
    retries = Retries(ordered=False, count=1)
    settled = delivery(1)
    retries.push(settled)
    retries.begin_load()
    assert retries.pop(0.0) is settled
    retries.forget(settled)
    retries.load(rows(settled, delivery(2)), [], more=False)
    assert pop_all(retries, 0.0) == [2]


def test_two_runs_of_one_event_are_two_deliveries() -> None:
    """A live delivery and a replayed one of the same event do not stand for each other."""
    retries = Retries(ordered=False, count=1)
    retries.push(delivery(1, replay_id=0))
    retries.begin_load()
    retries.load(rows(delivery(1, replay_id=0), delivery(1, replay_id=2)), [], more=False)
    assert sorted(d.replay_id for d in retries.in_memory()) == [0, 2]


def test_while_more_rows_remain_they_are_wanted_when_due() -> None:
    """After a first part was read the rest is wanted once the last of that part is due."""
    retries = Retries(ordered=False, count=4)
    assert retries.wants_rows(0.0)
    retries.begin_load()
    retries.load(rows(delivery(1, 10.0), delivery(2, 20.0)), [], more=True)
    assert not retries.wants_rows(19.9)
    assert retries.wants_rows(20.0)


def test_a_row_is_written_once_and_removed_when_it_is_settled() -> None:
    """A deferred delivery is to be saved; one that is settled is to be removed, and one deferred again is not."""
    retries = Retries(ordered=False)
    one = delivery(1)
    retries.push(one)
    assert (set(retries.unsaved_rows), retries.removed_rows) == ({(1, 0)}, set())
    assert retries.pop(0.0) is one
    retries.forget(one)
    assert (retries.unsaved_rows, retries.removed_rows) == ({}, {(1, 0)})
    retries.push(one)
    assert (set(retries.unsaved_rows), retries.removed_rows) == ({(1, 0)}, set())


def test_a_first_attempt_that_succeeds_touches_no_row() -> None:
    """A delivery that was never deferred leaves nothing to be removed."""
    retries = Retries(ordered=False)
    retries.forget(delivery(1))
    assert retries.removed_rows == set()


def test_rows_from_elsewhere_are_read_at_once() -> None:
    """Rows that were put into the journal by other means are wanted now."""
    retries = Retries(ordered=False)
    retries.count += 2
    assert not retries.wants_rows(1e9)
    retries.expect_rows()
    assert retries.spilled == 2
    assert retries.wants_rows(-1e9)
    assert retries.next_due() == -math.inf


@pytest.mark.parametrize("ordered", [True, False])
def test_changing_whether_order_counts_sorts_what_waits(ordered: bool) -> None:
    """A lane that becomes ordered, or stops to be, sorts what it has, and reads what it has spilled."""
    retries = Retries(ordered=not ordered, count=1)
    for seq, due in ((1, 20.0), (2, 10.0)):
        retries.push(delivery(seq, due))
    retries.begin_load()
    retries.load([], [], more=True)
    retries.reorder(ordered=ordered)
    assert retries.wants_rows(0.0)
    assert pop_all(retries, 20.0) == ([1, 2] if ordered else [2, 1])


def test_taking_all_leaves_what_was_spilled() -> None:
    """All in memory can be taken at once; what is in the journal only stays counted."""
    retries = Retries(ordered=False, count=5)
    retries.push(delivery(1))
    assert [d.seq for d in retries.take_all()] == [1]
    assert retries.count == retries.spilled == 5


def test_clearing_forgets_everything() -> None:
    """After clearing nothing waits, nothing is to be saved, and nothing to be removed."""
    retries = Retries(ordered=False, count=5)
    retries.push(delivery(1))
    retries.clear()
    assert (retries.count, retries.spilled, retries.unsaved_rows, retries.removed_rows) == (0, 0, {}, set())
    assert retries.pop(0.0) is None
