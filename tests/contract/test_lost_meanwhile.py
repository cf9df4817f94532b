"""What a bus has read does not count any more when it loses all that it had before it acts on that."""

from collections.abc import Callable, Iterator
from functools import partial
from typing import Any

import gevent
import pytest
from gevent.event import Event as Signal

from eventbus.core.errors import NotOwner, StaleEpoch
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import lane_of, record_of
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.services.dead_letters import Chosen
from eventbus.web import event_stream
from tests.support.deadline import eventually
from tests.support.lanes import TAKEN, UNWANTED
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.shared import SharedBus, shared

pytestmark = NEEDS_REDIS
A = "127.0.0.1:8001"


@pytest.fixture
def lose(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Iterator["Lose"]:
    """A Redis server, and a bus that loses all once what a test says has been read."""
    with RedisServer(tmp_path, durable=False) as server:
        yield Lose(server, monkeypatch)


class Lose:
    """Lets a bus lose all that it has in the midst of something."""

    def __init__(self, server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
        self.url = server.url
        self._server = server
        self._monkeypatch = monkeypatch
        self.times = 0

    def silently(self, bus: SharedBus) -> None:
        """The bus counts as gone, and does not know it yet."""
        self._server.ask("ZREM", "{eventbus}:nodes", bus.journal.members.id)

    def now(self, bus: SharedBus) -> None:
        """The bus counts as gone, and begins anew."""
        self.silently(bus)
        bus.journal.members.heartbeat()

    def while_alone(self, bus: SharedBus, change: Callable[[], object]) -> "gevent.Greenlet[..., Any]":
        """The bus loses all while a change waits for its turn."""
        with bus.bus.dispatcher.checkpointer.transaction():
            changing = gevent.spawn(change)
            gevent.idle()
            self.now(bus)
        return changing

    def name(self, event_id: str, seq: int) -> None:
        """An event's id leads to this number."""
        self._server.ask("HSET", "{eventbus}:ids", event_id, str(seq))

    def after(self, bus: SharedBus, name: str, *, wholly: bool = True) -> None:
        """The first time that ``journal.name`` has been read the bus counts as gone, and begins anew.

        Not ``wholly``: it has lost all, and is no new node yet.
        """
        read: Callable[..., Any] = getattr(bus.journal, name)
        begin = partial(self.now, bus) if wholly else bus.sharing.lost

        def read_and_lose(*values: Any, **named: Any) -> Any:
            found = read(*values, **named)
            self.times += 1
            if self.times == 1:
                begin()
            return found

        self._monkeypatch.setattr(bus.journal, name, read_and_lose)


def with_a_dead_letter(bus: SharedBus, said: DeliveryResponse) -> None:
    """Let an event be refused for good."""
    bus.transport.always = said
    lane = bus.register(A)
    bus.publish()
    eventually(lambda: lane.dead == 1, 10)
    bus.bus.dispatcher.checkpointer.save()


def mend(bus: SharedBus, decide: str, chosen: Chosen) -> int:
    """Put dead letters back, or discard them."""
    letters = bus.bus.dead_letters
    return letters.replay(chosen, "a replay") if decide == "replay" else letters.discard(chosen)


@pytest.mark.parametrize("wholly", [False, True])
def test_a_record_that_was_read_before_is_not_adopted(lose: Lose, wholly: bool) -> None:
    """A subscriber whose record was being read when all was lost is not carried on with from that record."""
    with shared(lose.url, always=TAKEN) as bus:
        bus.register(A)
        bus.bus.subscriptions.remove([A])  # as when it could not be adopted
        lose.after(bus, "lane_records", wholly=wholly)
        with pytest.raises(NotOwner):
            bus.sharing.claim(A)
        assert A not in bus.bus.dispatcher.lanes
        bus.journal.members.heartbeat()
        bus.sharing.claim(A)
        assert lose.times > 1
        assert A in bus.bus.dispatcher.lanes


def test_a_past_that_was_read_before_begins_no_registration(lose: Lose) -> None:
    """There may be a lane with what is pending by now, which nobody has: it would be written over."""
    with shared(lose.url) as bus:
        lose.after(bus, "lane")
        with pytest.raises(StaleEpoch):
            bus.register(A)
        assert bus.journal.open_lanes() == []


@pytest.mark.parametrize("decide", ["replay", "discard"])
def test_a_decision_about_many_dead_letters_that_were_read_before_does_not_count(lose: Lose, decide: str) -> None:
    """Nothing of it is kept, and who asked is not told that there were none."""
    with shared(lose.url) as bus:
        with_a_dead_letter(bus, UNWANTED)
        lose.after(bus, "dead_letters")
        with pytest.raises(StaleEpoch):
            mend(bus, decide, Chosen(key=A))
        assert bus.journal.last_dead_letter() > 0


@pytest.mark.parametrize("decide", ["replay", "discard"])
def test_what_redis_refuses_is_not_confirmed(lose: Lose, decide: str) -> None:
    """A bus that counts as gone, and does not know it yet, keeps nothing of its subscribers and says so."""
    with shared(lose.url) as bus:
        with_a_dead_letter(bus, UNWANTED)
        lose.silently(bus)
        with pytest.raises(NotOwner, match="Another node owns"):
            mend(bus, decide, Chosen(id=bus.journal.last_dead_letter()))
        assert bus.journal.last_dead_letter() > 0


def test_a_deregistration_that_redis_refuses_is_not_confirmed(lose: Lose) -> None:
    """The subscriber is still registered, at whichever bus has it next."""
    with shared(lose.url) as bus:
        bus.register(A)
        lose.silently(bus)
        with pytest.raises(NotOwner, match="Another node owns"):
            bus.bus.deregister(A)
        assert bus.journal.open_lanes() == [A]


@pytest.mark.parametrize("decide", ["replay", "discard"])
def test_a_decision_about_a_dead_letter_that_was_read_before_does_not_count(lose: Lose, decide: str) -> None:
    """Under the same number there may be another one by now: nothing of it is kept, and who asked is told."""
    with shared(lose.url) as bus:
        with_a_dead_letter(bus, UNWANTED)
        letter = bus.journal.last_dead_letter()
        lose.after(bus, "dead_letter")
        with pytest.raises(StaleEpoch):
            mend(bus, decide, Chosen(id=letter))
        assert bus.journal.dead_letter(letter) is not None


def test_a_deregistration_that_comes_too_late_is_not_confirmed(lose: Lose) -> None:
    """By then the subscriber is perhaps another bus's: who asked is told to ask again, and it is still registered."""
    with shared(lose.url) as bus:
        bus.register(A)
        leaving = lose.while_alone(bus, lambda: bus.bus.deregister(A))
        with pytest.raises(NotOwner):
            leaving.get(timeout=10)
        assert bus.journal.open_lanes() == [A]


def test_a_replay_that_comes_too_late_is_not_confirmed(lose: Lose) -> None:
    """Nothing is replayed, and who asked is told to ask again."""
    with shared(lose.url, always=TAKEN) as bus:
        lane = bus.register(A)
        bus.publish(2)
        eventually(lambda: lane.delivered == 2, 10)
        replaying = lose.while_alone(bus, lambda: bus.bus.replays.begin(A, "earliest", "now"))
        with pytest.raises(NotOwner):
            replaying.get(timeout=10)


def test_who_waits_for_a_lane_to_end_waits_for_the_last_that_ends_it(
    lose: Lose, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lane that is being ended, is lost and comes back is ended anew, whenever the former attempt gives up."""
    gates = [Signal(), Signal()]
    with shared(lose.url) as bus:
        lane, endings = bus.register(A), bus.bus.expiry
        waits = iter(gates)
        began: list[gevent.Greenlet[..., Any]] = []

        def dead_letter(_: Lane) -> None:
            began.append(gevent.getcurrent())
            next(waits).wait()

        monkeypatch.setattr(endings, "_dead_letter_all", dead_letter)
        came_back = lane_of(record_of(lane, 0, 0.0, 0.0), Rules(), retries=0, ends=0, now=0, wall=0)
        for each in (lane, came_back):
            endings.dead_letter(each)
            gevent.idle()
        gates[0].set()
        began[0].join(10)  # and whatever is done at its end is done
        waiting = gevent.spawn(endings.wait, A)
        gevent.idle()
        assert not waiting.ready()
        gates[1].set()
        waiting.get(timeout=10)


def test_a_stream_whose_place_was_read_before_ends(lose: Lose) -> None:
    """It does not wait until the numbers have come as far again: its reader asks anew, after the last event's id."""
    with shared(lose.url) as bus:
        bus.publish(3)
        epoch, newest = bus.bus.feed.epoch, bus.bus.feed.newest
        stream = event_stream._stream(bus.bus, epoch, newest, ())  # noqa: SLF001 - what a response is made of
        assert next(stream).startswith(b"retry:")
        lose.now(bus)
        assert list(stream) == []


def test_an_id_that_leads_to_another_event_leads_nowhere(lose: Lose) -> None:
    """Between the look at the id and the one at the event the journal may have changed."""
    with shared(lose.url) as bus:
        (kept,) = bus.publish()
        lose.name("another", 1)
        assert bus.journal.event("another") is None
        found = bus.journal.event(kept)
        assert found is not None
        assert found.id == kept


def test_events_that_were_read_before_are_not_removed(lose: Lose) -> None:
    """Under the same numbers there may be others by now, which nobody has got: the next look decides anew."""
    with shared(lose.url, retention_seconds=1, always=TAKEN) as bus:
        lane = bus.register(A)
        bus.publish(2, at=1_000.0)
        eventually(lambda: lane.delivered == 2, 10)
        bus.bus.dispatcher.checkpointer.save()
        bus.bus.retention.stop()  # the test looks itself
        lose.after(bus, "topics")
        bus.bus.retention.run_once()
        assert bus.journal.usage().events == 2
        bus.journal.members.heartbeat()
        eventually(lambda: A in bus.bus.dispatcher.lanes, 10)
        bus.bus.retention.run_once()
        assert bus.journal.usage().events == 0
