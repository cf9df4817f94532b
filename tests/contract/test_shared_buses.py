"""Buses that share a journal lose nothing and repeat nothing, whichever call to Redis fails or comes late."""

from collections import Counter
from collections.abc import Iterator
from typing import Any

import gevent
import pytest

from eventbus.cluster.timing import ClusterTiming
from eventbus.core.errors import JournalError, JournalUnavailable, NotOwner
from eventbus.core.model import Event, Message
from eventbus.core.records import Checkpoint, Recovered
from eventbus.delivery.lane.lane import Lane
from eventbus.journal.redis import RedisJournal, RedisTiming
from eventbus.services import recovery
from eventbus.services.timing import ServiceTiming
from tests.support.deadline import eventually
from tests.support.lanes import TAKEN, UNWANTED
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.shared import SharedBus, move, shared

pytestmark = NEEDS_REDIS
A = "127.0.0.1:8001"
ALL = 1_000_000


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server for all tests of this module."""
    with RedisServer(tmp_path_factory.mktemp("redis"), durable=False) as found:
        yield found


@pytest.fixture
def url(server: RedisServer) -> Iterator[str]:
    """Where an empty journal is."""
    yield server.url
    server.ask("FLUSHALL")


def accounts(*buses: SharedBus) -> list[int]:
    """How much was accepted for the one subscriber, by the bus that has it."""
    return [lane.accepted for bus in buses for lane in bus.bus.dispatcher.lanes.values()]


def kept(bus: SharedBus) -> list[str]:
    """The ids of the events that are in the journal."""
    return [event.id for event in bus.journal.page(0, ALL, ALL, ALL).events]


def test_a_bus_that_lags_takes_no_subscriber_whose_events_it_has_not_heard_of(url: str) -> None:
    """A lane that has come further than the bus which takes it waits, so that no event is counted twice for it."""
    with shared(url) as giver, shared(url, always=TAKEN, timing=RedisTiming(read_back_seconds=0.1)) as taker:
        giver.register(A)
        giver.bus.dispatcher.deliver_until(0.0)  # it delivers nothing
        giver.publish(1)
        eventually(lambda: taker.bus.dispatcher.recent.newest == 1, 10)
        taker.deaf = True
        giver.publish(5)
        with pytest.raises(JournalError, match="has not read"):
            move(giver, taker)
        taker.deaf = False
        eventually(lambda: taker.bus.dispatcher.recent.newest == 6, 10)
        taker.sharing.claim(A)
        assert accounts(taker) == [6]
        eventually(lambda: taker.bus.dispatcher.lanes[A].delivered == 6, 10)
        assert set(taker.transport.taken.values()) == {1}


def test_a_journal_tells_of_what_came_before_anybody_listened(url: str) -> None:
    """What others have accepted since a journal was opened is heard of by who listens later."""
    journal, heard = RedisJournal(url), list[Event]()
    with shared(url) as other:
        try:
            journal.open()
            other.publish(2)
            journal.wait_until_read(2)  # nobody listens: nobody has to be waited for
            journal.listen(heard.extend)
            eventually(lambda: [event.seq for event in heard] == [1, 2], 10)
        finally:
            journal.close()


def test_a_bus_that_starts_misses_nothing_that_others_accept_meanwhile(
    url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A subscriber that it takes over gets the events that came between the journal's opening and the first look."""
    with shared(url) as other:
        other.register(A)
        other.bus.dispatcher.deliver_until(0.0)  # it delivers nothing
        restore = recovery.restore

        def restore_late(recovered: Recovered, journal: RedisJournal, *more: Any) -> list[Lane]:
            other.publish(2)
            journal.wait_until_read(2)
            return restore(recovered, journal, *more)

        monkeypatch.setattr("eventbus.services.node_subscriptions.restore", restore_late)
        with shared(url, always=TAKEN) as late:
            move(other, late)
            eventually(lambda: late.bus.dispatcher.lanes[A].delivered == 2, 10)
            assert accounts(late) == [2]


def test_what_moves_to_another_bus_while_settled_events_go_is_not_taken_for_settled(
    server: RedisServer, url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A subscriber that is handed over between two pages of a trim keeps its pending events."""
    timing = ServiceTiming(retention_page_events=2)
    with shared(url, service_timing=timing, retention_seconds=1) as trimmer, shared(url) as other:
        trimmer.register(A, max_in_flight=1)
        other.register("127.0.0.1:8002", topics=("none",))
        ids = trimmer.publish(6, at=1_000.0)
        eventually(lambda: len(trimmer.transport.held) == 1, 10)
        trimmer.transport.answer(trimmer.transport.held[:2], TAKEN)
        eventually(lambda: trimmer.bus.dispatcher.lanes[A].delivered == 1, 10)
        trim, moved = trimmer.journal.trim, []

        def trim_and_move(seqs: list[int], before: float, key_bytes: int) -> int:
            gone = trim(seqs, before, key_bytes)
            if not moved:
                moved.append(A)
                gevent.spawn(lose_to, server, trimmer, other).join()
            return gone

        monkeypatch.setattr(trimmer.journal, "trim", trim_and_move)
        trimmer.bus.retention.run_once()
        assert moved
        assert kept(other) == list(ids[1:])


def lose_to(server: RedisServer, giver: SharedBus, taker: SharedBus) -> None:
    """A bus that was not heard loses what it has to another one, and is a node again."""
    server.ask("ZREM", "{eventbus}:nodes", giver.journal.members.id)
    giver.journal.members.heartbeat()
    taker.sharing.claim(A)


def test_a_place_beyond_the_journals_end_is_not_kept(server: RedisServer, url: str) -> None:
    """Where Redis has lost its newest events, a bus that still knows of them keeps no place after them."""
    with shared(url, always=TAKEN) as bus:
        lane = bus.register(A)
        bus.publish(2)
        eventually(lambda: lane.delivered == 2, 10)
        bus.bus.dispatcher.checkpointer.save()
        assert server.ask("SET", "{eventbus}:seq", "1") == b"+OK\r\n"
        assert server.ask("XDEL", "{eventbus}:events", "2-0") == b":1\r\n"
        lane.touch()
        bus.bus.dispatcher.checkpointer.save()
        assert A not in bus.bus.dispatcher.lanes


def test_a_registration_that_redis_refuses_is_not_confirmed(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A subscriber whose lane became another bus's in the moment it registered is told to ask again."""
    with shared(url) as late, shared(url) as other:
        checkpoint = late.bus.journal.checkpoint

        def taken_meanwhile(changes: Checkpoint) -> None:
            late.journal.members.release([A])
            assert other.journal.members.claim(A) is None
            checkpoint(changes)

        monkeypatch.setattr(late.bus.journal, "checkpoint", taken_meanwhile)
        with pytest.raises(NotOwner):
            late.register(A)
        monkeypatch.undo()
        other.register(A)
        assert accounts(late, other) == [0]


def test_terms_that_could_not_be_saved_are_not_confirmed_later(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever repeats a registration with other terms that failed is confirmed only when these are saved."""
    with shared(url) as bus:
        bus.register(A)

        def refuse(_: Checkpoint) -> None:
            raise JournalUnavailable("The journal is not there.")

        monkeypatch.setattr(bus.journal, "checkpoint", refuse)
        for _ in range(2):
            with pytest.raises(JournalUnavailable):
                bus.register(A, topics=("other",))
        monkeypatch.undo()
        bus.register(A, topics=("other",))
        record = bus.journal.lane(A)
        assert record is not None
        assert record.subscriber.options.topics == ("other",)


def test_no_delivery_begins_with_an_event_that_came_too_late(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where reading an event took longer than the bus may act, the delivery waits, for another bus or this one."""
    with shared(url) as bus:
        dispatcher = bus.bus.dispatcher
        find = RedisJournal.find

        def found_late(journal: RedisJournal, seqs: list[int]) -> object:
            dispatcher.deliver_until(0.0)
            return find(journal, seqs)

        monkeypatch.setattr(RedisJournal, "find", found_late)
        monkeypatch.setattr(bus.journal, "find", lambda seqs: found_late(bus.journal, seqs))
        monkeypatch.setattr(dispatcher.recent, "get", lambda _: None)
        lane = bus.register(A)
        bus.publish()
        eventually(lambda: dispatcher.until == 0.0 and not lane.in_flight, 10)
        assert bus.transport.held == []
        dispatcher.deliver_until(float("inf"))
        monkeypatch.undo()
        eventually(lambda: len(bus.transport.held) == 1, 10)
        bus.transport.answer(bus.transport.held, TAKEN)


def test_a_bus_that_has_stopped_mends_nothing(url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who has ended asks Redis no more what it has, while another one goes on doing so."""
    timing = ClusterTiming(repair_interval_seconds=0.01)
    with shared(url, cluster_timing=timing) as other, shared(url, cluster_timing=timing) as stopped:
        looks = Counter[str]()
        for name, bus in (("other", other), ("stopped", stopped)):
            mine = bus.journal.members.owned
            monkeypatch.setattr(
                bus.journal.members, "owned", lambda name=name, mine=mine: (looks.update([name]), mine())[1]
            )
        eventually(lambda: looks["stopped"], 10)
        stopped.bus.stop()
        before = looks.copy()
        eventually(lambda: looks["other"] > before["other"] + 3, 10)
        assert looks["stopped"] == before["stopped"]


def test_of_several_buses_one_publishes_each_dead_letter(url: str) -> None:
    """Whichever bus delivers for a subscription, the event of each dead letter is published again once."""
    timing = ServiceTiming(dead_events_interval_seconds=0.02)
    with (
        shared(url, always=UNWANTED, service_timing=timing) as one,
        shared(url, always=UNWANTED, service_timing=timing) as two,
    ):
        one.register(A, dead_to="orders.dead", topics=("orders.created",))
        two.register("127.0.0.1:8002", dead_to="orders.dead", topics=("orders.created",))
        one.bus.publish([Message(f"e{number}", "orders.created", b"", b"", 1.0) for number in range(40)])

        def again() -> Counter[tuple[str, str]]:
            heads = [
                event.headers for event in one.journal.page(0, ALL, ALL, ALL).events if event.topic == "orders.dead"
            ]
            return Counter((head["Eventbus-Dead-Event"], head["Eventbus-Dead-Subscriber"]) for head in heads)

        eventually(lambda: len(again()) == 80, 20)
        eventually(lambda: not one.journal.unpublished_letters(1), 10)
        assert set(again().values()) == {1}
