from dataclasses import replace

import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.model import Account, State
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import lane_of, new_record
from eventbus.delivery.slow_pool import SlowPool, Turn
from tests.support.lanes import EPOCH, subscriber_with


def lane_at(address: str, *, tried: bool = True) -> Lane:
    """A lane whose subscriber is there, and has failed before or was not tried yet."""
    subscriber = replace(subscriber_with(), address=parse_address(address))
    record = replace(new_record(subscriber, EPOCH, 0), failed_attempts=int(tried))
    return lane_of(record, Rules(), retries=0, ends=1e6, now=0.0, wall=EPOCH)


def pool_of(size: int) -> SlowPool:
    """A pool for which a lane is at the host of its address."""
    return SlowPool(size, lambda lane: [lane.subscriber.address.host])


def begun(pool: SlowPool, *lanes: Lane) -> list[Turn]:
    """The turns of those lanes that found room."""
    return [turn for lane in lanes if (turn := pool.admit(lane)) is not None]


def hosts(count: int, *, tried: bool = True, of: int = 1) -> list[Lane]:
    """Lanes of so many hosts."""
    return [lane_at(f"host-{of}-{number}", tried=tried) for number in range(count)]


def test_slow_lanes_have_half_of_all_deliveries() -> None:
    """Of 16 deliveries no more than 8 are to slow subscribers, 6 to those that failed, and the rest is for new ones."""
    pool = pool_of(16)
    assert len(begun(pool, *hosts(20))) == 6
    assert pool.waits == 14
    assert len(begun(pool, *hosts(20, tried=False, of=2))) == 2
    assert pool.busy == 8


def test_one_host_has_no_more_than_a_quarter() -> None:
    """Subscribers of one host, on whatever port, leave room for those of another."""
    pool = pool_of(16)
    assert len(begun(pool, *[lane_at(f"one:{80 + number}", tried=False) for number in range(20)])) == 4
    assert len(begun(pool, lane_at("two:80", tried=False), lane_at("one:300", tried=False))) == 1


def test_a_host_is_known_by_each_of_its_addresses() -> None:
    """Many names of one IP address have a quarter together, and each of them may wait for another."""
    pool = SlowPool(16, lambda lane: [lane.subscriber.address.host, "192.0.2.1"])
    turns = begun(pool, *hosts(20))
    assert len(turns) == 4
    for left in range(15, -1, -1):
        released = list(pool.end(turns.pop(0)))
        assert len(released) == 1
        turns += begun(pool, *released)
        assert (len(turns), pool.waits) == (4, left)


def test_who_waits_is_let_go_when_there_is_room() -> None:
    """After each turn one lane that waits may go; who has delivered, who is new and who only failed, in turn."""
    pool = pool_of(8)
    turns = begun(pool, *hosts(2), *hosts(2, tried=False, of=2))
    failed, new = hosts(3, of=3), hosts(2, tried=False, of=4)
    proven = lane_at("proven")
    proven.delivered = 1
    assert begun(pool, *failed, *new, proven) == []
    order: list[Lane] = []
    while turns:
        released = list(pool.end(turns.pop(0)))
        order += released
        turns += begun(pool, *released)
    assert order == [proven, new[0], failed[0], new[1], failed[1], failed[2]]
    assert (pool.busy, pool.waits) == (0, 0)


def test_who_waits_for_a_host_is_let_go_by_its_turns() -> None:
    """A lane that waits since its host has enough goes after a turn of that host."""
    pool = pool_of(8)
    first, second = begun(pool, lane_at("one"), lane_at("one:81"))
    waiting = lane_at("one:82")
    (other,) = begun(pool, waiting, lane_at("other"))
    assert list(pool.end(other)) == []
    assert list(pool.end(first)) == [waiting]
    assert list(pool.end(second)) == []


def test_who_is_slow_no_more_waits_no_longer() -> None:
    """A lane that has answered quickly leaves the pool from wherever it waits, and is not let go once more."""
    pool = pool_of(4)
    (turn,) = begun(pool, *(lanes := [lane_at(f"one:{port}") for port in range(80, 84)]))
    assert [pool.leave(lane) for lane in (lanes[2], lanes[2], lanes[0])] == [True, False, False]
    assert list(pool.end(turn)) == [lanes[1]]
    assert pool.waits == 1


def test_a_lane_is_slow_until_it_has_delivered() -> None:
    """A new lane counts as slow, and so does one that was down; one that has delivered does not."""
    record = new_record(subscriber_with(), EPOCH, 0)
    proven = replace(record, account=Account(accepted=1, delivered=1))
    down = replace(proven, state=State.DOWN)

    def slow(one: object) -> bool:
        return lane_of(one, Rules(), retries=0, ends=1e6, now=0.0, wall=EPOCH).slow  # type: ignore[arg-type]

    assert [slow(one) for one in (record, proven, down)] == [True, False, True]


@pytest.mark.parametrize("size", [1, 2])
def test_there_is_always_room_for_one(size: int) -> None:
    """However few deliveries may be under way, a slow lane has its turn."""
    assert len(begun(pool_of(size), lane_at("one"))) == 1


def test_an_attempt_that_has_come_to_take_long_counts_while_it_is_under_way() -> None:
    """What hangs though nothing spoke for it takes room of the slow ones; what is over that ends if others wait."""
    pool = pool_of(16)
    begun(pool, *hosts(2))
    hanging = hosts(10, of=2)
    turns = [pool.take_over(lane, None) for lane in hanging]
    assert (pool.busy, begun(pool, *hosts(1, of=3))) == (12, [])
    assert (pool.excess(others_wait=False), pool.excess(others_wait=True)) == (0, 4)
    assert [lane.hanging for lane in hanging] == [1] * 10
    for turn in turns[:4]:
        assert turn is not None
        assert list(pool.end(turn)) == []
    assert (pool.busy, pool.excess(others_wait=True)) == (8, 0)
    assert [lane.hanging for lane in hanging] == [0] * 4 + [1] * 6


def test_who_was_not_tried_yet_does_not_wait_for_others_that_hang() -> None:
    """New subscribers whose first attempts hang have room like those that failed, and end if another new one waits."""
    pool = pool_of(16)
    new = hosts(8, tried=False)
    turns = begun(pool, *new)
    assert len(turns) == 8
    assert [pool.take_over(lane, turn) for lane, turn in zip(new, turns, strict=True)] == turns
    assert pool.excess(others_wait=True) == 0
    another = lane_at("another", tried=False)
    assert begun(pool, *new, another) == []  # and the eight wait as those that failed do
    assert pool.excess(others_wait=False) == 2
    assert list(pool.end(turns[0])) == [another]


def test_what_was_slow_from_its_start_is_within_its_part() -> None:
    """An attempt that was let in as slow is not counted once more, and is never to end early."""
    pool = pool_of(16)
    failed, proven = lane_at("failed"), lane_at("proven", tried=False)
    proven.delivered = 1
    turns = begun(pool, failed, proven)
    assert [pool.take_over(lane, turn) for lane, turn in zip((failed, proven), turns, strict=True)] == [None, None]
    assert (pool.busy, failed.hung, proven.hanging) == (2, 0, 0)
