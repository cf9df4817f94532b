"""Attempts under way are looked at on a clock: what takes long is slow, and may have to end for others."""

import gevent
import pytest
from gevent.event import Event

from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.slots import CutShort, Slots
from eventbus.delivery.slow_pool import SLOW_SECONDS, SlowPool
from tests.unit.test_slow_pool import lane_at


class Attempts:
    """Attempts at subscribers that never answer, each in a greenlet of its own, at a moment that the test sets."""

    def __init__(self, size: int) -> None:
        self.now, self.wait, self.cut = 100.0, False, list[str]()
        self.pool = SlowPool(size, lambda lane: [lane.subscriber.address.host])
        self.slots = Slots(self.pool, lambda: self.now, lambda: self.wait)
        self.over = Event()

    def begin(self, *lanes: Lane) -> None:
        """Begin an attempt at each."""
        for lane in lanes:
            gevent.spawn(self._attempt, lane)
        gevent.sleep(0)

    def check(self, later: float = 0.0) -> None:
        """Look, and once more so much later."""
        for seconds in (0.0, later):
            self.now += seconds
            self.slots.check()
            gevent.sleep(0.001)

    def _attempt(self, lane: Lane) -> None:
        slot = self.slots.add()
        slot.at = lane
        try:
            self.over.wait()
        except CutShort:
            self.cut.append(lane.subscriber.key)
        slot.at = None
        if slot.turn is not None:
            list(self.pool.end(slot.turn))
            slot.turn = None
        self.over.wait()  # as a greenlet waits for its next turn


def quick(count: int) -> list[Lane]:
    """Lanes of subscribers that have answered quickly so far."""
    lanes = [lane_at(f"quick-{number}", tried=False) for number in range(count)]
    for lane in lanes:
        lane.slow, lane.delivered = False, 1
    return lanes


def test_a_lane_is_slow_while_its_attempt_takes_long() -> None:
    """A lane counts as slow from a second on, though no answer has come yet, and once for each attempt."""
    attempts, (lane,) = Attempts(8), quick(1)
    attempts.begin(lane)
    attempts.check(SLOW_SECONDS / 2)
    assert (lane.slow, attempts.pool.busy) == (False, 0)
    for _ in range(3):
        attempts.check(SLOW_SECONDS)
    assert (lane.slow, lane.hanging, attempts.pool.busy) == (True, 1, 1)


def test_attempts_that_hang_end_for_others_and_for_nobody_else() -> None:
    """Above half of all slots, attempts that hang are cut short when others wait: the oldest, and once each."""
    attempts, lanes = Attempts(8), quick(8)
    attempts.begin(*lanes)
    attempts.check(2 * SLOW_SECONDS)
    attempts.check()
    assert (attempts.pool.busy, attempts.cut) == (8, [])
    attempts.wait = True
    for _ in range(3):
        attempts.check()
    assert attempts.cut == [lane.subscriber.key for lane in lanes[:4]]
    assert attempts.pool.busy == 4


def test_what_has_just_ended_is_not_cut_short() -> None:
    """An attempt that ends in the moment in which it is to be cut short has ended, and nothing else is hurt."""
    attempts, lanes = Attempts(2), quick(2)
    attempts.begin(*lanes)
    attempts.check(2 * SLOW_SECONDS)
    attempts.wait = True
    attempts.slots.check()
    attempts.over.set()  # its greenlets go on before what the look has asked for, or after
    gevent.sleep(0.001)
    assert attempts.pool.busy == 0
    assert len(attempts.cut) <= 1


def test_it_is_told_once_a_minute(caplog: pytest.LogCaptureFixture) -> None:
    """How many attempts were cut short is written to the log, however often that happens."""
    attempts = Attempts(2)
    attempts.wait = True
    for _ in range(3):
        attempts.begin(*quick(3))
        attempts.check(2 * SLOW_SECONDS)
    assert [record.getMessage().split(":")[0] for record in caplog.records] == ["2 attempts were cut short"]
    attempts.check(60)
    assert [record.getMessage().split(":")[0] for record in caplog.records][1:] == ["6 attempts were cut short"]
