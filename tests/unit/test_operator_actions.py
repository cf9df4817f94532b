"""What an operator does to a lane: pauses, resumes, retries at once, and skips."""

import json
import math
from dataclasses import replace
from typing import Any

import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.errors import TooMany
from eventbus.core.leases import Lease
from eventbus.core.model import Event, Group, Options, State, Subscriber
from eventbus.core.records import LaneRecord, Pause
from eventbus.delivery.lane.group_lane import GroupLane
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import lane_of, new_member_record, new_record, record_of
from eventbus.delivery.lane.limits import LaneLimits
from eventbus.delivery.lane.ranges import MAX_SKIPPED
from eventbus.delivery.lane.skips import Found, letters_of, settle, skipped_record, take_out, waits_behind_key
from eventbus.delivery.lane.status import status
from eventbus.journal.lane_json import from_json, to_json
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

PAUSE = Pause("10.0.0.7", EPOCH, None)
SMALL = LaneLimits(buffered_events=10, low_water=3, retries=2)


def event(seq: int, key: str = "") -> Event:
    """An event with this number."""
    return Event(seq, f"e-{seq}", None, b"", b"", EPOCH, key)


def skip(lane: Lane, seq: int, now: float = 0.0, key: str = "") -> Found:
    """Skip an event of which no row is only in the journal."""
    found = take_out(lane, event(seq, key), [])
    settle(lane, found, now, EPOCH + now)
    return found


def reread(lane: Lane, now: float, wall: float, *, retries: int = 0) -> Lane:
    """The lane as another process reads it."""
    record = from_json(to_json(record_of(lane, 100, now, wall)))
    return lane_of(record, Rules(rng=high), retries=retries, ends=math.inf, now=now, wall=wall)


def group_lane(count: int, **options: Any) -> GroupLane:
    """A group with so many members, which has been offered ten events."""
    addresses = [parse_address(f"127.0.0.1:{8000 + number}") for number in range(count)]
    members = tuple(new_member_record(Subscriber(each, Options(**options)), EPOCH) for each in addresses)
    record = new_record(Group("mailer", Options(**options)), EPOCH, 0, members)
    lane = lane_of(record, Rules(rng=high), retries=0, ends=math.inf, now=0.0, wall=EPOCH)
    assert isinstance(lane, GroupLane)
    lane.offer(range(1, 11))
    return lane


# Pauses


def test_nothing_begins_while_an_operator_pauses() -> None:
    """What is in flight ends as ever, and changes nothing about the pause."""
    lane = lane_with(*range(1, 9), max_in_flight=4)
    flying = take_all(lane, 0.0)
    lane.begin_pause(PAUSE, math.inf)
    assert status(lane, 0.0) is State.PAUSED
    for delivery, response in zip(flying, (TAKEN, BUSY, REFUSED, UNWANTED), strict=True):
        answer(lane, delivery, response, 1.0)
        assert lane.take(1.0) is None
    assert lane.take(1e9) is None
    assert lane.next_moment() == math.inf
    assert lane.resume(2.0) is True
    assert lane.take(2.0) is not None


def test_a_pause_with_an_end_ends_by_itself() -> None:
    """The lane is woken then, and works as before."""
    lane = lane_with(1, 2)
    attempt(lane, TAKEN, 0.0)
    lane.begin_pause(replace(PAUSE, until=EPOCH + 60), 60.0)
    assert (lane.next_moment(), lane.take(59.9), status(lane, 59.9)) == (60.0, None, State.PAUSED)
    assert (status(lane, 60.0), lane.pause_at(60.0)) == (State.OK, None)
    assert attempt(lane, TAKEN, 60.0) == 2


def test_a_pause_is_beside_what_the_subscriber_causes_itself() -> None:
    """When it ends, a subscriber that is down is down, and one that asked for a pause has what is left of it."""
    lane = lane_with(1, 2)
    attempt(lane, REFUSED, 0.0)
    lane.begin_pause(PAUSE, math.inf)
    assert (status(lane, 1.0), lane.own_state_at(1.0)) == (State.PAUSED, State.DOWN)
    lane.end_pause()
    assert status(lane, 1.0) is State.DOWN
    other = lane_with(1, 2)
    attempt(other, wait_please(100), 0.0)
    other.begin_pause(PAUSE, 50.0)
    assert (other.take(60.0), status(other, 60.0)) == (None, State.PAUSED)
    assert other.resume(60.0) is True
    assert attempt(other, TAKEN, 60.0) is not None
    assert other.resume(61.0) is False


def test_a_pause_outlives_renewals_and_restarts() -> None:
    """It is in the lane's record, and ends when it was to end, by the wall clock."""
    lane = lane_with(1)
    lane.begin_pause(replace(PAUSE, until=EPOCH + 3_600), 3_600.0)
    lane.renew(replace(lane.lease, ends=5_000.0), 1, 10.0)
    assert lane.take(10.0) is None
    again = reread(lane, 10.0, EPOCH + 100.0)
    assert again.pause_at(10.0) == lane.pause
    again.live.load([1], 1)
    assert (again.take(3_509.0), attempt(again, TAKEN, 3_510.0)) == (None, 1)
    assert reread(lane, 10.0, EPOCH + 3_600.0).pause is None
    lane.begin_pause(PAUSE, math.inf)
    assert reread(lane, 10.0, EPOCH).take(1e9) is None


def test_a_pause_is_kept_with_the_position_and_ends_without_it() -> None:
    """Whoever comes back to a kept position is still paused."""
    kept, lost = lane_with(1, resume=True), lane_with(1)
    for lane in (kept, lost):
        lane.begin_pause(PAUSE, math.inf)
    kept.park(EPOCH)
    kept.renew(replace(kept.lease, ends=5_000.0), 1, 10.0)
    lost.begin_ending(1, EPOCH)
    assert (kept.pause, lost.pause) == (PAUSE, None)


def test_a_member_is_paused_alone() -> None:
    """The others get its share; where it is the only one, the group is paused."""
    lane = group_lane(2)
    first, second = lane.roster
    first.begin_pause(PAUSE, math.inf)
    lane.members_changed(0.0)
    flying = take_all(lane, 0.0)
    assert {lane.member_of(delivery) for delivery in flying} == {second}
    assert (status(first, 0.0), status(lane, 0.0)) == (State.PAUSED, State.NEW)
    for delivery in flying:
        answer(lane, delivery, TAKEN, 0.0)
    second.begin_pause(replace(PAUSE, until=EPOCH + 60), 60.0)
    lane.members_changed(0.0)
    assert (status(lane, 0.0), lane.take(59.0), lane.next_moment()) == (State.PAUSED, None, 60.0)
    assert lane.take(60.0) is not None
    assert reread(lane, 1.0, EPOCH + 1.0).roster.get(first.subscriber.key).pause == PAUSE  # type: ignore[union-attr]


def test_a_paused_standby_is_passed_over() -> None:
    """Where one member gets all, the next one takes over while it is paused, once what was in flight has ended."""
    lane = group_lane(2, group_mode="one")
    first, second = lane.roster
    flying = take_all(lane, 0.0)
    first.begin_pause(PAUSE, math.inf)
    lane.members_changed(0.0)
    assert lane.take(1.0) is None
    for delivery in flying:
        answer(lane, delivery, TAKEN, 1.0)
    taken = lane.take(1.0)
    assert taken is not None
    assert lane.member_of(taken) is second


def test_a_paused_group_gets_nothing() -> None:
    """Whatever its members are."""
    lane = group_lane(2)
    lane.begin_pause(PAUSE, 60.0)
    assert (lane.take(59.0), status(lane, 59.0), lane.next_moment()) == (None, State.PAUSED, 60.0)
    assert lane.take(60.0) is not None


def test_what_an_operator_has_done_is_in_the_record() -> None:
    """It is written and read as it was; a record without it is as those of older versions are."""
    lane = lane_with(*range(1, 9), max_in_flight=2)
    take_all(lane, 0.0)
    assert not {"pause", "skipping"} & set(json.loads(to_json(record_of(lane, 8, 0.0, EPOCH))))
    lane.begin_pause(replace(PAUSE, until=EPOCH + 60), 60.0)
    for seq in (2, 4, 6):
        skip(lane, seq)
    record = record_of(lane, 8, 1.0, EPOCH + 1.0)
    assert (record.pause, record.spans[0].skipped) == (replace(PAUSE, until=EPOCH + 60), (4, 6))
    assert [(letter.seq, letter.reason, letter.attempts) for letter in record.skipping] == [(2, "skipped", 1)]
    assert from_json(to_json(record)) == record


# Retries at once


def test_what_waits_for_its_backoff_is_due_when_an_operator_says_so() -> None:
    """Of several, all; of a subscriber that is down, too."""
    lane = lane_with(1, 2, 3, max_in_flight=3, backoff=(60.0, 60.0))
    for delivery in take_all(lane, 0.0):
        answer(lane, delivery, BUSY, 1.0)
    assert (lane.take(1.0), lane.retry_now(2.0)) == (None, 3)
    assert lane.take(2.0) is not None
    down = lane_with(1, backoff=(600.0, 600.0))
    attempt(down, REFUSED, 0.0)
    assert status(down, 1.0) is State.DOWN
    assert (down.take(1.0), down.retry_now(1.0), attempt(down, TAKEN, 1.0)) == (None, 1, 1)


def test_a_pause_goes_on_though_retries_are_due() -> None:
    """They come when it ends."""
    lane = lane_with(1, backoff=(600.0, 600.0))
    attempt(lane, BUSY, 0.0)
    lane.begin_pause(PAUSE, 60.0)
    assert (lane.retry_now(1.0), lane.take(59.0), attempt(lane, TAKEN, 60.0)) == (1, None, 1)


def test_all_members_that_are_down_are_attempted() -> None:
    """And what has failed at all of them."""
    lane = group_lane(2, backoff=(600.0, 600.0))
    while flying := take_all(lane, 0.0):
        for delivery in flying:
            answer(lane, delivery, REFUSED, 0.0)
    assert status(lane, 1.0) is State.DOWN
    assert lane.take(1.0) is None
    assert lane.retry_now(1.0) == len(lane.retries.in_memory())
    assert lane.take(1.0) is not None


# Skips


@pytest.mark.parametrize("seq", [1, 4, 8])
def test_an_event_is_skipped_before_its_first_attempt(seq: int) -> None:
    """Wherever it waits; the others come, in order, also after a restart, and the account holds."""
    lane = lane_with(*range(1, 9), ordered=True)
    lane.live.shrink()
    lane.live.load(range(2, 6), 5)
    found = skip(lane, seq)
    assert (len(found.waiting), found.in_flight) == (1, ())
    for each in (lane, reread(lane, 0.0, EPOCH)):
        assert (each.accepted, each.backlog, each.dead) == (8, 7, 1)
        part = each.live
        mine = [number for number in range(part.cursor + 1, 9) if each.covers(part, number, None)]
        part.load(mine, 8)
        taken = []
        while (one := attempt(each, TAKEN, 1.0)) is not None:
            taken.append(one)
        assert taken == [number for number in range(1, 9) if number != seq]
        assert (part.remaining, each.delivered) == (0, 7)


def test_the_cursor_passes_what_was_skipped() -> None:
    """Nothing is remembered of it then."""
    lane = lane_with(1, 2, 3)
    skip(lane, 2)
    assert record_of(lane, 3, 0.0, EPOCH).spans[0].skipped == (2,)
    attempt(lane, TAKEN, 0.0)
    assert record_of(lane, 3, 0.0, EPOCH).spans[0].skipped == ()
    assert not lane.holds(2, None)


def test_an_event_that_waits_for_its_retry_is_skipped() -> None:
    """An ordered lane goes on with the next one."""
    lane = lane_with(1, 2, ordered=True, backoff=(600.0, 600.0))
    attempt(lane, BUSY, 0.0)
    assert lane.take(1.0) is None
    found = take_out(lane, event(1), [])
    (letter,) = letters_of(lane, found.waiting, 1.0, EPOCH + 1.0)
    assert (letter.reason, letter.attempts, letter.error) == ("skipped", 1, "answered 500")
    assert lane.take(1.0) is None  # until it is saved
    settle(lane, found, 1.0, EPOCH + 1.0)
    assert attempt(lane, TAKEN, 1.0) == 2
    assert (lane.backlog, lane.dead, lane.delivered) == (0, 1, 1)


@pytest.mark.parametrize(
    ("response", "dead"), [(TAKEN, 0), (BUSY, 1), (REFUSED, 1), (UNWANTED, 1), (wait_please(9), 1)]
)
def test_an_attempt_in_flight_ends_before_its_event_is_skipped(response: object, dead: int) -> None:
    """A success stays one; any failure is a dead letter with the reason ``skipped``."""
    lane = lane_with(1, 2, ordered=True)
    (flying,) = take_all(lane, 0.0)
    found = skip(lane, 1)
    assert (found.waiting, found.in_flight, lane.dead) == ((), (flying,), 0)
    answer(lane, flying, response, 1.0)  # type: ignore[arg-type]
    assert (lane.dead, [letter.reason for letter in lane.dead_letters]) == (dead, ["skipped"] * dead)
    assert lane.backlog == 1


def test_an_attempt_that_was_not_made_ends_a_skipped_event() -> None:
    """It is dead as it was when it was skipped."""
    lane = lane_with(1)
    (flying,) = take_all(lane, 0.0)
    skip(lane, 1, 2.0)
    lane.release(flying, 5.0)
    assert (lane.dead, lane.backlog, lane.dead_letters[0].last_at) == (1, 0, EPOCH + 2.0)


@pytest.mark.parametrize("failed_before", [False, True])
def test_what_was_skipped_in_flight_is_dead_after_a_crash(failed_before: bool) -> None:
    """Nobody knows whether it was delivered, and it is not attempted again."""
    lane = lane_with(1, 2, ordered=True, backoff=(0.1, 0.1))
    if failed_before:
        attempt(lane, BUSY, 0.0)
    (flying,) = take_all(lane, 1.0)
    lane.clear_changes()
    skip(lane, 1, 1.0)
    again = reread(lane, 2.0, EPOCH + 2.0, retries=int(failed_before))
    assert flying.kept is failed_before
    assert (again.dead, again.backlog, again.retries.count) == (1, 1, 0)
    assert again.retries.removed_rows == ({(1, 0)} if failed_before else set())
    assert again.dead_letters == [flying.skipped]
    again.live.load([2], 2)
    assert attempt(again, TAKEN, 2.0) == 2


def test_a_skip_that_could_not_be_saved_changes_nothing() -> None:
    """The event waits as before, for an attempt at once."""
    lane = lane_with(1, 2, 3, ordered=True)
    found = take_out(lane, event(1), [])
    assert lane.backlog == 3
    for delivery in found.waiting:
        lane.release_withheld(delivery, 1.0)
    assert (lane.backlog, lane.dead) == (3, 0)
    assert [attempt(lane, TAKEN, 1.0) for _ in range(3)] == [1, 2, 3]


def test_the_record_says_what_will_be_once_it_is_saved() -> None:
    """Dead in the account, and neither in flight nor in the range."""
    lane = lane_with(1, 2)
    found = take_out(lane, event(2), [])
    record: LaneRecord = skipped_record(lane, found, 2, 0.0, EPOCH)
    assert (record.account.dead, record.in_flight, record.spans[0].remaining) == (1, (), 1)
    assert record.account.pending == 1


def test_replays_of_an_event_are_skipped_with_it() -> None:
    """Each is a delivery of its own."""
    lane = lane_with(1, 2)
    lane.add_replay(0, 2, 2)
    assert len(skip(lane, 2).waiting) == 2
    assert (lane.backlog, lane.dead) == (2, 2)


def test_so_many_events_may_be_skipped_behind_others() -> None:
    """They have to be remembered until the cursor passes them."""
    lane = lane_with(*range(1, MAX_SKIPPED + 3))
    for seq in range(2, MAX_SKIPPED + 2):
        skip(lane, seq)
    with pytest.raises(TooMany, match="1000 events were skipped behind others"):
        take_out(lane, event(MAX_SKIPPED + 2), [])
    assert lane.backlog == 2


def keyed(*keys: str) -> Lane:
    """A lane that is ordered by key, with an event of each of these keys, from number 1 on."""
    events = {number: event(number, key) for number, key in enumerate(keys, 1)}
    rules = Rules(rng=high, find=events.get)
    record = new_record(subscriber_with(ordered="key", max_in_flight=8), EPOCH, 0)
    lane = lane_of(record, rules, retries=0, ends=math.inf, now=0.0, wall=EPOCH)
    lane.offer(list(events))
    return lane


def test_a_key_is_freed_by_skipping_its_head() -> None:
    """The next event of the key comes, whether the head had failed or was not attempted yet."""
    lane = keyed("x", "x", "y", "x")
    flying = {delivery.seq: delivery for delivery in take_all(lane, 0.0)}
    assert set(flying) == {1, 3}
    answer(lane, flying[1], BUSY, 0.0)
    lane.clear_changes()
    assert not waits_behind_key(lane, event(1, "x"))
    assert len(skip(lane, 1, 1.0, "x").waiting) == 1
    assert not waits_behind_key(lane, event(2, "x"))
    lane.clear_changes()
    assert len(skip(lane, 2, 1.0, "x").waiting) == 1
    assert [delivery.seq for delivery in take_all(lane, 1.0)] == [4]
    assert (lane.backlog, lane.dead) == (2, 2)


def test_an_event_behind_its_key_is_found_among_the_rows() -> None:
    """All of the lane is unloaded for that, and the order stays."""
    lane = keyed("x", "x", "x")
    (first,) = take_all(lane, 0.0)
    assert waits_behind_key(lane, event(2, "x"))
    lane.retries.unload(lane.in_flight)
    rows = [delivery for delivery in lane.retries.unsaved_rows.values() if delivery.seq == 2]
    lane.retries.begin_load()
    found = take_out(lane, event(2, "x"), rows)
    settle(lane, found, 0.0, EPOCH)
    assert len(found.waiting) == 1
    assert (lane.backlog, lane.dead) == (2, 1)
    answer(lane, first, TAKEN, 1.0)
    assert lane.retries.count == 1


def test_a_replayed_event_may_wait_behind_its_key_once_more() -> None:
    """A replay makes another delivery of an event: where one is found in memory, its other one may be a row."""
    lane = keyed("x", "x")
    take_all(lane, 0.0)
    lane.add_replay(0, 2, 2)
    assert waits_behind_key(lane, event(2, "x"))
    lane.retries.unload(lane.in_flight)
    assert not waits_behind_key(lane, event(2, "x"))


def test_a_delivery_that_is_only_in_the_journal_is_skipped_by_its_row() -> None:
    """Rows beyond what memory holds are found, too, and the others are read again."""
    lane = lane_with(1, 2, 3, limits=SMALL, max_in_flight=3)
    for delivery in take_all(lane, 0.0):
        answer(lane, delivery, BUSY, 0.0)
    spilled = {d.seq for d in lane.retries.unsaved_rows.values()} - {d.seq for d in lane.retries.in_memory()}
    (seq,) = spilled
    rows = [delivery for delivery in lane.retries.unsaved_rows.values() if delivery.seq == seq]
    lane.clear_changes()
    lane.retries.begin_load()
    found = take_out(lane, event(seq), rows)
    settle(lane, found, 1.0, EPOCH + 1.0)
    assert (lane.backlog, lane.dead, lane.retries.count, lane.retries.spilled) == (2, 1, 2, 0)
    assert lane.retries.removed_rows == {(seq, 0)}


def test_an_event_that_is_not_pending_is_not_found() -> None:
    """Neither one that is settled, nor one that no topic chose, nor one that has not come."""
    lane = lane_with(1, topics=("a",))
    attempt(lane, TAKEN, 0.0)
    for seq in (1, 2, 3):
        assert not take_out(lane, event(seq), [])


def test_a_lease_of_a_lane_says_nothing_of_its_pause() -> None:
    """A new term begins with the pause of before."""
    lane = lane_with(1)
    lane.begin_pause(PAUSE, math.inf)
    lane.renew(Lease(subscriber_with(max_in_flight=2), EPOCH, EPOCH, 900.0), 1, 5.0)
    assert lane.pause_at(5.0) is PAUSE
