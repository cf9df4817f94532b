"""On every journal a subscription with a target path outlives a kill, an expiry and its renewal, as any other does."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from eventbus.core.addresses import Address, parse_address
from eventbus.core.clock import Clock
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Message, Terms
from eventbus.core.settings import Settings
from eventbus.delivery.lane_registry import address_of, targets_of
from eventbus.services.bus import Bus
from eventbus.services.registrations import Registration
from eventbus.services.timing import ServiceTiming
from tests.support.account_journals import EACH_JOURNAL, Journals, KindOfJournal
from tests.support.deadline import eventually
from tests.support.lanes import EPOCH, TAKEN, UNWANTED
from tests.support.scripted import ScriptedTransport

HOST, MEMBER = "127.0.0.1:8001", "127.0.0.1:8002"
#: Two targets at one address; the second has escapes, and what a key has between an address and a path.
FIRST, SECOND = "/hooks/x?y=z", "/a%20b?path=/%7E"
LEASE_SECONDS = 10
KEYS = [HOST, f"{HOST}?path={SECOND}", f"{HOST}?path={FIRST}", "group=mailer"]


class OneBusAfterAnother:
    """A bus on a journal, with a clock that the test sets, and the next one once it is killed."""

    def __init__(self, make: Journals) -> None:
        self.now = 0.0
        self._clock = Clock(lambda: self.now, lambda: EPOCH + self.now)
        self._journal = make()
        self.bus = self._start()

    def _start(self) -> Bus:
        self.transport = ScriptedTransport()
        return self._journal.start(Settings(), self.transport, self._clock, ServiceTiming())

    def kill(self) -> None:
        """End the bus, and start the next one."""
        self._journal.kill(self.bus)
        self.bus = self._start()

    def end(self) -> None:
        """End the last bus, and leave nothing."""
        self.bus.stop()
        self._journal.remove()

    def register(self, address: Address, group: str | None = None, **terms: Any) -> Registration:
        """Register or renew."""
        return self.bus.register(address, Terms(lease=LEASE_SECONDS, **terms), group=group)

    def publish(self) -> str:
        """Publish an event, and return its id."""
        return self.bus.publish([Message(new_event_id(), None, b"", b"", EPOCH + self.now)]).ids[0]

    def targets(self) -> list[str]:
        """The URLs of all subscribers and members."""
        lanes = self.bus.dispatcher.lanes.values()
        return sorted(address_of(target).address.url for lane in lanes for target in targets_of(lane))


def at(path: str, address: str = HOST) -> Address:
    """An address with a target path."""
    return parse_address(address).with_target(path)


@pytest.fixture(params=EACH_JOURNAL)
def buses(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OneBusAfterAnother]:
    """A bus with three subscriptions of one address, and a group whose member has a path."""
    journals: KindOfJournal = request.param
    with journals(tmp_path) as make:
        found = OneBusAfterAnother(make)
        for path in ("", FIRST, SECOND):
            found.register(at(path), resume=True)
        found.register(at(FIRST, MEMBER), group="mailer", resume=True)
        yield found
        found.end()


def test_a_subscription_with_a_path_outlives_a_kill(buses: OneBusAfterAnother) -> None:
    """The next bus delivers to the same targets, and each is renewed by its address and its path."""
    targets = buses.targets()
    assert targets == sorted(
        [f"http://{HOST}/event", *(f"http://{HOST}{path}" for path in (FIRST, SECOND)), f"http://{MEMBER}{FIRST}"]
    )
    event = buses.publish()
    eventually(lambda: len(buses.transport.held) == len(KEYS), 10)
    buses.bus.dispatcher.checkpointer.save()
    buses.kill()
    buses.transport.always = TAKEN
    assert (sorted(buses.bus.dispatcher.lanes), buses.targets()) == (sorted(KEYS), targets)
    assert [buses.register(at(path)).created for path in ("", FIRST, SECOND)] == [False] * 3
    assert not buses.register(at(FIRST, MEMBER), group="mailer").created
    keys = [*KEYS[:3], f"{MEMBER}?path={FIRST}"]
    eventually(lambda: all(buses.transport.taken[key, event] == 1 for key in keys), 10)


def test_a_subscription_with_a_path_resumes_by_address_and_path(buses: OneBusAfterAnother) -> None:
    """Each position is kept when the leases expire, and only the subscription that registers again goes on."""
    buses.now = 2.0 * LEASE_SECONDS
    buses.bus.sweeper.sweep()
    event = buses.publish()
    buses.bus.dispatcher.checkpointer.save()
    buses.kill()
    buses.transport.always = TAKEN
    found = buses.register(at(SECOND))
    assert (found.created, found.lane.subscriber.key) == (True, KEYS[1])
    eventually(lambda: buses.transport.taken[KEYS[1], event] == 1, 10)
    assert [lane.subscriber.key for lane in buses.bus.subscribers()] == [KEYS[1]]
    assert set(buses.transport.taken) == {(KEYS[1], event)}


def test_dead_letters_and_replays_are_each_subscriptions_own(buses: OneBusAfterAnother) -> None:
    """What one target of an address rejects is a dead letter of that one, before and after a kill."""
    event = buses.publish()
    eventually(lambda: len(buses.transport.held) == len(KEYS), 10)
    buses.transport.answer([one for one in buses.transport.held if one.key == KEYS[2]], UNWANTED)
    buses.transport.answer([one for one in buses.transport.held if one.key != KEYS[2]], TAKEN)
    lanes = buses.bus.dispatcher.lanes
    eventually(lambda: [lanes[key].dead for key in KEYS] == [0, 0, 1, 0], 10)
    buses.bus.dispatcher.checkpointer.save()
    buses.kill()
    buses.transport.always = TAKEN
    assert [len(buses.bus.dead_letters.page(key, 0, 10)) for key in KEYS] == [0, 0, 1, 0]
    assert buses.bus.replays.begin(KEYS[1], "earliest", "now") == 1
    eventually(lambda: buses.transport.taken[KEYS[1], event] == 1, 10)
    assert set(buses.transport.taken) == {(KEYS[1], event)}


def test_an_address_may_be_a_member_by_one_path_and_alone_by_another(buses: OneBusAfterAnother) -> None:
    """Deregistering one of an address's subscriptions leaves the others as they are."""
    assert buses.register(at(SECOND, MEMBER)).created
    buses.bus.deregister(at(FIRST, MEMBER).key)
    assert buses.bus.dispatcher.registry.registered_as(at(FIRST, MEMBER).key) is None
    assert buses.bus.dispatcher.registry.registered_as(at(SECOND, MEMBER).key) == f"{MEMBER}?path={SECOND}"
    buses.bus.deregister(KEYS[0])
    assert sorted(lane.subscriber.key for lane in buses.bus.subscribers()) == sorted(
        [*KEYS[1:3], f"{MEMBER}?path={SECOND}"]
    )
