"""One event that fails holds back itself only: lanes under load, with events that never get an answer."""

import heapq
from collections.abc import Collection, Mapping
from itertools import count, pairwise

import pytest

from eventbus.core.leases import Lease
from eventbus.core.model import State
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.health import FIRST_WINDOW, Rules
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import lane_of, record_of
from eventbus.delivery.lane.outcome import DeliveryResponse
from tests.support.lanes import (
    BUSY,
    EPOCH,
    REFUSED,
    TAKEN,
    UNWANTED,
    answer,
    attempt,
    high,
    lane_with,
    take_all,
    wait_please,
)

#: Seconds between two events, and that a healthy attempt takes.
SPACING, QUICK = 0.05, 0.01


class Load:
    """A lane that gets an event every 50 ms, of which some never get an answer, on a clock of its own."""

    def __init__(self, lane: Lane, failing: Collection[int], said: DeliveryResponse = REFUSED, *, takes: float) -> None:
        self.lane, self.failing, self.said, self.takes = lane, failing, said, takes
        self.offered: dict[int, float] = {}
        self.waited: dict[int, float] = {}  # seconds that each healthy event waited
        self.attempts: list[tuple[float, int]] = []
        self._ends: list[tuple[float, int, Delivery]] = []
        self._ticket = count()

    def run(self, events: int) -> None:
        """Offer so many events, and go on for a while after the last."""
        now, end = 0.0, events * SPACING + 5
        while now <= end:
            while len(self.offered) < min(events, 1 + int(now / SPACING)):
                seq = len(self.offered) + 1
                self.offered[seq] = now
                self.lane.offer([seq])
            self._end(now)
            while (delivery := self.lane.take(now)) is not None:
                self._begin(delivery, now)
            moments = [now + SPACING / 5, *(ends[0] for ends in self._ends[:1])]
            now = max(now + 1e-6, min(moments))

    def _begin(self, delivery: Delivery, now: float) -> None:
        self.attempts.append((now, delivery.seq))
        takes = self.takes if delivery.seq in self.failing else QUICK
        heapq.heappush(self._ends, (now + takes, next(self._ticket), delivery))

    def _end(self, now: float) -> None:
        while self._ends and self._ends[0][0] <= now:
            delivery = heapq.heappop(self._ends)[2]
            if delivery.seq in self.failing:
                answer(self.lane, delivery, self.said, now)
            else:
                self.waited[delivery.seq] = now - self.offered[delivery.seq]
                answer(self.lane, delivery, TAKEN, now)


#: What never gets an answer, and how long an attempt takes.
TROUBLES: Mapping[str, tuple[Collection[int], DeliveryResponse, float]] = {
    "one that is reset": ((40,), REFUSED, 0.001),
    "one that times out": ((40,), REFUSED, 3.0),
    "the first one": ((1,), REFUSED, 3.0),
    "one in ten that is reset": (range(10, 400, 10), REFUSED, 0.001),
    "twenty that time out": (range(20, 420, 20), REFUSED, 3.0),
    "one that is answered late with 500": ((40,), BUSY, 3.0),
    "one that asks for a second each time": ((40,), wait_please(1), 0.001),
}


@pytest.mark.parametrize("trouble", TROUBLES)
def test_the_others_flow_beside_events_that_fail(trouble: str) -> None:
    """At 20 events a second all that are healthy are delivered in order of seconds, whatever fails beside them."""
    failing, said, takes = TROUBLES[trouble]
    lane = lane_with(max_in_flight=8)
    load = Load(lane, failing, said, takes=takes)
    load.run(400)
    assert set(load.waited) == set(load.offered) - set(failing)
    waits = sorted(load.waited.values())
    assert waits[len(waits) // 2] < 0.1
    assert waits[-1] < 3.0
    assert lane.state in (State.OK, State.PAUSED)
    assert lane.account.pending == lane.backlog == len(failing)


def test_an_event_that_fails_has_a_schedule_of_its_own() -> None:
    """An event that gets no answer is tried again after 0.5 s, doubling, while the others go on at once."""
    lane = lane_with(1)
    moments = []
    for turn in range(6):
        now = max(0.0, lane.next_moment())
        moments.append(now)
        assert attempt(lane, REFUSED, now) == 1
        lane.offer([turn + 2])
        assert attempt(lane, TAKEN, now) == turn + 2
    assert [later - earlier for earlier, later in pairwise(moments)] == [0.5, 1, 2, 4, 8]


def test_a_subscriber_that_answers_other_events_is_not_down() -> None:
    """However often an event fails, the subscriber is up and its window open while others are answered."""
    lane = lane_with(1)
    for turn in range(2, 30):
        now = max(0.0, lane.next_moment())
        assert attempt(lane, REFUSED, now) == 1
        lane.offer([turn])
        assert attempt(lane, TAKEN, now) == turn
        assert (lane.state, lane.failures) == (State.OK, 0)
    assert lane.limit >= FIRST_WINDOW


def test_an_attempt_that_began_before_a_later_answer_is_no_proof() -> None:
    """Attempts that time out do not count when an attempt that began after them has been answered."""
    lane = lane_with(*range(1, 9))
    slow = [lane.take(0.0), lane.take(0.0)]
    assert attempt(lane, TAKEN, 1.0) == 3
    for delivery in slow:
        assert delivery is not None
        answer(lane, delivery, REFUSED, 10.0)
    assert (lane.state, lane.failures) == (State.OK, 0)


def test_one_event_alone_shows_a_subscriber_as_down_but_holds_nothing_back() -> None:
    """Two attempts in a row without an answer are down; another event is attempted at once, and may show otherwise."""
    lane = once_answered(1)
    attempt(lane, REFUSED, 0.0)
    assert lane.state is State.OK
    attempt(lane, REFUSED, 0.5)
    assert (lane.state, lane.held, lane.next_moment()) == (State.DOWN, False, 1.5)
    lane.offer([2])
    assert attempt(lane, TAKEN, 0.6) == 2
    assert (lane.state, lane.failures, lane.down_since) == (State.OK, 0, None)


def test_several_events_without_an_answer_hold_the_lane_back() -> None:
    """Four events without an answer are enough: nothing is attempted until the backoff is over."""
    lane = once_answered(*range(1, 9))
    for _ in range(3):
        attempt(lane, REFUSED, 0.0)
    assert (lane.state, lane.held) == (State.OK, False)
    attempt(lane, REFUSED, 0.0)
    assert (lane.state, lane.held, lane.take(0.49)) == (State.DOWN, True, None)
    assert len(take_all(lane, 0.5)) == 1


def test_two_events_that_get_no_answer_again_hold_the_lane_back() -> None:
    """Where fewer are pending, a second attempt at one of them is enough."""
    lane = once_answered(1, 2)
    for _ in range(2):
        attempt(lane, REFUSED, 0.0)
    assert lane.state is State.OK
    attempt(lane, REFUSED, 0.5)
    assert (lane.state, lane.held, lane.take(0.99)) == (State.DOWN, True, None)


def once_answered(*seqs: int) -> Lane:
    """A lane whose subscriber has taken an event before these."""
    lane = lane_with(100)
    attempt(lane, TAKEN, -1.0)
    lane.offer(seqs)
    return lane


def read_on(lane: Lane, now: float) -> None:
    """Read what a lane wants to have in memory, as the dispatcher does."""
    if lane.wants_page(now) and (part := lane.unread()) is not None:
        first = part.cursor + 1
        part.load(range(first, first + part.remaining), first + part.remaining - 1)


def test_who_has_never_answered_is_down_at_once() -> None:
    """The first failure of a subscriber that has answered nothing yet shows it as down, and holds nothing back."""
    lane = lane_with(1, 2)
    attempt(lane, REFUSED, 0.0)
    assert (lane.state, lane.held) == (State.DOWN, False)
    assert attempt(lane, TAKEN, 0.0) == 2
    assert lane.state is State.OK


def probes(lane: Lane, turns: int) -> list[int]:
    """The events with which a subscriber that is down is probed."""
    found = []
    for _ in range(turns):
        read_on(lane, lane.next_moment())
        now = lane.next_moment()
        delivery = lane.take(now)
        assert delivery is not None
        answer(lane, delivery, REFUSED, now)
        found.append(delivery.seq)
    return found


def test_probes_go_through_different_events() -> None:
    """While a subscriber is down nearly every probe is another event, the oldest first, and retries have turns too."""
    lane = lane_with(*range(1, 100))
    for delivery in take_all(lane, 0.0):
        answer(lane, delivery, REFUSED, 0.1)
    assert probes(lane, 8) == [5, 6, 7, 1, 8, 9, 10, 2]


def test_probes_take_turns_where_all_have_been_attempted() -> None:
    """With few events pending each of them has its probe in turn."""
    lane = lane_with(1, 2, 3)
    for delivery in take_all(lane, 0.0):
        answer(lane, delivery, REFUSED, 0.1)
    found = probes(lane, 12)
    assert all(set(found[start : start + 3]) == {1, 2, 3} for start in (3, 6, 9))


def test_a_healthy_event_behind_those_that_fail_is_reached() -> None:
    """An event behind six that never get an answer is delivered within seconds; then the others wait their own time."""
    lane = lane_with(*range(1, 8))
    now = 0.0
    while not lane.delivered:
        read_on(lane, now)
        now = max(now, lane.next_moment())
        delivery = lane.take(now)
        assert delivery is not None
        answer(lane, delivery, TAKEN if delivery.seq == 7 else REFUSED, now)
    assert now < 10
    assert lane.state is State.OK
    for _ in range(50):
        now = lane.next_moment()
        assert attempt(lane, REFUSED, now) in range(1, 7)
        assert lane.state is State.OK
    lane.offer([8])
    assert 8 in {delivery.seq for delivery in take_all(lane, now)}


def test_what_failed_while_a_subscriber_was_down_does_not_wait_long_when_it_is_back() -> None:
    """An outage is not the events' fault: half a second after the subscriber is back all of them are attempted."""
    lane = lane_with(1, 2, 3)
    for delivery in take_all(lane, 0.0):
        answer(lane, delivery, REFUSED, 0.1)
    probes(lane, 20)
    now = lane.next_moment()
    assert attempt(lane, TAKEN, now) is not None
    assert len(take_all(lane, now + 0.5)) == 2


def test_a_renewal_probes_at_once_though_no_event_is_due() -> None:
    """A subscriber that is down and renews gets an attempt at once, also where all its events wait for their time."""
    lane = lane_with(1)
    for _ in range(8):
        attempt(lane, REFUSED, max(0.0, lane.next_moment()))
    now = lane.next_moment() - 20
    assert lane.take(now) is None
    lane.renew(Lease(lane.subscriber, EPOCH, EPOCH + now, 1e6), scanned=1, now=now)
    assert attempt(lane, TAKEN, now) == 1


def test_retries_leave_half_of_the_window_to_other_events() -> None:
    """Retries that are due together take half of the window: they may be slow to fail, and others must not wait."""
    lane = lane_with(*range(1, 5), max_in_flight=8)
    for _ in range(4):
        attempt(lane, BUSY, 0.0)
    lane.offer(range(5, 9))
    for _ in range(4):
        attempt(lane, TAKEN, 0.1)
    due = take_all(lane, 1.0)
    assert len(due) == lane.limit // 2
    lane.offer([9])
    assert attempt(lane, TAKEN, 1.0) == 9


#: What fails for ever, how long each attempt takes, and what a subscriber with that has set.
STARVING: Mapping[str, tuple[DeliveryResponse, float, Mapping[str, int]]] = {
    "time-outs, one at a time": (REFUSED, 10.0, {"max_in_flight": 1}),
    "slow errors, one at a time": (BUSY, 10.0, {"max_in_flight": 1}),
    "slow errors": (BUSY, 10.0, {}),
    "pauses": (wait_please(60), 0.01, {}),
}


@pytest.mark.parametrize("trouble", STARVING)
def test_retries_that_keep_others_out_take_half_of_the_time(trouble: str) -> None:
    """Retries that take all there is, slots or time, leave as much time to events that were not attempted yet."""
    said, takes, options = STARVING[trouble]
    failing = 12
    lane = lane_with(*range(1, failing + 1), **options)
    now, healthy = 0.0, failing
    ends: list[tuple[float, int, Delivery]] = []
    while now < 3_600:
        if healthy < now / 60 + failing:
            healthy += 1
            lane.offer([healthy])
        read_on(lane, now)
        while (delivery := lane.take(now)) is not None:
            heapq.heappush(ends, (now + (takes if delivery.seq <= failing else QUICK), delivery.seq, delivery))
        now = min(ends[0][0] if ends else max(now + QUICK, lane.next_moment()), 60.0 * (healthy - failing + 1))
        while ends and ends[0][0] <= now:
            _, seq, delivery = heapq.heappop(ends)
            answer(lane, delivery, said if seq <= failing else TAKEN, now)
    assert lane.delivered >= healthy - failing - 3
    assert lane.failed_attempts > 2 * failing


def test_an_event_that_is_retried_when_its_time_is_over_is_dead_though_others_wait() -> None:
    """While a subscriber is down, what has been tried for so long comes first, and becomes a dead letter."""
    lane = lane_with(*range(1, 20), retry_seconds=60)
    for delivery in take_all(lane, 0.0):
        answer(lane, delivery, REFUSED, 0.1)
    now = 0.0
    while now < 200:
        read_on(lane, now)
        now = max(now, lane.next_moment())
        attempt(lane, REFUSED, now)
    assert {1, 2, 3, 4} <= {letter.seq for letter in lane.dead_letters}


@pytest.mark.parametrize("said", [TAKEN, UNWANTED, BUSY])
def test_an_ordered_lane_holds_back_what_is_behind(said: DeliveryResponse) -> None:
    """Where order counts, and only there, a failing event holds back those behind it."""
    lane = lane_with(1, 2, ordered=True)
    moments = []
    for _ in range(4):
        now = max(0.0, lane.next_moment())
        moments.append(now)
        assert attempt(lane, REFUSED, now) == 1
    assert moments == [0.0, 0.5, 1.5, 3.5]
    assert attempt(lane, said, 7.5) == 1


def test_an_event_that_failed_by_itself_goes_on_so_after_a_restart() -> None:
    """A lane in which one event fails holds nothing back after a restart either."""
    lane = lane_with(1)
    for _ in range(5):
        attempt(lane, REFUSED, max(0.0, lane.next_moment()))
    record = record_of(lane, 1, 10.0, EPOCH + 10)
    again = lane_of(record, Rules(rng=high), retries=1, ends=1e6, now=0.0, wall=EPOCH + 11)
    again.offer([2])
    assert attempt(again, TAKEN, 0.0) == 2
    assert again.state is State.OK
