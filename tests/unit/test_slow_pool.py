from dataclasses import replace

import pytest

from eventbus.addresses import parse_address
from eventbus.delivery.health import Rules
from eventbus.delivery.lane import Lane
from eventbus.delivery.place import lane_of, new_record
from eventbus.delivery.slow_pool import SlowPool
from eventbus.model import Account, State
from tests.support.lanes import EPOCH, subscriber_with


def lane_at(address: str, *, tried: bool = True) -> Lane:
    """A lane whose subscriber is there, and has failed before or was not tried yet."""
    subscriber = replace(subscriber_with(), address=parse_address(address))
    record = replace(new_record(subscriber, EPOCH, 0), failed_attempts=int(tried))
    return lane_of(record, Rules(), deferred=0, ends=1e6, now=0.0, wall=EPOCH)


def begun(pool: SlowPool, *lanes: Lane) -> int:
    """How many of these lanes found room, and have a delivery under way now."""
    return sum(1 for lane in lanes if not pool.hold(lane) and pool.begin(lane))


def hosts(count: int, *, tried: bool = True, of: int = 1) -> list[Lane]:
    """Lanes of so many hosts."""
    return [lane_at(f"host-{of}-{number}", tried=tried) for number in range(count)]


def test_slow_lanes_have_half_of_all_deliveries() -> None:
    """Of 16 deliveries under way no more than 8 are to subscribers whose last attempt was slow or failed."""
    pool = SlowPool(16)
    assert begun(pool, *hosts(20)) == 8
    assert pool.waits == 12


def test_lanes_that_were_not_tried_yet_find_room_beside_them() -> None:
    """A quarter more is for subscribers that were not tried yet, since they may be quick."""
    pool = SlowPool(16)
    begun(pool, *hosts(20))
    assert begun(pool, *hosts(20, tried=False, of=2)) == 4


def test_one_server_has_no_more_than_half() -> None:
    """Untried subscribers of one server leave room for those of another."""
    pool = SlowPool(16)
    assert begun(pool, *[lane_at(f"one:80/{number}", tried=False) for number in range(20)]) == 8
    assert begun(pool, lane_at("two:80", tried=False), lane_at("one:81", tried=False)) == 2


def test_who_waits_is_let_go_when_there_is_room() -> None:
    """After each turn one lane that waits may go, the untried before the others."""
    pool = SlowPool(4)
    first, second, waiting, untried = *hosts(3), lane_at("new", tried=False)
    servers = [pool.begin(lane) for lane in (first, second)]
    third = pool.begin(lane_at("other", tried=False))
    assert pool.hold(waiting)
    assert pool.hold(untried)
    assert list(pool.release(first)) == []
    pool.end(third)
    assert list(pool.release(first)) == [untried]
    pool.end(servers[0])
    assert list(pool.release(first)) == [waiting]
    assert pool.waits == 0


def test_who_waits_for_a_server_is_let_go_by_its_turns() -> None:
    """A lane that waits since its server has enough goes after a turn of that server."""
    pool = SlowPool(4)
    lanes = [lane_at(f"one:80/{number}") for number in range(3)]
    server, _ = pool.begin(lanes[0]), pool.begin(lanes[1])
    assert pool.hold(lanes[2])
    pool.end(server)
    assert list(pool.release(lane_at("other"))) == []
    assert list(pool.release(lanes[0])) == [lanes[2]]


def test_a_lane_is_slow_until_it_has_delivered() -> None:
    """A new lane counts as slow, and so does one that was down; one that has delivered does not."""
    record = new_record(subscriber_with(), EPOCH, 0)
    proven = replace(record, account=Account(accepted=1, delivered=1))
    down = replace(proven, state=State.DOWN)

    def slow(one: object) -> bool:
        return lane_of(one, Rules(), deferred=0, ends=1e6, now=0.0, wall=EPOCH).slow  # type: ignore[arg-type]

    assert [slow(one) for one in (record, proven, down)] == [True, False, True]


@pytest.mark.parametrize("size", [1, 2])
def test_there_is_always_room_for_one(size: int) -> None:
    """However few deliveries may be under way, a slow lane has its turn."""
    assert begun(SlowPool(size), lane_at("one")) == 1
