"""The rules of a lane that is ordered by key, one by one."""

from collections.abc import Sequence
from typing import Any

from eventbus.core.leases import Lease
from eventbus.core.ordering import BY_KEY
from eventbus.core.records import BLOCKED_UNTIL
from eventbus.delivery.lane.closing import discard_checkpoint
from eventbus.delivery.lane.delivery import Delivery
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.keyed_retries import KeyedRetries
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import lane_of, new_record, record_of
from eventbus.delivery.lane.limits import LaneLimits
from eventbus.delivery.lane.retry_rows import retry_rows_of
from tests.support.events import event
from tests.support.lanes import BUSY, EPOCH, TAKEN, UNWANTED, answer, high, subscriber_with, take_all

#: Attempts that a lane makes at once.
IN_FLIGHT = 8


def keyed_lane(keys: Sequence[str], limits: LaneLimits | None = None, **options: Any) -> Lane:
    """A lane that was offered an event of each of these keys, numbered from 1; an empty one is none."""
    events = {seq: event(seq, key=key) for seq, key in enumerate(keys, 1)}
    rules = Rules(86_400, high, limits=limits or LaneLimits(), find=events.get)
    record = new_record(subscriber_with(max_in_flight=IN_FLIGHT, ordered=BY_KEY, **options), EPOCH, 0)
    lane = lane_of(record, rules, retries=0, ends=1e6, now=0, wall=EPOCH)
    lane.offer(list(events))
    return lane


def keyed(lane: Lane) -> KeyedRetries:
    """The retries of a lane that is ordered by key."""
    assert isinstance(lane.retries, KeyedRetries)
    return lane.retries


def numbers(deliveries: Sequence[Delivery]) -> list[int]:
    """Their sequence numbers."""
    return [delivery.seq for delivery in deliveries]


def test_one_event_of_each_key_is_attempted_at_once() -> None:
    """Events with the same key wait for the first of them; those without a key wait for none."""
    lane = keyed_lane(["a", "a", "b", "", "", "b"])
    taken = take_all(lane, 0)
    assert numbers(taken) == [1, 3, 4, 5]
    answer(lane, taken[0], TAKEN, 1)
    answer(lane, taken[2], TAKEN, 1)
    assert numbers(take_all(lane, 1)) == [2]


def test_a_failing_event_holds_back_its_key_alone() -> None:
    """Events behind it get rows that are never due by themselves; those of other keys go on."""
    lane = keyed_lane(["a", "a", "b", "a", "b"])
    first, other = take_all(lane, 0)
    answer(lane, first, BUSY, 1)
    answer(lane, other, TAKEN, 1)
    assert numbers(take_all(lane, 1)) == [5]
    rows = {row.seq: row for row in retry_rows_of(lane, 1, EPOCH + 1)}
    assert [(seq, row.order_key, row.blocked, row.attempts) for seq, row in sorted(rows.items())] == [
        (1, "a", False, 1), (2, "a", True, 0), (4, "a", True, 0),
    ]  # fmt: skip
    assert rows[2].due_at == BLOCKED_UNTIL
    assert [(key, head.seq) for key, head in keyed(lane).held()] == [("a", 1)]


def test_a_key_follows_in_order_once_its_event_is_taken() -> None:
    """When the failing event succeeds, the next of its key is due at once, one after another."""
    lane = keyed_lane(["a", "a", "a"])
    answer(lane, take_all(lane, 0)[0], BUSY, 1)
    assert take_all(lane, 1) == []
    order = []
    for _ in range(3):
        (delivery,) = take_all(lane, 100)
        order.append(delivery.seq)
        answer(lane, delivery, TAKEN, 100)
    assert (order, lane.backlog, keyed(lane).queues) == ([1, 2, 3], 0, {})


def test_a_dead_letter_frees_its_key() -> None:
    """A rejected event holds nothing back."""
    lane = keyed_lane(["a", "a"])
    answer(lane, take_all(lane, 0)[0], UNWANTED, 1)
    assert numbers(take_all(lane, 1)) == [2]
    assert (lane.dead, keyed(lane).held()) == (1, [])


def test_an_attempt_that_was_not_made_writes_no_rows_behind_it() -> None:
    """A delivery that is put back without an attempt keeps its key, and what is behind it waits in memory."""
    lane = keyed_lane(["a", "a"])
    lane.release(take_all(lane, 0)[0], 5)
    assert [row.seq for row in retry_rows_of(lane, 1, EPOCH + 1)] == [1]
    assert take_all(lane, 1) == []
    assert numbers(take_all(lane, 6)) == [1]


def test_behind_a_key_that_has_not_failed_memory_is_bounded() -> None:
    """At the bound no further event is looked at, until one of those that wait is attempted."""
    lane = keyed_lane(["a"] * 6 + ["b"], LaneLimits(waiting_events=3))
    (first,) = take_all(lane, 0)
    assert (lane.retries.count, lane.live.left) == (0, 6)
    answer(lane, first, TAKEN, 1)
    assert numbers(take_all(lane, 1)) == [2]
    for _ in range(2):
        answer(lane, min(lane.in_flight, key=lambda delivery: delivery.seq), TAKEN, 2)
        take_all(lane, 2)
    assert 7 in numbers([*lane.in_flight])


def test_with_too_many_keys_no_further_one_begins() -> None:
    """At the bound of busy keys events of other ones wait, those without a key behind them too."""
    lane = keyed_lane(["a", "b", "c", ""], LaneLimits(order_keys=2))
    first, second = take_all(lane, 0)
    assert (first.seq, second.seq) == (1, 2)
    answer(lane, first, TAKEN, 1)
    assert numbers(take_all(lane, 1)) == [3, 4]


def test_of_thousands_behind_a_failing_event_memory_holds_a_few() -> None:
    """Those beyond the bound are only in the journal, and are wanted from there once their key is free."""
    lane = keyed_lane(["a"] * 50, LaneLimits(retries=10))
    answer(lane, take_all(lane, 0)[0], BUSY, 1)
    retries = keyed(lane)
    assert (lane.retries.count, len(retries.in_memory()), retries.queues["a"].spilled) == (50, 11, 39)
    lane.clear_changes()
    for _ in range(11):
        (delivery,) = take_all(lane, 100)
        answer(lane, delivery, TAKEN, 100)
    assert (take_all(lane, 100), list(retries.freed), lane.wants_page(100)) == ([], ["a"], True)
    rows = [Delivery(seq, kept=True, order_key="a") for seq in range(12, 51)]
    assert retries.load_key("a", rows) == 0
    assert numbers(take_all(lane, 100)) == [12]


def test_rows_that_the_journal_has_not_any_more_free_their_key() -> None:
    """What was to be read, and is not there, is returned as missing, and holds nothing back."""
    lane = keyed_lane(["a"] * 5, LaneLimits(retries=1))
    answer(lane, take_all(lane, 0)[0], BUSY, 1)
    for _ in range(2):
        answer(lane, take_all(lane, 100)[0], TAKEN, 100)
    assert keyed(lane).load_key("a", []) == 3
    assert (lane.retries.count, keyed(lane).queues) == (0, {})


def test_what_waits_in_memory_is_in_the_record_and_comes_again() -> None:
    """Events that have left their range without an attempt are saved one by one, and are rows after a restart."""
    lane = keyed_lane(["a", "a", "b", ""])
    delivery = lane.take(0)
    assert delivery is not None
    record = record_of(lane, 4, 0, EPOCH)
    assert (record.in_flight, sorted(record.waiting)) == (((1, 0),), [(2, 0), (3, 0), (4, 0)])
    again = lane_of(record, Rules(), retries=0, ends=1e6, now=0, wall=EPOCH)
    assert (again.backlog, again.sendable(0), again.wants_page(0)) == (4, False, True)
    assert {row.seq: row.attempts for row in retry_rows_of(again, 0, EPOCH)} == {1: 1, 2: 0, 3: 0, 4: 0}


def test_nothing_starts_until_it_is_known_which_keys_are_busy() -> None:
    """A lane with rows waits until they are read; one that becomes ordered by key first ends what is in flight."""
    lane = keyed_lane(["a", "a"])
    subscriber = subscriber_with(max_in_flight=IN_FLIGHT)
    lane.renew(Lease(subscriber, EPOCH, EPOCH, 1e6), 2, 0.0)
    assert not isinstance(lane.retries, KeyedRetries)
    lane.live.load([1, 2], 2)
    first, second = take_all(lane, 0)
    by_key = subscriber_with(max_in_flight=IN_FLIGHT, ordered=BY_KEY)
    lane.renew(Lease(by_key, EPOCH, EPOCH, 1e6), 2, 0.0)
    answer(lane, first, BUSY, 1)
    assert (lane.wants_page(100), lane.sendable(100)) == (False, False)
    answer(lane, second, TAKEN, 1)
    assert (lane.wants_page(100), lane.sendable(100)) == (True, False)
    retries = keyed(lane)
    retries.begin_reading()
    retries.admit(Delivery(1, attempts=1, due=2, kept=True, order_key="a"), blocked=False, known=True)
    retries.end_reading()
    assert numbers(take_all(lane, 100)) == [1]


def test_replayed_events_go_before_live_ones_of_their_key() -> None:
    """What a replay delivers again comes first, and the live events of a key wait for it."""
    lane = keyed_lane(["a", "b", "a"])
    taken = take_all(lane, 0)
    for delivery in taken:
        answer(lane, delivery, TAKEN, 0)
    (third,) = take_all(lane, 0)
    lane.add_replay(0, 2, 2)
    part = lane.replays[0]
    part.load_events([event(1, key="a"), event(2, key="b")], 2)
    assert [(d.seq, d.replay_id) for d in take_all(lane, 0)] == [(2, 1)]
    answer(lane, third, TAKEN, 0)
    assert [(d.seq, d.replay_id) for d in take_all(lane, 0)] == [(1, 1)]


def test_what_waits_for_its_key_is_among_the_discards() -> None:
    """Events behind one in flight have no row: a lane that is discarded names them, and its record keeps none."""
    lane = keyed_lane("aab")
    take_all(lane, 0)
    checkpoint = discard_checkpoint(lane, 3, 0, EPOCH)
    found = {seq for span in checkpoint.discards for seq in range(span.first, span.last + 1)}
    assert found == {1, 2, 3}
    assert checkpoint.lanes[0].waiting == ()
