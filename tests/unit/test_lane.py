import math
from collections.abc import Callable
from dataclasses import replace
from itertools import count

import pytest

from eventbus.core.errors import TooMany
from eventbus.core.leases import Lease
from eventbus.core.model import Interest, State
from eventbus.core.records import Span
from eventbus.delivery.lane.health import FIRST_WINDOW, MAX_SUSPECTS, Moment, Rules
from eventbus.delivery.lane.interests import MAX_SPANS
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import lane_of, new_record, record_of
from eventbus.delivery.lane.limits import DEFAULT_LIMITS
from eventbus.delivery.lane.outcome import GONE, DeliveryResponse
from eventbus.delivery.lane.phase import CloseReason
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
    subscriber_with,
    take_all,
    wait_please,
)

WINDOW, MAX_UNSAVED = DEFAULT_LIMITS.buffered_events, DEFAULT_LIMITS.unsaved_changes


def numbers(lane: Lane, now: float) -> list[int]:
    """The numbers of all attempts that may start now."""
    return [delivery.seq for delivery in take_all(lane, now)]


def keep_alive(lane: Lane, now: float, *, ends: float = 1_000_000) -> None:
    """The subscriber renews as it is."""
    lane.renew(Lease(lane.subscriber, EPOCH, EPOCH + now, ends), scanned=0, now=now)


def go_down(lane: Lane, now: float) -> None:
    """Several events in a row get no answer."""
    for _ in range(MAX_SUSPECTS):
        attempt(lane, REFUSED, now)
    assert (lane.state, lane.failures) == (State.DOWN, 1)


def holds_together(lane: Lane) -> bool:
    """Whether what was accepted is where it should be."""
    return lane.account.pending == lane.backlog


# Deliveries


def test_a_delivered_event_is_counted_and_gone() -> None:
    """An event that was taken is delivered once and leaves nothing behind."""
    lane = lane_with(1)
    assert attempt(lane, TAKEN, 0.0) == 1
    assert (lane.accepted, lane.delivered, lane.backlog, lane.failed_attempts) == (1, 1, 0, 0)
    assert attempt(lane, TAKEN, 1e6) is None


def test_every_attempt_is_counted_from_one() -> None:
    """The first attempt is number one, and the time of the first stays with the delivery."""
    lane = lane_with(1)
    for number, now in enumerate((5.0, 50.0, 500.0), 1):
        delivery = lane.take(now)
        assert delivery is not None
        assert (delivery.attempts, delivery.first) == (number, 5.0)
        answer(lane, delivery, BUSY, now)


def test_an_attempt_that_was_not_made_does_not_count() -> None:
    """A delivery that is put back waits as if it had not been taken."""
    lane = lane_with(1)
    delivery = lane.take(1.0)
    assert delivery is not None
    lane.release(delivery, 2.0)
    assert (delivery.attempts, lane.backlog, lane.failed_attempts) == (0, 1, 0)
    again = lane.take(2.0)
    assert again is delivery
    assert (again.attempts, again.first) == (1, 2.0)
    assert holds_together(lane)


def test_an_event_that_is_not_there_any_more_is_discarded() -> None:
    """A delivery whose event the journal has lost is counted as discarded."""
    lane = lane_with(1)
    delivery = lane.take(1.0)
    assert delivery is not None
    lane.drop_missing(delivery)
    assert (lane.discarded, lane.backlog) == (1, 0)
    assert holds_together(lane)


def test_what_the_journal_has_lost_is_discarded() -> None:
    """Events that a lane counts but the journal does not hold any more are counted as discarded."""
    lane = lane_with(*range(1, WINDOW + 4))
    assert lane.drop_remaining(lane.live) == 3
    assert (lane.discarded, lane.backlog) == (3, WINDOW)
    assert holds_together(lane)


# The window


def test_the_window_grows_with_each_delivery_up_to_what_was_asked_for() -> None:
    """A lane begins with four at once, gains one with each delivery, and stops at max_in_flight."""
    lane = lane_with(*range(1, 100), max_in_flight=6)
    under_way = take_all(lane, 0.0)
    assert len(under_way) == FIRST_WINDOW == 4
    sizes = []
    for _ in range(4):
        answer(lane, under_way.pop(0), TAKEN, 0.0)
        under_way += take_all(lane, 0.0)
        sizes.append(len(under_way))
    assert sizes == [5, 6, 6, 6]


def test_the_window_is_never_wider_than_what_was_asked_for() -> None:
    """A subscriber that asked for one at a time gets one at a time from the beginning."""
    lane = lane_with(1, 2, max_in_flight=1)
    assert numbers(lane, 0.0) == [1]


def test_a_narrower_window_holds_from_the_renewal_on() -> None:
    """A renewal that asks for fewer at once holds for the next attempt."""
    lane = lane_with(*range(1, 10))
    delivery = lane.take(0.0)
    assert delivery is not None
    narrow = replace(lane.subscriber, options=replace(lane.subscriber.options, max_in_flight=1))
    lane.renew(Lease(narrow, EPOCH, EPOCH, 1e6), 9, 0.0)
    assert lane.take(0.0) is None
    answer(lane, delivery, TAKEN, 0.0)
    assert numbers(lane, 0.0) == [2]


def test_the_window_halves_with_each_event_that_has_to_be_retried_but_not_below_one() -> None:
    """Each answer that asks for a retry halves the window, and at least one stays under way."""
    lane = lane_with(*range(1, 100), max_in_flight=32)
    for _ in range(28):
        attempt(lane, TAKEN, 0.0)
    limits = []
    for _ in range(7):
        attempt(lane, BUSY, 0.0)
        limits.append(lane.limit)
    assert limits == [16, 8, 4, 2, 1, 1, 1]


# Retries


def test_a_retry_follows_its_schedule_and_holds_nothing_up() -> None:
    """An event that failed waits for its own time while those behind it are delivered."""
    lane = lane_with(1, 2, 3)
    assert attempt(lane, BUSY, 0.0) == 1
    assert [attempt(lane, TAKEN, 0.0) for _ in range(3)] == [2, 3, None]
    assert lane.next_moment() == 0.5
    assert lane.take(0.499) is None
    assert attempt(lane, BUSY, 0.5) == 1
    assert lane.next_moment() == 1.5
    assert attempt(lane, BUSY, 1.5) == 1
    assert lane.next_moment() == 3.5
    assert attempt(lane, TAKEN, 3.5) == 1
    assert (lane.delivered, lane.failed_attempts, lane.backlog, lane.state) == (3, 3, 0, State.OK)


def test_a_retry_that_is_due_comes_before_new_events() -> None:
    """A retry that is due is attempted before events that have not been attempted."""
    lane = lane_with(1, 2, 3)
    attempt(lane, BUSY, 0.0)
    assert numbers(lane, 0.5) == [1, 2]


def test_a_delivery_is_tried_for_so_long_and_then_dead() -> None:
    """After the last attempt within EVENTBUS_RETRY_SECONDS an event is a dead letter with what was known of it."""
    lane = lane_with(1, retry_seconds=60)
    now = 0.0
    while lane.backlog:
        assert attempt(lane, BUSY, now) == 1
        last, now = now, max(now, lane.next_moment())
    (letter,) = lane.dead_letters
    assert last >= 60
    assert letter.reason == "not delivered within 60 s"
    assert (letter.seq, letter.replay_id, letter.attempts) == (1, 0, lane.failed_attempts)
    assert (letter.status, letter.error, letter.answer) == (500, "answered 500", b"busy")
    assert (letter.first_at, letter.last_at) == (EPOCH, EPOCH + last)
    assert (lane.dead, lane.retries.unsaved_rows) == (1, {})
    assert holds_together(lane)


def test_with_no_time_for_retries_one_attempt_is_all() -> None:
    """With EVENTBUS_RETRY_SECONDS at zero a delivery that failed once is dead."""
    lane = lane_with(1, 2, retry_seconds=0)
    assert attempt(lane, BUSY, 0.0) == 1
    assert attempt(lane, TAKEN, 0.0) == 2
    assert (lane.dead, lane.delivered, lane.backlog) == (1, 1, 0)


def test_an_event_waits_for_a_subscriber_that_is_down_no_longer_than_it_would_be_tried() -> None:
    """An event that waited while its subscriber was down for longer than the limit is dead after one attempt."""
    lane = lane_with(1, 2, retry_seconds=60)
    attempt(lane, REFUSED, 0.0)
    keep_alive(lane, 61.0)
    delivery = lane.take(61.0)
    assert delivery is not None
    answer(lane, delivery, REFUSED, 61.0, waited=61.0)
    keep_alive(lane, 62.0)
    delivery = lane.take(62.0)
    assert delivery is not None
    answer(lane, delivery, REFUSED, 62.0, waited=62.0)
    assert [(letter.seq, letter.attempts) for letter in lane.dead_letters] == [(1, 2), (2, 1)]


def test_an_event_that_is_new_is_not_dead_because_its_subscriber_was_down_for_long() -> None:
    """An event that was accepted a moment ago is retried, however long the subscriber has been down."""
    lane = lane_with(1, retry_seconds=60)
    attempt(lane, REFUSED, 0.0)
    lane.offer([2])
    lane.retries.take_all()
    keep_alive(lane, 100.0)
    delivery = lane.take(100.0)
    assert delivery is not None
    assert delivery.seq == 2
    answer(lane, delivery, REFUSED, 100.0, waited=1.0)
    assert lane.dead_letters == []


def test_a_rejected_event_is_dead_at_once() -> None:
    """An event that a live subscriber will not take is a dead letter after one attempt; the others go on."""
    lane = lane_with(1, 2)
    assert attempt(lane, UNWANTED, 3.0) == 1
    (letter,) = lane.dead_letters
    assert (letter.reason, letter.attempts, letter.status, letter.answer) == ("rejected", 1, 400, b"what is this?")
    assert (letter.first_at, letter.last_at) == (EPOCH + 3, EPOCH + 3)
    assert (lane.state, lane.limit) == (State.OK, FIRST_WINDOW)
    assert attempt(lane, TAKEN, 3.0) == 2
    assert (lane.dead, lane.delivered, lane.failed_attempts) == (1, 1, 1)


def test_the_last_error_is_kept_but_not_at_any_length() -> None:
    """The last error is kept, cut to 300 characters; a status stands for itself."""
    lane = lane_with(1, 2)
    attempt(lane, DeliveryResponse(None, error="x" * 5_000), 0.0)
    assert lane.last_error == "x" * 300
    attempt(lane, BUSY, 1.0)
    assert lane.last_error == "answered 500"


# Down


def test_a_subscriber_that_is_down_is_probed_with_one_event_at_a_time() -> None:
    """A subscriber that cannot be reached gets one attempt at a time, with backoff between them."""
    lane = lane_with(*range(1, 100))
    go_down(lane, 0.0)
    moments, now = [], 0.0
    for _ in range(10):
        assert lane.state is State.DOWN
        now = lane.next_moment()
        assert lane.take(now - 0.001) is None
        (delivery,) = take_all(lane, now)
        answer(lane, delivery, REFUSED, now)
        moments.append(now)
    waits = [later - earlier for earlier, later in zip([0.0, *moments], moments, strict=False)]
    assert waits == [0.5, 1, 2, 4, 8, 16, 32, 60, 60, 60]
    assert lane.failed_attempts == MAX_SUSPECTS + 10


def test_one_success_ends_the_backoff() -> None:
    """A probe that succeeds opens the lane again, with a small window at first."""
    lane = lane_with(*range(1, 100))
    go_down(lane, 0.0)
    (delivery,) = take_all(lane, 1.0)
    answer(lane, delivery, TAKEN, 1.1)
    assert (lane.state, lane.failures, lane.down_since) == (State.OK, 0, None)
    assert lane.limit == FIRST_WINDOW + 1


@pytest.mark.parametrize("response", [BUSY, UNWANTED])
def test_any_answer_shows_that_a_subscriber_is_up(response: DeliveryResponse) -> None:
    """A subscriber that answers, if only to refuse one event, is not down any more."""
    lane = lane_with(*range(1, 100))
    go_down(lane, 0.0)
    attempt(lane, response, 1.0)
    assert (lane.state, lane.failures) == (State.OK, 0)
    assert lane.sendable(1.0)


def test_what_fails_together_counts_once() -> None:
    """Attempts that were under way together when a subscriber went down are one failure of it."""
    lane = lane_with(*range(1, 100))
    for delivery in take_all(lane, 0.0):
        answer(lane, delivery, REFUSED, 0.1)
    assert lane.failures == 1
    assert lane.next_moment() == 0.1 + 0.5
    assert lane.failed_attempts == FIRST_WINDOW


def test_what_fails_together_counts_once_whatever_the_random_wait() -> None:
    """Attempts that failed together are one failure even where the first wait is thrown as nothing."""
    rules = Rules(rng=lambda: 0.0)
    lane = lane_of(new_record(subscriber_with(), EPOCH, 0), rules, retries=0, ends=1e6, now=0, wall=EPOCH)
    lane.offer(range(1, 10))
    for delivery in take_all(lane, 0.0):
        answer(lane, delivery, REFUSED, 0.1)
    assert lane.failures == 1


def test_a_lane_that_ended_begins_again_with_what_comes_then() -> None:
    """Nothing of the time without a lease is for the subscriber; what waits again from before still is."""
    lane = lane_with(1, 2)
    ended = replace(record_of(lane, 2, 0.0, EPOCH), ended_at=EPOCH, expired=True, spans=(Span(0, 2, None, 0),))
    ended = replace(ended, interests=(Interest(0, 2, ()),))
    lane = lane_of(ended, Rules(rng=high), retries=0, ends=0, now=0, wall=EPOCH)
    lane.renew(replace(lane.lease, ends=500.0), 7, 10.0)
    assert (lane.expired, lane.ended_at) == (False, None)
    assert [lane.covers(lane.live, seq, None) for seq in (2, 3, 7, 8)] == [True, False, False, True]
    assert lane.live.span().cursor == 7


def test_a_keep_alive_wakes_a_subscriber_that_was_down() -> None:
    """A renewal starts one probe at once; where it fails the backoff goes on where it was."""
    lane = lane_with(*range(1, 100))
    go_down(lane, 0.0)
    for _ in range(5):
        attempt(lane, REFUSED, lane.next_moment())
    now = lane.next_moment() - 10
    assert not lane.sendable(now)
    keep_alive(lane, now)
    (delivery,) = take_all(lane, now)
    answer(lane, delivery, REFUSED, now)
    assert (lane.failures, lane.next_moment()) == (7, now + 32)


def test_a_keep_alive_starts_no_second_probe() -> None:
    """A renewal while a probe is under way starts no other."""
    lane = lane_with(*range(1, 100))
    go_down(lane, 0.0)
    assert len(take_all(lane, 1.0)) == 1
    keep_alive(lane, 1.1)
    assert lane.take(1.1) is None


def test_a_subscriber_that_is_down_holds_next_to_no_memory() -> None:
    """While a subscriber is down its events stay in the journal, but for the next."""
    lane = lane_with(*range(1, WINDOW + 1))
    go_down(lane, 0.0)
    assert len(lane.live.buffered) == 1
    assert not lane.wants_page(0.0)
    assert lane.backlog == WINDOW
    assert holds_together(lane)


# Pauses


@pytest.mark.parametrize("status", [429, 503])
def test_a_pause_holds_for_the_whole_subscriber(status: int) -> None:
    """A subscriber that asks to wait gets nothing until then, and one attempt at first afterwards, of another event."""
    lane = lane_with(*range(1, 100))
    attempt(lane, DeliveryResponse(status, "30"), 0.0)
    assert (lane.state, lane.state_at(29.9), lane.state_at(30.0)) == (State.PAUSED, State.PAUSED, State.OK)
    assert lane.next_moment() == 30.0
    assert lane.take(29.9) is None
    assert numbers(lane, 30.0) == [2]
    assert (lane.failures, lane.failed_attempts) == (0, 1)


def test_a_keep_alive_ends_no_pause() -> None:
    """A renewal does not cut short the wait that a subscriber asked for."""
    lane = lane_with(1)
    attempt(lane, wait_please(30), 0.0)
    keep_alive(lane, 10.0)
    assert not lane.sendable(29.9)
    assert lane.sendable(30.0)


@pytest.mark.parametrize("response", [TAKEN, BUSY, UNWANTED, REFUSED])
def test_what_was_under_way_ends_no_pause(response: DeliveryResponse) -> None:
    """A pause is obeyed though attempts that were under way when it was asked for end in another way."""
    lane = lane_with(*range(1, 100))
    first, second, *_ = take_all(lane, 0.0)
    answer(lane, first, wait_please(30), 1.0)
    answer(lane, second, response, 1.1)
    lane.in_flight.clear()
    assert not lane.sendable(30.9)
    assert lane.sendable(31.0)


def test_a_pause_is_over_with_the_first_success_after_it() -> None:
    """After a pause the first success opens the lane again."""
    lane = lane_with(*range(1, 100))
    attempt(lane, wait_please(30), 0.0)
    attempt(lane, TAKEN, 30.0)
    assert lane.state is State.OK
    assert len(take_all(lane, 30.0)) == FIRST_WINDOW + 1


# The lease


def test_nothing_starts_from_the_second_on_in_which_the_lease_is_over() -> None:
    """Up to the lease's end attempts start; from that moment on none does, whoever has swept."""
    lane = lane_with(1, 2, ends=120)
    assert lane.sendable(119.999)
    assert not lane.sendable(120.0)
    assert lane.take(120.0) is None
    assert not lane.wants_page(120.0)


def test_an_attempt_that_was_under_way_when_the_lease_ended_still_counts() -> None:
    """What was begun while the lease was live is delivered if it succeeds afterwards."""
    lane = lane_with(1, ends=120)
    delivery = lane.take(119.0)
    assert delivery is not None
    answer(lane, delivery, TAKEN, 125.0)
    assert lane.delivered == 1


def test_what_fails_after_the_lease_has_ended_for_good_is_dead() -> None:
    """A delivery that fails while its lane is being ended becomes a dead letter, and is not deferred."""
    lane = lane_with(1, ends=120)
    delivery = lane.take(119.0)
    assert delivery is not None
    lane.begin_ending(1, EPOCH)
    answer(lane, delivery, REFUSED, 125.0)
    assert [letter.reason for letter in lane.dead_letters] == ["lease ended"]
    assert lane.backlog == 0


def test_a_subscriber_that_wants_no_more_is_left_alone_until_its_lane_ends() -> None:
    """An answer of 410 leaves the delivery pending, so that it is discarded with the rest and not dead."""
    lane = lane_with(1, retry_seconds=0)
    delivery = lane.take(0.0)
    assert delivery is not None
    lane.fail(delivery, GONE, DeliveryResponse(410), Moment(0.0, EPOCH))
    assert (lane.backlog, lane.dead, lane.failed_attempts) == (1, 0, 1)


def test_a_closed_lane_counts_nothing_any_more() -> None:
    """What comes back after a lane was closed changes nothing."""
    lane = lane_with(1, 2, 3)
    first, second, third = take_all(lane, 0.0)
    lane.close(CloseReason.LOST)
    before = lane.account
    answer(lane, first, TAKEN, 0.0)
    lane.release(second, 0.0)
    lane.drop_missing(third)
    assert lane.account == before
    assert not lane.sendable(0.0)


def test_a_lane_whose_changes_are_not_saved_starts_nothing_more() -> None:
    """A lane with two thousand changes that the journal has not got waits until they are saved."""
    lane = lane_with(*range(1, MAX_UNSAVED + 10))
    for seq in range(WINDOW + 1, MAX_UNSAVED + 10):
        lane.live.buffered.append(seq)
    taken = 0
    while attempt(lane, UNWANTED, 0.0) is not None:
        taken += 1
    assert taken == MAX_UNSAVED == 2_000
    lane.dead_letters.clear()
    assert lane.sendable(0.0)


# Order


def test_an_ordered_lane_sends_one_at_a_time_and_in_order_through_failures() -> None:
    """Where order counts, a failing event holds back those behind it until it is delivered."""
    lane = lane_with(1, 2, 3, ordered=True)
    now, seen = 0.0, []
    response = iter([BUSY, BUSY, TAKEN, REFUSED, wait_please(5), TAKEN, TAKEN])
    while lane.backlog:
        now = max(now, lane.next_moment())
        (delivery,) = take_all(lane, now)
        answer(lane, delivery, next(response), now)
        seen.append(delivery.seq)
    assert seen == [1, 1, 1, 2, 2, 2, 3]
    assert now == 0.5 + 1 + 0.5 + 5


def test_an_ordered_lane_goes_on_past_a_dead_event() -> None:
    """Where order counts, an event that is dead holds back nothing any more."""
    lane = lane_with(1, 2, 3, ordered=True)
    assert [attempt(lane, UNWANTED, 0.0), attempt(lane, TAKEN, 0.0)] == [1, 2]


def test_becoming_ordered_holds_back_what_comes_behind_a_retry() -> None:
    """A subscriber that asks for order while an event waits gets that event before any other."""
    lane = lane_with(1, 2, 3)
    attempt(lane, BUSY, 0.0)
    ordered = replace(lane.subscriber, options=replace(lane.subscriber.options, ordered=True))
    lane.renew(Lease(ordered, EPOCH, EPOCH, 1e6), 3, 0.0)
    assert lane.take(0.0) is None
    assert [attempt(lane, TAKEN, 0.5) for _ in range(3)] == [1, 2, 3]


def test_an_ordered_lane_sends_nothing_before_an_earlier_event_is_read_back() -> None:
    """Where order counts, a lane with an earlier event in the journal only starts nothing until it is read."""
    record = replace(new_record(subscriber_with(ordered=True), EPOCH, 9), in_flight=((9, 0),))
    lane = lane_of(record, Rules(rng=high), retries=1, ends=1e6, now=0, wall=EPOCH)
    assert lane.wants_page(0.0)
    assert lane.take(0.0) is None


# Replays


def in_turn(lane: Lane, size: int, turns: int) -> list[int]:
    """Keep so many under way, each in turn delivered; the runs of those that were started."""
    runs, under_way = [], []
    for _ in range(turns):
        while len(under_way) < size and (delivery := lane.take(0.0)) is not None:
            under_way.append(delivery)
            runs.append(delivery.replay_id)
        answer(lane, under_way.pop(0), TAKEN, 0.0)
    return runs


@pytest.mark.parametrize("size", [1, 2, 3, 4])
def test_a_replay_and_live_events_take_turns(size: int) -> None:
    """However many are under way, a replay gets about half of the attempts while live events wait too."""
    lane = lane_with(*range(1_001, 1_101), max_in_flight=size)
    lane.add_replay(0, 100, 100)
    lane.replays[0].load(range(1, 101), 100)
    runs = in_turn(lane, size, 40)
    assert 15 <= sum(runs) <= 25


def test_an_ordered_lane_finishes_its_replay_first() -> None:
    """Where order counts, a replay is delivered whole before live events go on."""
    lane = lane_with(11, 12, ordered=True)
    lane.add_replay(4, 6, 2)
    assert lane.take(0.0) is None
    lane.replays[0].load([5, 6], 6)
    assert [attempt(lane, TAKEN, 0.0) for _ in range(4)] == [5, 6, 11, 12]


def test_each_replay_is_a_run_of_its_own_and_counts_as_accepted() -> None:
    """A replay's deliveries are counted, and kept apart from the live ones of the same events."""
    lane = lane_with(1, 2)
    lane.add_replay(0, 2, 2)
    lane.replays[0].load([1, 2], 2)
    delivered = take_all(lane, 0.0)
    assert sorted((d.seq, d.replay_id) for d in delivered) == [(1, 0), (1, 1), (2, 0), (2, 1)]
    for delivery in delivered:
        answer(lane, delivery, TAKEN, 0.0)
    assert (lane.accepted, lane.delivered, lane.backlog) == (4, 4, 0)


def test_a_subscriber_has_so_many_replays_at_once() -> None:
    """A subscriber may have sixteen replays under way; one more is refused, until one has ended."""
    lane = lane_with()
    for _ in range(MAX_SPANS):
        lane.add_replay(0, 1, 1)
    with pytest.raises(TooMany, match="16 replays"):
        lane.check_replays()
    lane.replays[0].load([1], 1)
    assert attempt(lane, TAKEN, 0.0) == 1
    assert lane.take(0.0) is None
    lane.check_replays()
    lane.add_replay(0, 1, 1)
    assert holds_together(lane)


# Topics


def test_a_change_of_topics_holds_for_events_that_come_after_it() -> None:
    """What was accepted for the old topics stays accepted; the new ones hold from the renewal on."""
    lane = lane_with(topics=("a",))
    changed = replace(lane.subscriber, options=replace(lane.subscriber.options, topics=("b",)))
    lane.renew(Lease(changed, EPOCH, EPOCH, 1e6), scanned=10, now=0.0)
    wanted = [(seq, topic) for seq in (10, 11) for topic in ("a", "b") if lane.covers(lane.live, seq, topic)]
    assert wanted == [(10, "a"), (11, "b")]


def test_topics_may_be_changed_often_where_nothing_waits() -> None:
    """A subscriber whose events are all settled may change its topics as often as it likes."""
    lane, scanned = lane_with(topics=("t0",)), count(1)
    for turn in range(100):
        changed = replace(lane.subscriber, options=replace(lane.subscriber.options, topics=(f"t{turn}",)))
        seq = next(scanned)
        lane.live.cursor = seq
        lane.renew(Lease(changed, EPOCH, EPOCH, 1e6), scanned=seq, now=0.0)
    assert len(lane.interests) <= MAX_SPANS


def test_topics_changed_too_often_while_events_wait_are_refused() -> None:
    """More than sixteen changes of topics while events wait are refused, and the last topics still hold."""
    lane = lane_with(1, topics=("t",))
    with pytest.raises(TooMany, match="changed too often"):
        for turn in range(100):
            changed = replace(lane.subscriber, options=replace(lane.subscriber.options, topics=(f"t{turn}",)))
            lane.renew(Lease(changed, EPOCH, EPOCH, 1e6), scanned=turn + 2, now=0.0)
    assert lane.interests[-1].topics == lane.subscriber.options.topics
    assert lane.covers(lane.live, 1, "t")


# Dead letters come back


def test_dead_letters_that_are_tried_again_are_pending_again() -> None:
    """Dead letters that wait for an attempt again count as pending; those that are discarded as discarded."""
    lane = lane_with(1, 2, 3)
    for _ in range(3):
        attempt(lane, UNWANTED, 0.0)
    lane.requeue(2)
    lane.count_discarded(1)
    assert (lane.dead, lane.discarded, lane.backlog) == (0, 1, 2)
    assert holds_together(lane)


# Looking


def test_a_lane_with_nothing_to_do_asks_for_no_look() -> None:
    """A lane that has nothing waiting never asks to be looked at."""
    lane = lane_with()
    assert lane.next_moment() == math.inf
    assert not lane.sendable(0.0)
    assert not lane.wants_page(0.0)


WAITING: list[tuple[str, Callable[[Lane], object], int | None]] = [
    ("nothing", lambda lane: None, None),
    ("ready", lambda lane: lane.offer([4, 7]), 4),
    ("under way", lambda lane: [lane.offer([3, 9]), lane.take(0.0)], 3),
    ("deferred", lambda lane: [lane.offer([3, 9]), attempt(lane, BUSY, 0.0)], 3),
    ("replayed", lambda lane: [lane.offer([8]), lane.add_replay(1, 5, 2)], 2),
]


@pytest.mark.parametrize(("where", "put", "oldest"), WAITING)
def test_the_oldest_pending_event_is_known_wherever_it_is(
    where: str, put: Callable[[Lane], object], oldest: int | None
) -> None:
    """The oldest pending event is found in the ranges, among the deferred, and under way."""
    lane = lane_with()
    put(lane)
    if where == "ready":
        assert lane.oldest() is not None
        assert lane.oldest() <= 4
    else:
        assert lane.oldest() == oldest
