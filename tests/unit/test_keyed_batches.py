"""The rules of batches of a lane that is ordered by key: several events of a key in one request, in order."""

from eventbus.delivery.lane.batch import Failure
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.limits import LaneLimits
from eventbus.delivery.lane.outcome import REJECTED, RETRY, AttemptResult, Verdict
from tests.support.lane_batches import answer_each, moments, numbers_of, send, take_batch, take_batches
from tests.support.lanes import BUSY, TAKEN, UNWANTED
from tests.unit.test_keyed_lane import keyed, keyed_lane


def is_settled(lane: Lane) -> bool:
    """Whether nothing is left, in memory or in the counts."""
    return (lane.backlog, lane.companions, keyed(lane).queues, list(lane.retries.unattempted())) == (0, 0, {}, [])


def test_a_batch_has_several_events_of_a_key_in_order() -> None:
    """What waits for an event of a batch goes along with it, and other keys fill what is left."""
    lane = keyed_lane("abaacb")
    assert [send(lane, TAKEN, 1.0) for _ in range(2)] == [[1, 3, 4, 2, 6, 5], []]
    assert is_settled(lane)


def test_a_key_is_in_one_batch_at_a_time() -> None:
    """While events of a key are in flight in one batch, no other batch has that key."""
    lane = keyed_lane("aaaab")
    assert [numbers_of(batch) for batch in take_batches(lane, 1.0, most=2)] == [[1, 2], [5]]


def test_the_next_of_a_key_waits_for_all_of_it_in_flight() -> None:
    """What is behind a batch is attempted once each event of its key in there is settled."""
    lane = keyed_lane("aaaa")
    batch = take_batch(lane, 1.0, 3)
    assert batch is not None
    lane.deliver_along(batch.deliveries[1:])
    assert lane.take(1.0) is None
    lane.deliver(batch.deliveries[0], 1.0)
    assert send(lane, TAKEN, 1.0) == [4]
    assert is_settled(lane)


def test_a_failed_batch_comes_again_in_order() -> None:
    """After a ``5xx`` a key's events come in halves, in order, before what was behind them."""
    lane = keyed_lane("aaaaaab")
    assert send(lane, BUSY, 1.0, most=4) == [1, 2, 3, 4]
    assert [send(lane, TAKEN, 1.1, most=4) for _ in range(2)] == [[7], []]
    assert [send(lane, TAKEN, 9.0, most=4) for _ in range(4)] == [[1, 2], [3, 4], [5, 6], []]
    assert is_settled(lane)


def test_a_rejected_event_ends_alone_and_in_order() -> None:
    """Of a key's events in a batch that is answered ``4xx`` one is a dead letter, and the others come in order."""
    lane = keyed_lane("a" * 8)
    order, taken = [], list[int]()
    while (batch := take_batch(lane, 1.0)) is not None:
        order.append(numbers_of(batch))
        if 3 in order[-1]:
            batch.fail(REJECTED, UNWANTED, moments(batch, 1.0))
        else:
            batch.deliver(1.0)
            taken += order[-1]
    assert order == [[*range(1, 9)], [1, 2, 3, 4], [1, 2], [3, 4], [3], [4], [5, 6, 7, 8]]
    assert (taken, [letter.seq for letter in lane.dead_letters]) == ([1, 2, 4, 5, 6, 7, 8], [3])
    assert is_settled(lane)


def test_a_failed_event_stops_those_of_its_key_that_are_named_behind_it() -> None:
    """Of a key the first event that failed was attempted; what is named behind it was not, and comes along again."""
    lane = keyed_lane("aaab")
    batch = take_batch(lane, 1.0)
    assert batch is not None
    answer_each(batch, {1: Failure(AttemptResult(Verdict.RETRY, 7.0)), 2: Failure(RETRY), 3: Failure(RETRY)}, 1.0)
    found = {one.seq: one.attempts for one in lane.retries.in_memory()}
    assert found == {2: 1, 3: 0, 4: 1}, "event 4 has another key"
    assert [send(lane, TAKEN, 1.6), send(lane, TAKEN, 7.9), send(lane, TAKEN, 8.0)] == [[4], [], [2, 3]]
    assert is_settled(lane)


def test_what_is_done_behind_a_failed_event_of_its_key_stays_done() -> None:
    """An event that is not named is delivered, and what was not in the batch waits for the one that failed."""
    lane = keyed_lane("aaaa")
    batch = take_batch(lane, 1.0, 3)
    assert batch is not None
    answer_each(batch, {1: Failure(RETRY)}, 1.0)
    assert [send(lane, TAKEN, 1.1), send(lane, TAKEN, 9.0)] == [[], [2, 4]]
    assert is_settled(lane)


def test_an_event_that_is_rejected_behind_a_failed_one_is_dead() -> None:
    """A ``reject`` counts at once, wherever the event is in its key."""
    lane = keyed_lane("aaa")
    batch = take_batch(lane, 1.0)
    assert batch is not None
    answer_each(batch, {0: Failure(RETRY), 1: Failure(REJECTED, b"no")}, 1.0)
    assert [letter.seq for letter in lane.dead_letters] == [2]
    assert [send(lane, TAKEN, 1.1), send(lane, TAKEN, 9.0)] == [[], [1]]
    assert is_settled(lane)


def test_a_batch_that_was_not_sent_keeps_its_order() -> None:
    """Events of a batch for which this node had no room come together again."""
    lane = keyed_lane("aabb")
    batch = take_batch(lane, 1.0)
    assert batch is not None
    batch.release(2.0)
    assert (send(lane, TAKEN, 1.9), keyed(lane).held()) == ([], [])
    assert send(lane, TAKEN, 2.0) == [1, 2, 3, 4]
    assert is_settled(lane)


def test_events_of_a_key_that_are_only_in_the_journal_follow_in_order() -> None:
    """A batch has what is in memory of a key; what is only in the journal is read then, and follows."""
    lane = keyed_lane("a" * 9, LaneLimits(retries=3))
    assert send(lane, BUSY, 1.0, most=2) == [1, 2]
    assert keyed(lane).queues["a"].spilled == 5
    lane.clear_changes()
    assert send(lane, TAKEN, 9.0) == [1], "half of the batch that failed"
    assert send(lane, TAKEN, 9.0) == [2]
    assert send(lane, TAKEN, 9.0) == [3, 4]
    assert (send(lane, TAKEN, 9.0), list(keyed(lane).freed)) == ([], ["a"])
    keyed(lane).load_key("a", [Delivery(seq, kept=True, order_key="a") for seq in range(5, 10)])
    assert send(lane, TAKEN, 9.0) == [5, 6, 7, 8, 9]
    assert is_settled(lane)


def test_more_keys_than_are_ready_at_once_fill_a_batch() -> None:
    """A lane looks at further events while a batch is being filled."""
    lane = keyed_lane("abcdefgh", LaneLimits(ready_events=2))
    assert send(lane, TAKEN, 1.0) == [*range(1, 9)]
    assert is_settled(lane)


def test_events_are_read_together_with_those_that_they_go_along_with() -> None:
    """Where the first event has to be read from the journal, those behind it with its key are read, too."""
    lane = keyed_lane("abaa", batch=10)
    first = lane.take(1.0)
    assert first is not None
    assert lane.upcoming(first) == [3, 4, 2]
