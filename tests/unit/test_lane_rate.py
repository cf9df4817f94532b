"""When attempts start in a lane that keeps to a rate: of single events and of batches, and in a group."""

import math
from dataclasses import replace
from typing import Any

import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.leases import Lease
from eventbus.core.model import Group, Options, Subscriber
from eventbus.delivery.lane.batch import DeliveryBatch
from eventbus.delivery.lane.group_lane import GroupLane
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import lane_of, new_member_record, new_record, record_of
from tests.support.lanes import BUSY, EPOCH, TAKEN, answer, attempt, high, lane_with, subscriber_with, take_all


def starts(lane: Lane, count: int, response: Any = TAKEN) -> list[float]:
    """When so many attempts start, each answered at once, where the lane is woken whenever it asks for that."""
    found, now = list[float](), 0.0
    while len(found) < count:
        now = max(now, lane.next_moment())
        if attempt(lane, response, now) is not None:
            found.append(now)
    return found


def test_attempts_start_evenly_spaced() -> None:
    """However many events wait, and however many may be in flight."""
    lane = lane_with(*range(1, 10), rate="2/1")
    assert len(take_all(lane, 0.0)) == 1
    assert (lane.take(0.49), lane.next_moment()) == (None, 0.5)
    assert len(take_all(lane, 0.5)) == 1
    assert len(take_all(lane, 60.0)) == 1


def test_attempts_that_fail_count_too() -> None:
    """A retry is one of those that the rate allows."""
    lane = lane_with(1, 2, 3, rate="1/10", backoff=(0.1, 0.1))
    assert starts(lane, 5, BUSY) == [0.0, 10.0, 20.0, 30.0, 40.0]


def test_a_retry_at_once_and_a_renewal_wait_for_the_rate() -> None:
    """They end a backoff, and allow no more than before."""
    lane = lane_with(1, 2, rate="1/10", backoff=(60.0, 60.0))
    attempt(lane, BUSY, 0.0)
    lane.retry_now(1.0)
    lane.renew(replace(lane.lease, ends=1_000.0), 2, 1.0)
    assert (lane.take(9.9), attempt(lane, TAKEN, 10.0)) == (None, 1)


def test_the_lower_of_two_rates_holds() -> None:
    """Of the option and of what the subscriber allows when it consents."""
    for rate, allowed, space in (("1/10", 60, 10.0), ("10/1", 30, 2.0), ("", 30, 2.0), ("1/10", None, 10.0)):
        rules = Rules(rng=high, handshake=True)
        record = new_record(subscriber_with(rate=rate), EPOCH, 0)
        lane = lane_of(record, rules, retries=0, ends=math.inf, now=0.0, wall=EPOCH)
        lane.offer([1, 2])
        (first,) = take_all(lane, 0.0)
        lane.consent(allowed, 0.0)
        answer(lane, first, TAKEN, 0.1)
        assert (lane.take(space - 0.01), lane.next_moment()) == (None, space)


def test_another_rate_holds_from_the_renewal_on() -> None:
    """Also none at all."""
    lane = lane_with(1, 2, 3, rate="1/3600")
    attempt(lane, TAKEN, 0.0)
    for rate, moment in (("1/10", 10.0), ("", 10.0)):
        lane.renew(Lease(subscriber_with(rate=rate), EPOCH, EPOCH, 1e6), 3, 5.0)
        assert lane.next_moment() <= moment
        assert attempt(lane, TAKEN, moment) is not None


def batch_of(lane: Lane, now: float) -> int:
    """Start as large a batch as may start, and have it taken; how many events that was."""
    first = lane.take(now)
    if first is None:
        return 0
    batch = DeliveryBatch(lane, first)
    while len(batch.deliveries) < lane.together:
        size = len(batch.deliveries)
        found = lane.candidates(batch.deliveries[-1], now, size, lane.together - size)
        if found is None:
            break
        batch.add(found, len(found.seqs), now)
    batch.deliver(now)
    return len(batch.deliveries)


def test_a_batch_has_as_many_events_as_the_rate_and_counts_as_them() -> None:
    """The next one waits for as many spaces."""
    lane = lane_with(*range(1, 101), rate="10/5", batch=50)
    assert [batch_of(lane, now) for now in (0.0, 4.9, 5.0, 9.9, 10.0)] == [10, 0, 10, 0, 10]
    small = lane_with(1, 2, 3, rate="10/5", batch=2)
    assert [batch_of(small, now) for now in (0.0, 0.9, 1.0)] == [2, 0, 1]


def test_a_batch_that_is_as_large_as_may_be_waits_for_no_more() -> None:
    """It is full with what the rate allows."""
    lane = lane_with(*range(1, 5), rate="4/1", batch=100, batch_wait=5)
    assert batch_of(lane, 0.0) == 4


@pytest.mark.parametrize(("batch", "waits"), [(1, 1.0), (5, 5.0), (50, 10.0)])
def test_a_restart_is_no_burst(batch: int, waits: float) -> None:
    """What was sent in the last moment is not known: as much is waited for, but where nothing was sent ever."""
    lane = lane_with(*range(1, 30), rate="10/10", batch=batch)
    fresh = lane_of(record_of(lane, 30, 0.0, EPOCH), Rules(), retries=0, ends=math.inf, now=5.0, wall=EPOCH)
    fresh.live.load([1], 1)
    assert fresh.take(5.0) is not None
    attempt(lane, TAKEN, 0.0)
    again = lane_of(record_of(lane, 30, 1.0, EPOCH), Rules(), retries=0, ends=math.inf, now=5.0, wall=EPOCH)
    again.live.load(range(2, 30), 30)
    assert (again.take(5.0 + waits - 0.01), again.next_moment()) == (None, 5.0 + waits)


def test_each_member_of_a_group_keeps_to_its_own_rate() -> None:
    """The others get what one may not have yet; where none may, the group waits for the first that may."""
    rates = ("1/10", "1/2")
    addresses = [parse_address(f"127.0.0.1:{8000 + number}") for number in range(2)]
    members = tuple(
        new_member_record(Subscriber(address, Options(rate=rate)), EPOCH)
        for address, rate in zip(addresses, rates, strict=True)
    )
    record = new_record(Group("mailer", Options()), EPOCH, 0, members)
    lane = lane_of(record, Rules(rng=high), retries=0, ends=math.inf, now=0.0, wall=EPOCH)
    assert isinstance(lane, GroupLane)
    lane.offer(range(1, 100))
    found: dict[str, list[float]] = {address.key: [] for address in addresses}
    now = 0.0
    while now < 20.0:
        now = max(now, lane.next_moment())
        for delivery in take_all(lane, now):
            found[lane.member_of(delivery).subscriber.key].append(now)
            answer(lane, delivery, TAKEN, now)
    assert found == {addresses[0].key: [0.0, 10.0, 20.0], addresses[1].key: [float(at) for at in range(0, 21, 2)]}


def test_waiting_for_a_rate_is_no_slowness() -> None:
    """The subscriber stays among those that answer quickly, and in the state that it has."""
    lane = lane_with(*range(1, 50), rate="1/1")
    starts(lane, 20)
    lane.set_slow(slow=False)
    starts(lane, 5)
    assert (lane.slow, lane.hung, lane.down_since) == (False, 0, None)
