"""Work whose length a peer decides leaves the event loop to others, however much of it there is."""

import time
from collections.abc import Iterator

import gevent
import pytest
from gevent.socket import socketpair

from eventbus.delivery.loop_load import LoopLoad

#: Works at once, steps of each, and the seconds of a step, which are more than a turn may take.
WORKS, STEPS, SECONDS = 20, 5, 0.004


@pytest.fixture
def load() -> Iterator[LoopLoad]:
    """One that measures."""
    found = LoopLoad()
    found.start()
    yield found
    found.stop()


def busy(load: LoopLoad, steps: int = STEPS) -> None:
    """Work, and give way between two steps."""
    for _ in range(steps):
        load.give_way()
        spend(SECONDS)


def test_a_turn_has_one_long_step(load: LoopLoad) -> None:
    """Of many works at once, a turn of the loop does one step or two, so that what has come is looked at in between."""
    works = [gevent.spawn(busy, load) for _ in range(WORKS)]
    turns = 0
    while not all(work.dead for work in works):
        gevent.sleep(0.000_1)  # a timer, which the loop looks at once in a turn
        turns += 1
    assert turns > WORKS * STEPS // 4


def test_what_has_come_waits_for_one_step(load: LoopLoad) -> None:
    """What comes while a step of long work is done is looked at, and goes on, before the next step."""
    steps = 0
    ours, theirs = socketpair()

    def report() -> None:
        nonlocal steps
        while True:
            load.give_way()
            spend(SECONDS)
            steps += 1
            theirs.send(b"x")

    with ours, theirs:
        works = [gevent.spawn(report) for _ in range(3)]
        gevent.sleep(10 * SECONDS)
        ours.recv(100)
        for _ in range(10):
            before = steps
            ours.recv(1)
            assert steps == before + 1
        gevent.killall(works)


def test_short_steps_share_a_turn(load: LoopLoad) -> None:
    """Where the turn has just begun, nobody waits."""
    gevent.sleep(0.001)
    before = load.turn_began
    load.give_way()
    assert load.turn_began == before


def test_work_that_others_wait_for_is_done_first(load: LoopLoad) -> None:
    """Beside many works, one that others wait for goes on in each turn, and the others still do a step in each."""
    works = [gevent.spawn(busy, load, 1_000) for _ in range(WORKS)]
    gevent.sleep(0.01)
    turns = gevent.spawn(spend_turns, load).get(timeout=10)
    assert len(turns) == 10
    assert not any(work.dead for work in works)
    gevent.killall(works)


def spend_turns(load: LoopLoad) -> set[float]:
    """Give way ten times, each after a long step; the turns that were given."""
    turns = set[float]()
    for _ in range(10):
        spend(0.011)
        load.give_way_urgently()
        turns.add(load.turn_began)
    return turns


def spend(seconds: float) -> None:
    """Use the processor for so long."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        pass


def test_a_work_that_is_ended_while_it_waits_is_no_loss(load: LoopLoad) -> None:
    """A time-out ends one that waits for its turn, and the others go on."""
    ended, goes_on = gevent.spawn(busy, load, 1_000), gevent.spawn(busy, load)
    gevent.sleep(0.01)
    ended.kill()
    goes_on.join(5)
    assert goes_on.successful()


def test_all_go_on_when_nothing_is_measured_any_more(load: LoopLoad) -> None:
    """Who waits for a turn goes on after the measuring has stopped, and nobody waits from then on."""
    works = [gevent.spawn(busy, load) for _ in range(3)]
    gevent.sleep(0)
    load.stop()
    gevent.joinall(works, 5)
    assert all(work.successful() for work in works)
    load.start()


def test_a_peer_with_one_request_waits_for_one_of_each_other(load: LoopLoad) -> None:
    """However many requests another one has sent, the request of a peer that has come last is among the next."""
    begun = requests(load, ["many"] * 2 + ["one"] + ["many"] * 30 + ["one"])
    assert begun.index("one", begun.index("one") + 1) < 8


def test_one_peer_alone_waits_for_nobody(load: LoopLoad) -> None:
    """Its requests are begun in one turn, however long that is."""
    gevent.sleep(0.001)
    before = load.turn_began
    turns = set[float]()

    def request() -> None:
        load.begin_request("alone")
        turns.add(load.turn_began)
        spend(SECONDS)

    gevent.joinall([gevent.spawn(request) for _ in range(10)])
    assert turns == {before}


def requests(load: LoopLoad, peers: list[str]) -> list[str]:
    """Begin requests of these peers in one turn, each of which takes long; return whose they were in order."""
    begun = []

    def request(peer: str) -> None:
        load.begin_request(peer)
        begun.append(peer)
        spend(SECONDS)

    awake = gevent.spawn(gevent.sleep, 60)  # as the listener's socket keeps a server's loop
    gevent.joinall([gevent.spawn(request, peer) for peer in peers])
    awake.kill()
    return begun
