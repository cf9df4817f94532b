"""A bus attempts no event that has expired, on every journal: it is a dead letter, which only its own id puts back."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.clock import Clock
from eventbus.core.errors import KeyReused
from eventbus.core.event_expiry import EXPIRED, with_expiry
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Message, Terms
from eventbus.core.ordering import BY_KEY
from eventbus.core.records import Pause
from eventbus.core.settings import Settings
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.services.dead_letters import Chosen, Redelivered
from eventbus.services.timing import ServiceTiming
from tests.contract.test_journal import ALL, A, Bench, bench, journal, kind, lasting, letter, redis_server, save
from tests.support.account_journals import AccountJournal, Journals, in_files, on_redis
from tests.support.deadline import eventually
from tests.support.events import message
from tests.support.lanes import EPOCH, REFUSED, TAKEN, UNWANTED
from tests.support.redis_server import COMMAND
from tests.support.scripted import ScriptedTransport, Sent

__all__ = ["bench", "journal", "kind", "lasting", "redis_server"]
KEY, OTHER = "127.0.0.1:8000", "127.0.0.1:8001"
needs_redis = pytest.mark.skipif(COMMAND is None, reason="there is no redis-server here")


class Scene:
    """A bus whose subscriber an operator has paused, and whose clock stands still until a test moves it."""

    def __init__(self, kept: AccountJournal, **terms: Any) -> None:
        self._kept = kept
        self.now = 0.0
        self.terms = Terms(topics=("orders",), resume=True, **terms)
        self.attempts: list[str] = []
        self.start()
        self.bus.register(parse_address(KEY), self.terms)
        self.bus.pauses.pause(KEY, Pause("an operator", EPOCH, None))

    def start(self) -> None:
        """Start the bus."""
        clock = Clock(lambda: self.now, lambda: EPOCH + self.now)
        self.transport = ScriptedTransport(TAKEN)
        self.transport.begun = self._note
        timing = ServiceTiming(dead_events_interval_seconds=0.02)
        self.bus = self._kept.start(Settings(), self.transport, clock, timing)

    def restart(self) -> None:
        """End the bus as if it was killed, and start another one."""
        self.bus.dispatcher.checkpointer.save()
        self._kept.kill(self.bus)
        self.start()
        eventually(lambda: KEY in self.bus.dispatcher.lanes, 20)

    def stop(self) -> None:
        """Stop the bus that runs now."""
        self.bus.stop()

    def _note(self, key: str, events: list[Sent]) -> None:
        self.attempts += [f"{event.id}" for event in events]

    def publish(self, *names: str, expires: float | None = None, key: str = "") -> None:
        """Publish events with these ids."""
        head = with_expiry(b"", None, expires, EPOCH + self.now)
        wall = EPOCH + self.now
        self.bus.publish([Message(name, "orders", head, b"{}", wall, key) for name in names])

    def resume(self, key: str = KEY) -> None:
        """End the pause, and wait until nothing is pending."""
        self.bus.register(parse_address(KEY), self.terms)
        self.bus.pauses.resume(key)
        eventually(lambda: not self.bus.dispatcher.lanes[key].backlog, 20)

    def dead(self, key: str = KEY) -> list[tuple[str, str]]:
        """The events of the dead letters, and the reasons."""
        return [(kept.event_id, kept.letter.reason) for kept in self.bus.dead_letters.page(key, 0, ALL)]


@pytest.fixture(params=["sqlite", pytest.param("redis", marks=needs_redis)])
def make(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Callable[..., Scene]]:
    """Makes a scene on one journal or the other."""
    kinds: dict[str, Callable[[Path], AbstractContextManager[Journals]]] = {"sqlite": in_files, "redis": on_redis}
    with ExitStack() as stack:
        empty = stack.enter_context(kinds[request.param](tmp_path))

        def made(**terms: Any) -> Scene:
            kept = empty()
            stack.callback(kept.remove)
            scene = Scene(kept, **terms)
            stack.callback(scene.stop)
            return scene

        yield made


@pytest.mark.parametrize("terms", [{}, {"ordered": True}, {"ordered": BY_KEY}, {"batch": 10}, {"batch": 3}])
def test_what_has_expired_while_it_waited_is_dead_also_after_a_kill(
    make: Callable[..., Scene], terms: dict[str, Any]
) -> None:
    """Those around it come, in order where that was asked for; the account says where each went."""
    scene = make(**terms)
    scene.publish("a", key="k")
    scene.publish("b", "c", expires=10, key="k")
    scene.publish("d", key="k")
    scene.publish("e", expires=1_000, key="k")
    scene.now = 60.0
    scene.restart()
    scene.resume()
    assert scene.attempts == ["a", "d", "e"]
    assert scene.dead() == [("b", EXPIRED), ("c", EXPIRED)]
    lane = scene.bus.dispatcher.lanes[KEY]
    assert (lane.accepted, lane.delivered, lane.dead, lane.backlog) == (5, 3, 2, 0)
    assert scene.bus.counters.expired == 2
    assert {fate.state for fate in scene.bus.history.of("b")[1]} == {"dead"}


def test_a_replay_of_all_leaves_what_has_expired_and_one_by_its_id_delivers_it(make: Callable[..., Scene]) -> None:
    """Also where the bus is killed between the two, and where the first attempt after it fails."""
    scene = make(backoff=(0.1, 0.1))
    scene.publish("a", expires=10)
    scene.publish("b")
    scene.now = 60.0
    scene.transport.always = UNWANTED
    scene.resume()
    assert scene.dead() == [("a", EXPIRED), ("b", "rejected")]
    scene.transport.always = TAKEN
    for chosen, found in ((Chosen(), Redelivered(1, 1)), (Chosen(KEY), Redelivered(0, 1))):
        assert scene.bus.dead_letters.replay(chosen, new_event_id()) == found
        eventually(lambda: not scene.bus.dispatcher.lanes[KEY].backlog, 20)
    assert scene.dead() == [("a", EXPIRED)]
    scene.bus.pauses.pause(KEY, Pause("an operator", EPOCH, None))
    (kept,) = scene.bus.dead_letters.page(KEY, 0, ALL)
    assert scene.bus.dead_letters.replay(Chosen(id=kept.id), new_event_id()) == Redelivered(1, 0)
    scene.restart()
    scene.transport.always = REFUSED
    scene.bus.register(parse_address(KEY), scene.terms)
    scene.bus.pauses.resume(KEY)
    eventually(lambda: scene.attempts.count("a") == 1, 20)
    eventually(lambda: not scene.bus.dispatcher.lanes[KEY].in_flight, 20)
    scene.restart()
    scene.now += 100.0
    scene.resume()
    assert (scene.attempts.count("a"), scene.dead()) == (2, [])


def test_what_was_put_back_with_others_expires(make: Callable[..., Scene]) -> None:
    """It died for another reason, and its event has expired since."""
    scene = make()
    scene.publish("a", expires=10)
    scene.transport.always = UNWANTED
    scene.resume()
    assert scene.dead() == [("a", "rejected")]
    scene.now = 60.0
    replay = new_event_id()
    assert scene.bus.dead_letters.replay(Chosen(KEY), replay) == Redelivered(1, 0)
    eventually(lambda: scene.dead() == [("a", EXPIRED)], 20)
    assert (scene.attempts, scene.bus.dead_letters.outcome(replay).dead) == (["a"], 1)


def test_a_group_gets_what_has_not_expired(make: Callable[..., Scene]) -> None:
    """Whichever member it would have been for."""
    scene = make()
    for key in (OTHER, "127.0.0.1:8002"):
        scene.bus.register(parse_address(key), Terms(topics=("orders",)), group="mailer")
    scene.bus.pauses.pause("group=mailer", Pause("an operator", EPOCH, None))
    scene.publish(*"abcd", expires=10)
    scene.publish(*"efgh")
    scene.now = 60.0
    scene.bus.pauses.resume("group=mailer")
    lane = scene.bus.dispatcher.lanes["group=mailer"]
    eventually(lambda: not lane.backlog, 20)
    assert (sorted(scene.attempts), lane.dead, lane.delivered) == (list("efgh"), 4, 4)
    assert dict(scene.dead("group=mailer")) == dict.fromkeys("abcd", EXPIRED)


def test_what_has_expired_is_published_under_its_dead_topic_and_comes_there(make: Callable[..., Scene]) -> None:
    """The new event has the time as it was, and is delivered though that is over."""
    scene = make(dead_to="orders.dead")
    scene.bus.register(parse_address(OTHER), Terms(topics=("orders.dead",)))
    scene.publish("a", expires=10)
    scene.now = 60.0
    scene.resume()
    lanes = scene.bus.dispatcher.lanes
    eventually(lambda: lanes[OTHER].delivered == 1, 20)
    assert (lanes[OTHER].dead, len(scene.attempts)) == (0, 1)
    headers = scene.bus.journal.event(scene.attempts[0]).headers  # type: ignore[union-attr]
    assert (headers["Eventbus-Dead-Reason"], headers["ce-expirytime"]) == (EXPIRED, "2026-11-18T11:06:50.000Z")


def test_an_event_that_expires_while_it_is_down_is_not_attempted_again(make: Callable[..., Scene]) -> None:
    """Its dead letter has the attempts that were made, and their error."""
    scene = make(backoff=(0.1, 0.1))
    scene.publish("a", expires=10)
    scene.transport.always = DeliveryResponse(None, error="refused")
    scene.bus.pauses.resume(KEY)
    eventually(lambda: scene.attempts == ["a"] and not scene.bus.dispatcher.lanes[KEY].in_flight, 20)
    scene.now = 60.0
    scene.transport.always = TAKEN
    scene.resume()
    (kept,) = scene.bus.dead_letters.page(KEY, 0, ALL)
    assert (kept.letter.reason, kept.letter.attempts, kept.letter.error) == (EXPIRED, 1, "refused")
    assert scene.attempts == ["a"]


# What a journal keeps


@pytest.mark.parametrize("expires", [True, False])
def test_a_journal_keeps_whether_what_was_put_back_expires(lasting: Bench, *, expires: bool) -> None:
    """Through a close, and when its row is saved again."""
    save(lasting.journal, dead=(letter(1),))
    save(lasting.journal, replayed=(lasting.journal.last_dead_letter(),), replay="r", replay_expires=expires)
    (row,) = lasting.reopen().retries(A, by_seq=True, limit=ALL)
    assert row.past is not None
    assert row.past.expires is expires
    save(lasting.journal, retries=(replace(row, attempts=9),))
    assert lasting.reopen().retries(A, by_seq=True, limit=ALL) == [replace(row, attempts=9)]


def test_a_key_stands_for_what_was_asked_for(lasting: Bench) -> None:
    """A repetition asks for the same; with another expiry, or none, it raises KeyReused."""
    first = lasting.journal.append([message("1")], "k", terms="expires=30.0")
    again = lasting.reopen().append([message("2")], "k", terms="expires=30.0")
    assert (first.ids, again.ids, again.duplicate) == (("1",), ("1",), True)
    for terms in ("", "expires=31.0"):
        with pytest.raises(KeyReused):
            lasting.journal.append([message("3")], "k", terms=terms)
