"""Whose turn is next, where some have much more to do than others."""

from eventbus.delivery.fair_queue import FairQueue


def test_who_has_one_item_waits_for_one_of_each_other() -> None:
    """However many somebody else has, and however long they have waited."""
    queue: FairQueue[str] = FairQueue()
    for number in range(100):
        queue.put("a", f"a{number}")
    for number in range(3):
        queue.put("b", f"b{number}")
    assert queue.pop() == "a0"
    queue.put("c", "c0")
    assert [queue.pop() for _ in range(6)] == ["b0", "a1", "c0", "b1", "a2", "b2"]
    assert [queue.pop() for _ in range(2)] == ["a3", "a4"]
    assert len(queue) == 95


def test_who_comes_back_is_the_last() -> None:
    """Nobody gains by having one item at a time."""
    queue: FairQueue[int] = FairQueue()
    queue.put("a", 1)
    queue.put("b", 2)
    assert queue.pop() == 1
    queue.put("a", 3)
    assert (queue.pop(), queue.pop(), len(queue)) == (2, 3, 0)
