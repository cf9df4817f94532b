"""The rules of batches: what goes along in one request, and what the answer means for each event."""

import json

import pytest

from eventbus.delivery.lane.batch import Failure, InvalidBatchResponse, failures_in
from eventbus.delivery.lane.health import MAX_SUSPECTS
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import record_of
from eventbus.delivery.lane.outcome import REJECTED, RETRY, AttemptResult, DeliveryResponse, Verdict
from tests.support.groups import A, B, group_with, subscribers
from tests.support.lane_batches import answer_each, moments, numbers_of, send, take_batch
from tests.support.lanes import BUSY, EPOCH, REFUSED, TAKEN, UNWANTED, lane_with, wait_please


def holds_together(lane: Lane) -> bool:
    """Whether what was accepted is where it should be, and no attempt is counted that has ended."""
    return lane.account.pending == lane.backlog and lane.companions == 0


def test_what_waits_goes_in_one_request() -> None:
    """A batch has what waits, in order, and never more than its most."""
    lane = lane_with(*range(1, 251), batch=100)
    assert [len(send(lane, TAKEN, 1.0)) for _ in range(4)] == [100, 100, 50, 0]
    assert (lane.account.delivered, lane.backlog) == (250, 0)
    assert holds_together(lane)


def test_a_batch_counts_once_against_the_window() -> None:
    """As many batches may be in flight as attempts, whatever their size."""
    lane = lane_with(*range(1, 101), batch=10, max_in_flight=2)
    first, second = take_batch(lane, 1.0, 10), take_batch(lane, 1.0, 10)
    assert first is not None
    assert second is not None
    assert len(lane.in_flight) == 20
    assert take_batch(lane, 1.0, 10) is None
    first.deliver(1.0)
    assert take_batch(lane, 2.0, 10) is not None


def test_a_batch_in_flight_is_saved() -> None:
    """Each event of a batch in flight stands in the lane's record, so that a restart delivers it again."""
    lane = lane_with(1, 2, 3, batch=10)
    take_batch(lane, 1.0, 10)
    assert sorted(seq for seq, *_ in record_of(lane, 3, 1.0, EPOCH).in_flight) == [1, 2, 3]


def test_a_rejected_batch_ends_with_the_rejected_event_alone() -> None:
    """With one event that is answered 4xx, that one alone is a dead letter, and all others are delivered."""
    lane = lane_with(*range(1, 101), batch=100)
    sizes = []
    for _ in range(100):
        batch = take_batch(lane, 1.0, 100)
        if batch is None:
            break
        sizes.append(len(batch.deliveries))
        if 37 in [delivery.seq for delivery in batch.deliveries]:
            batch.fail(REJECTED, UNWANTED, moments(batch, 1.0))
        else:
            batch.deliver(1.0)
    assert (lane.account.delivered, lane.account.dead) == (99, 1)
    assert [letter.seq for letter in lane.dead_letters] == [37]
    assert sizes[:3] == [100, 50, 50]
    assert len(sizes) <= 15
    assert holds_together(lane)


def test_a_failed_batch_waits_once() -> None:
    """All of a batch that is answered 5xx wait as long as one event would, and come in two halves."""
    lane = lane_with(*range(1, 11), batch=10)
    send(lane, BUSY, 1.0)
    assert send(lane, TAKEN, 1.4) == []
    assert [send(lane, TAKEN, 1.6), send(lane, TAKEN, 1.6)] == [[1, 2, 3, 4, 5], [6, 7, 8, 9, 10]]
    assert lane.failed_attempts == 1
    assert holds_together(lane)


def test_a_batch_without_an_answer_counts_as_one_attempt() -> None:
    """A subscriber is held back after as many batches without an answer as it would be after events."""
    lane = lane_with(*range(1, 101), batch=10)
    for number in range(MAX_SUSPECTS):
        assert not lane.held, number
        send(lane, REFUSED, 1.0, most=10)
    assert lane.held
    assert len(send(lane, TAKEN, 100.0)) == 1, "a probe is one event"
    assert len(send(lane, TAKEN, 100.0)) > 1
    assert holds_together(lane)


def test_a_pause_holds_for_all() -> None:
    """What a batch asks for as a pause holds for the subscriber, and all of the batch come together then."""
    lane = lane_with(*range(1, 11), batch=10)
    send(lane, wait_please(30), 1.0)
    assert send(lane, TAKEN, 30.0) == []
    assert len(send(lane, TAKEN, 33.0)) == 10


def test_an_ordered_batch_stops_those_behind_it() -> None:
    """With ``ordered=true`` one batch is in flight, and what failed comes first, in order."""
    lane = lane_with(*range(1, 9), batch=4, ordered=True)
    batch = take_batch(lane, 1.0, 4)
    assert batch is not None
    assert take_batch(lane, 1.0, 4) is None
    batch.fail(RETRY, BUSY, moments(batch, 1.0))
    assert send(lane, TAKEN, 1.2, 4) == []
    assert [send(lane, TAKEN, 2.0, 4) for _ in range(4)] == [[1, 2], [3, 4], [5, 6, 7, 8], []]
    assert holds_together(lane)


def test_an_ordered_batch_comes_in_halves_in_order() -> None:
    """With ``ordered=true`` each half of a batch that is answered 4xx goes before what was behind it."""
    lane = lane_with(*range(1, 9), batch=4, ordered=True)
    assert send(lane, UNWANTED, 1.0, 4) == [1, 2, 3, 4]
    assert send(lane, UNWANTED, 1.0, 4) == [1, 2]
    assert [send(lane, UNWANTED, 1.0, 4), send(lane, TAKEN, 1.0, 4)] == [[1], [2]]
    assert [send(lane, TAKEN, 1.0, 4) for _ in range(3)] == [[3, 4], [5, 6, 7, 8], []]
    assert [letter.seq for letter in lane.dead_letters] == [1]
    assert holds_together(lane)


def test_an_ordered_event_that_fails_stops_what_is_named_behind_it() -> None:
    """With ``ordered=true`` what is named behind the first that failed waits for it, and was not attempted."""
    lane = lane_with(*range(1, 9), batch=4, ordered=True, max_attempts=2)
    batch = take_batch(lane, 1.0, 4)
    assert batch is not None
    answer_each(batch, {1: Failure(AttemptResult(Verdict.RETRY, 7.0)), 2: Failure(RETRY), 3: Failure(RETRY)}, 1.0)
    assert {one.seq: one.attempts for one in lane.retries.in_memory()} == {2: 1, 3: 0, 4: 0}
    assert send(lane, TAKEN, 7.9, 4) == []
    again = take_batch(lane, 8.0, 4)
    assert again is not None
    assert numbers_of(again) == [2, 3, 4, 5]
    answer_each(again, {0: Failure(RETRY), 1: Failure(RETRY), 2: Failure(RETRY), 3: Failure(RETRY)}, 8.0)
    assert [letter.seq for letter in lane.dead_letters] == [2]
    assert [send(lane, TAKEN, 9.0, 4) for _ in range(2)] == [[3, 4, 5, 6], [7, 8]]
    assert holds_together(lane)


def test_what_is_done_behind_a_failed_event_stays_done() -> None:
    """With ``ordered=true`` an event that is not named is delivered, also behind one that is."""
    lane = lane_with(*range(1, 5), batch=3, ordered=True)
    batch = take_batch(lane, 1.0, 3)
    assert batch is not None
    answer_each(batch, {1: Failure(RETRY)}, 1.0)
    assert [send(lane, TAKEN, 1.1, 3), send(lane, TAKEN, 9.0, 3)] == [[], [2, 4]]


def test_each_event_may_fail_by_itself() -> None:
    """Events that a 2xx names wait or are dead letters, and the others are delivered."""
    lane = lane_with(1, 2, 3, 4, batch=10)
    batch = take_batch(lane, 1.0, 10)
    assert batch is not None
    body = {"failed": [{"id": "1", "reject": "unknown"}, {"id": "3", "retry_after": 7}, {"id": "4"}]}
    failures = failures_in(json.dumps(body).encode(), [("1",), ("2",), ("3",), ("4",)])
    batch.settle(failures, DeliveryResponse(200), moments(batch, 1.0))
    assert (lane.account.delivered, lane.account.dead, lane.retries.count) == (1, 1, 2)
    assert (lane.dead_letters[0].seq, lane.dead_letters[0].answer) == (1, b"unknown")
    assert {one.seq: one.due for one in lane.retries.in_memory()} == {3: 8.0, 4: 1.5}
    assert holds_together(lane)


def test_all_events_may_fail_by_themselves() -> None:
    """Where a 2xx names every event, none is delivered, and no attempt stays counted."""
    lane = lane_with(1, 2, batch=10)
    batch = take_batch(lane, 1.0, 10)
    assert batch is not None
    failures = failures_in(b'{"failed": [{"id": "1"}, {"id": "2"}]}', [("1",), ("2",)])
    batch.settle(failures, DeliveryResponse(200), moments(batch, 1.0))
    assert (lane.account.delivered, lane.retries.count) == (0, 2)
    assert holds_together(lane)


@pytest.mark.parametrize(
    ("wait", "seconds"),
    [("9" * 400, 3_600.0), ("1e400", 3_600.0), ("0.5", 0.5), ("-1", 0.0), ("NaN", 0.0), ('"7"', 0.0)],
)
def test_an_event_waits_for_an_hour_at_most(wait: str, seconds: float) -> None:
    """However large the number is that a subscriber gives, and for its own backoff where it is none."""
    body = f'{{"failed": [{{"id": "1", "retry_after": {wait}}}]}}'.encode()
    assert failures_in(body, [("1",)])[0].result.wait == seconds


@pytest.mark.parametrize("body", [b"", b"ok", b'"failed"', b"{}", b'{"failed": []}', b'{"handled": 3}'])
def test_a_body_that_names_no_event_fails_none(body: bytes) -> None:
    """A 2xx whose body is no JSON object, or has no failed events, delivers all."""
    assert failures_in(body, [("1",)]) == {}


@pytest.mark.parametrize(
    "body", [b'{"failed": [{"id": "1"}', b'{"failed": 1}', b'{"failed": ["1"]}', b'{"failed": [{"id": "9"}]}']
)
def test_a_body_that_cannot_be_understood_delivers_nothing(body: bytes) -> None:
    """Where it is not known which events failed, none counts as delivered."""
    with pytest.raises(InvalidBatchResponse):
        failures_in(body, [("1",)])


def test_an_event_is_named_by_either_id() -> None:
    """The bus's id names an event; a CloudEvent's own names all that have it, where it is none of the bus's."""
    ids = [("a", "x"), ("b", "x"), ("x",)]
    assert failures_in(b'{"failed": [{"id": "x"}]}', ids).keys() == {2}
    assert failures_in(b'{"failed": [{"id": "x"}]}', ids[:2]).keys() == {0, 1}


def test_a_batch_that_was_not_sent_waits() -> None:
    """Events of a batch for which this node had no room wait as if they had not been attempted."""
    lane = lane_with(1, 2, 3, batch=10)
    batch = take_batch(lane, 1.0, 10)
    assert batch is not None
    batch.release(2.0)
    assert [one.attempts for one in lane.retries.in_memory()] == [0, 0, 0]
    assert send(lane, TAKEN, 2.0) == [1, 2, 3]
    assert holds_together(lane)


def test_a_batch_waits_for_more() -> None:
    """With ``batch_wait`` a batch that is not full waits so long for more, and a full one goes at once."""
    lane = lane_with(1, batch=3, batch_wait=2.0)
    assert send(lane, TAKEN, 1.0, 3) == []
    assert lane.next_moment() == 3.0
    lane.offer([2])
    assert send(lane, TAKEN, 2.9, 3) == []
    assert send(lane, TAKEN, 3.0, 3) == [1, 2]
    lane.offer([3])
    assert send(lane, TAKEN, 3.1, 3) == []
    lane.offer([4, 5])
    assert send(lane, TAKEN, 3.2, 3) == [3, 4, 5]


def test_a_batch_goes_to_one_member() -> None:
    """In a group a batch goes to one member, and counts there as one attempt and as its deliveries."""
    lane = group_with(*range(1, 9), members=subscribers(A, B, batch=4))
    first, second = take_batch(lane, 1.0, 4), take_batch(lane, 1.0, 4)
    assert first is not None
    assert second is not None
    at = [{lane.member_of(one).subscriber.key for one in batch.deliveries} for batch in (first, second)]
    assert at == [{A}, {B}]
    assert [member.in_flight for member in lane.roster] == [1, 1]
    first.deliver(1.0)
    second.fail(RETRY, BUSY, moments(second, 1.0))
    assert [(member.in_flight, member.delivered) for member in lane.roster] == [(0, 4), (0, 0)]
    again = take_batch(lane, 1.0, 4)
    assert again is not None
    assert lane.member_of(again.deliveries[0]).subscriber.key == A, "another member takes what failed"
    assert [one.error for one in again.deliveries] == [f"{B}: answered 500"] * 2
    again.deliver(1.0)
    assert holds_together(lane)


def test_the_last_attempt_of_an_event_is_its_own() -> None:
    """With ``max_attempts`` an event that fails among others has one attempt alone before it is dead."""
    lane = lane_with(*range(1, 9), batch=8, max_attempts=3)
    assert len(send(lane, BUSY, 1.0)) == 8
    assert [len(send(lane, BUSY, 10.0)) for _ in range(2)] == [4, 4]
    assert [len(send(lane, TAKEN, 100.0)) for _ in range(9)] == [1] * 8 + [0]
    assert (lane.account.delivered, lane.account.dead) == (8, 0)


def test_halves_of_a_rejected_batch_count_as_one_attempt() -> None:
    """However often a batch is halved, its events have been attempted once."""
    lane = lane_with(*range(1, 9), batch=8, max_attempts=2)
    for _ in range(20):
        send(lane, UNWANTED, 1.0)
    assert {(letter.reason, letter.attempts) for letter in lane.dead_letters} == {("rejected", 1)}


def test_at_most_once_holds_for_a_rejected_batch() -> None:
    """With ``max_attempts=1`` nothing of a batch is sent again."""
    lane = lane_with(1, 2, 3, batch=8, max_attempts=1)
    assert send(lane, UNWANTED, 1.0) == [1, 2, 3]
    assert lane.account.dead == 3
