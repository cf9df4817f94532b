from dataclasses import replace
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from eventbus.core.addresses import parse_address
from eventbus.core.backoff import MAX_DELAY_SECONDS
from eventbus.core.model import Account, Interest, Options, State, Subscriber
from eventbus.core.records import LaneRecord, Retry, Span
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.health import MAX_SUSPECTS, Rules
from eventbus.delivery.lane.lane_record import MAX_WAIT_SECONDS, lane_of, new_record, record_of
from eventbus.delivery.lane.retry_rows import deliveries_of, retry_rows_of
from eventbus.journal import lane_json
from tests.support.lanes import BUSY, EPOCH, REFUSED, attempt, high, lane_with, subscriber_with, wait_please

NUMBERS = st.integers(0, 10**9)
MOMENTS = st.floats(1.7e9, 1.9e9)
TOPICS = st.lists(st.sampled_from(["a", "a.*", "b.>", "c.d"]), max_size=3, unique=True).map(tuple)
INTERESTS = st.builds(Interest, NUMBERS, st.none() | NUMBERS, TOPICS)
SUBSCRIBERS = st.builds(
    Subscriber,
    st.sampled_from(["host", "HOST:8080/a", "[::1]:80", "https://host", "http://10.0.0.1:81/x"]).map(parse_address),
    st.builds(
        Options,
        topics=TOPICS,
        lease=st.floats(5, 86_400),
        max_in_flight=st.integers(1, 1_000),
        timeout=st.floats(0.1, 120),
        ordered=st.booleans(),
        resume=st.booleans(),
    ),
    declared=st.booleans(),
)
RECORDS = st.builds(
    LaneRecord,
    subscriber=SUBSCRIBERS,
    registered_at=MOMENTS,
    renewed_at=MOMENTS,
    ended_at=st.none() | MOMENTS,
    spans=st.lists(st.builds(Span, st.integers(1, 9), NUMBERS, NUMBERS, NUMBERS, TOPICS), max_size=3).map(
        lambda replays: (Span(0, 17, None, 4), *replays)
    ),
    in_flight=st.lists(st.tuples(NUMBERS, st.integers(0, 9)), max_size=5, unique=True).map(tuple),
    account=st.builds(Account, NUMBERS, NUMBERS, NUMBERS, NUMBERS),
    failed_attempts=NUMBERS,
    runs=NUMBERS,
    interests=st.lists(INTERESTS, min_size=1, max_size=3).map(tuple),
    replayed=st.lists(INTERESTS, max_size=3).map(tuple),
    scanned=NUMBERS,
    state=st.sampled_from(State),
    failures=st.integers(0, 100),
    not_before=MOMENTS,
    down_since=st.none() | MOMENTS,
    last_error=st.text(max_size=50),
)


def restored(record: LaneRecord, now: float, wall: float) -> Any:
    """The lane of a record."""
    return lane_of(record, Rules(rng=high), retries=0, ends=now + 120, now=now, wall=wall)


@given(RECORDS)
def test_a_record_that_is_written_is_read_as_it_was(record: LaneRecord) -> None:
    """Whatever a lane's record holds, it comes back from the journal unchanged."""
    assert lane_json.from_json(lane_json.to_json(record)) == record


@given(RECORDS.filter(lambda record: record.state is not State.PAUSED), st.floats(0, 1e9))
def test_a_lane_restored_and_kept_again_is_the_same(record: LaneRecord, now: float) -> None:
    """A restart by itself changes nothing of what is kept, but that first attempts under way wait as retries."""
    wall = 1.8e9
    longest = MAX_WAIT_SECONDS if record.state is State.PAUSED else MAX_DELAY_SECONDS
    soonest = min(max(record.not_before, wall), wall + longest)
    waits = record.state not in (State.OK, State.FAILING)
    record = replace(record, not_before=soonest if waits else wall)
    record = replace(record, down_since=None if record.down_since is None else min(record.down_since, wall))
    lane = restored(record, now, wall)
    again = record_of(lane, record.scanned, now, wall)
    assert again.not_before == pytest.approx(record.not_before, abs=1e-3)
    assert (again.down_since is None) == (record.down_since is None)
    assert again.down_since is None or again.down_since == pytest.approx(record.down_since, abs=1e-3)
    assert set(lane.retries.unsaved_rows) == set(record.in_flight)
    same = replace(again, not_before=record.not_before, down_since=record.down_since, in_flight=record.in_flight)
    assert replace(same, wait_seconds=record.wait_seconds) == record


def test_a_new_subscriber_gets_what_comes_after_its_registration() -> None:
    """A subscriber that has just registered has a place at the newest event, and nothing pending."""
    record = new_record(subscriber_with(topics=("a",)), EPOCH, 41)
    assert record.spans == (Span(0, 41, None, 0),)
    assert record.interests == (Interest(41, None, ("a",)),)
    assert (record.account, record.scanned, record.open) == (Account(), 41, True)


def test_a_first_attempt_under_way_is_made_again_after_a_restart() -> None:
    """An attempt that a crash cut off is made again, and is the second."""
    lane = lane_with(1, 2)
    lane.take(0.0)
    record = record_of(lane, 2, 0.0, EPOCH)
    assert record.in_flight == ((1, 0),)
    lane = restored(record, 500.0, EPOCH + 60)
    delivery = lane.take(500.0)
    assert delivery is not None
    assert (delivery.seq, delivery.attempts, delivery.first) == (1, 2, 500.0)
    assert lane.account.pending == lane.backlog == 2


def test_a_retry_under_way_is_kept_by_its_row_alone() -> None:
    """A retry that a crash cut off is not counted twice: its row is still there."""
    lane = lane_with(1)
    attempt(lane, BUSY, 0.0)
    lane.take(10.0)
    assert record_of(lane, 1, 10.0, EPOCH + 10).in_flight == ()


def test_a_backoff_goes_on_after_a_restart() -> None:
    """A subscriber that was down is probed after a restart when it would have been, and not before."""
    lane = lane_with(*range(1, 50))
    for _ in range(MAX_SUSPECTS + 4):
        attempt(lane, REFUSED, max(0.0, lane.next_moment()))
    now = lane.next_moment() - 5
    record = record_of(lane, 50, now, EPOCH + now)
    assert record.not_before == EPOCH + now + 5
    lane = lane_of(record, Rules(rng=high), retries=1, ends=1e6, now=77.0, wall=EPOCH + now + 2)
    assert (lane.state, lane.failures, lane.not_before) == (State.DOWN, 5, 80.0)
    assert not lane.sendable(79.9)


def test_the_time_for_which_a_subscriber_was_down_counts_through_a_restart() -> None:
    """How long a subscriber has been down is measured over a restart, the time of the restart included."""
    lane = lane_with(1)
    attempt(lane, REFUSED, 10.0)
    record = record_of(lane, 1, 40.0, EPOCH + 40)
    assert record.down_since == EPOCH + 10
    assert restored(record, 1_000.0, EPOCH + 100).down_since == 1_000.0 - 90


def test_a_pause_goes_on_after_a_restart_and_one_that_is_over_does_not() -> None:
    """A pause lasts as long as it was asked for, restart or not."""
    lane = lane_with(1)
    attempt(lane, wait_please(30), 0.0)
    paused = record_of(lane, 1, 10.0, EPOCH + 10)
    assert restored(paused, 0.0, EPOCH + 15).not_before == 15.0
    over = record_of(lane, 1, 31.0, EPOCH + 31)
    assert over.state is State.OK


@pytest.mark.parametrize("step", [-86_400.0 * 365, -7_200.0])
def test_a_clock_that_was_set_back_lengthens_no_backoff_beyond_a_minute(step: float) -> None:
    """When the wall clock was set back over a restart, a subscriber is probed within the longest backoff."""
    lane = lane_with(1)
    attempt(lane, REFUSED, 0.0)
    record = record_of(lane, 1, 0.0, EPOCH)
    assert restored(record, 0.0, EPOCH + step).not_before <= MAX_DELAY_SECONDS


@pytest.mark.parametrize("step", [-86_400.0 * 365, -7_200.0, -5.0, 0.0, 5.0, 86_400.0])
def test_a_step_of_the_clock_lengthens_no_pause(step: float) -> None:
    """A pause lasts no longer than was left of it when it was saved, however the wall clock was set over a restart."""
    lane = lane_with(1)
    attempt(lane, wait_please(20), 0.0)
    saved = lane_json.from_json(lane_json.to_json(record_of(lane, 1, 8.0, EPOCH + 8.0)))
    left = restored(saved, 0.0, EPOCH + 8.0 + step).not_before
    assert max(0.0, left) == pytest.approx(max(0.0, min(12.0, 12.0 - step)))
    old = restored(replace(saved, wait_seconds=None), 0.0, EPOCH + 8.0 + step).not_before
    assert left <= max(0.0, old) <= MAX_WAIT_SECONDS


def row(first_at: float, due_at: float) -> Retry:
    """A row of a delivery that was tried three times."""
    return Retry("http://h:80", 7, 0, 3, first_at, due_at, 500, "answered 500")


def test_a_row_counts_on_the_clock_of_the_process_that_reads_it() -> None:
    """A deferred delivery keeps its age and the time until its next attempt, on another process's clock."""
    (delivery,) = deliveries_of([row(EPOCH - 100, EPOCH + 20)], 1_000.0, EPOCH)
    assert (delivery.first, delivery.due) == (900.0, 1_020.0)
    assert (delivery.seq, delivery.attempts, delivery.status, delivery.error) == (7, 3, 500, "answered 500")
    assert delivery.kept


@pytest.mark.parametrize("step", [-86_400.0 * 365, -7_200.0])
def test_a_clock_that_was_set_back_lengthens_no_retry_beyond_a_minute(step: float) -> None:
    """When the wall clock was set back, a retry is made within the longest backoff, and is not younger than new."""
    (delivery,) = deliveries_of([row(EPOCH, EPOCH + 60)], 1_000.0, EPOCH + step)
    assert delivery.due == 1_000.0 + MAX_DELAY_SECONDS
    assert delivery.first == 1_000.0


def test_a_clock_that_was_set_forward_makes_retries_due() -> None:
    """When the wall clock was set forward, a retry is due at once."""
    (delivery,) = deliveries_of([row(EPOCH, EPOCH + 60)], 1_000.0, EPOCH + 86_400)
    assert delivery.due <= 1_000.0


def test_rows_are_written_for_what_has_changed_and_come_back_the_same() -> None:
    """A deferred delivery that is written and read back is the same delivery."""
    lane = lane_with(1)
    attempt(lane, BUSY, 3.0)
    (saved,) = retry_rows_of(lane, 3.25, EPOCH + 3.25)
    assert (saved.key, saved.first_at, saved.due_at) == (lane.subscriber.key, EPOCH + 3, EPOCH + 3.5)
    (delivery,) = deliveries_of([saved], 3.25, EPOCH + 3.25)
    assert delivery_fields(delivery) == delivery_fields(lane.retries.in_memory()[0])


def delivery_fields(delivery: Delivery) -> tuple[object, ...]:
    """All that makes a delivery what it is."""
    return (
        delivery.seq, delivery.replay_id, delivery.attempts, delivery.first, delivery.due,
        delivery.status, delivery.error, delivery.kept,
    )  # fmt: skip
