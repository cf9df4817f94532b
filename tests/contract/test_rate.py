"""A rate on every journal: it is kept with the subscription, and holds through restarts."""

import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.clock import Clock
from eventbus.core.credentials import Credentials
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Message, Terms, group_key
from eventbus.core.override import override
from eventbus.core.records import Pause
from eventbus.core.settings import Settings
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.services.bus import Bus
from eventbus.services.timing import ServiceTiming
from tests.support.account_journals import EACH_JOURNAL, AccountJournal, Files, KindOfJournal
from tests.support.at_rest import lanes_are_at_rest
from tests.support.deadline import eventually
from tests.support.lanes import EPOCH, TAKEN
from tests.support.scripted import ScriptedTransport, Sent

ADDRESS, SPACE, STEP = "127.0.0.1:8001", 2.0, 0.5


class TimedTransport(ScriptedTransport):
    """Takes everything, and notes when."""

    def __init__(self, now: Callable[[], float]) -> None:
        super().__init__(always=TAKEN)
        self._now = now
        self.starts: list[float] = []

    @override
    def post(self, key: str, events: list[Sent], credentials: Credentials, *, is_batch: bool) -> DeliveryResponse:
        self.starts.append(self._now())
        return super().post(key, events, credentials, is_batch=is_batch)


class Run:
    """A bus after the other on one journal, and when its subscriber has got something."""

    def __init__(self, journal: AccountJournal) -> None:
        self.now = 0.0
        self.clock = Clock(lambda: self.now, lambda: EPOCH + self.now)
        self.journal, self.transport = journal, TimedTransport(lambda: self.now)
        self.begin()

    def begin(self) -> None:
        """Start the next bus."""
        self.bus: Bus = self.journal.start(Settings(), self.transport, self.clock, ServiceTiming())

    def wait(self, seconds: float) -> None:
        """Let time pass, step by step."""
        for _ in range(int(seconds / STEP)):
            self.now += STEP
            for lane in list(self.bus.dispatcher.lanes.values()):
                self.bus.dispatcher.schedule(lane)
            eventually(self._quiet, 20)

    def publish(self, count: int) -> None:
        """Publish so many events."""
        self.bus.publish([Message(new_event_id(), None, b"", b"{}", EPOCH + self.now) for _ in range(count)])
        eventually(lambda: self.bus.dispatcher.lanes[ADDRESS].accepted == count, 20)

    def _quiet(self) -> bool:
        return lanes_are_at_rest(self.bus)


@pytest.mark.parametrize("journals", EACH_JOURNAL)
def test_a_rate_outlives_restarts(journals: KindOfJournal, tmp_path: Path) -> None:
    """No two deliveries are closer than it says, after a stop and after a kill, and none is lost."""
    with journals(tmp_path) as empty:
        run = Run(empty())
        run.bus.register(parse_address(ADDRESS), Terms(rate="5/10", lease=600))
        run.publish(12)
        run.wait(6.0)
        run.bus.stop()
        run.begin()
        eventually(lambda: ADDRESS in run.bus.dispatcher.lanes, 20)
        run.wait(6.0)
        assert run.bus.dispatcher.lanes[ADDRESS].subscriber.options.rate == "5/10"
        run.bus.dispatcher.checkpointer.save()
        run.journal.kill(run.bus)
        run.begin()
        eventually(lambda: ADDRESS in run.bus.dispatcher.lanes, 20)
        run.wait(30.0)
        run.bus.stop()
        run.journal.remove()
    assert len(run.transport.taken) == 12
    assert all(later - earlier >= SPACE for earlier, later in pairwise(run.transport.starts))


def message() -> Message:
    """An event of this moment."""
    return Message(new_event_id(), None, b"", b"{}", time.time())


@pytest.mark.parametrize("pause", [False, True])
def test_a_member_that_may_have_an_event_again_waits_for_no_other(*, pause: bool) -> None:
    """While one member has all that it may, one that kept to its rate or asked for a pause gets the next event."""
    transport, journal = ScriptedTransport(), Files()
    bus = journal.start(Settings(), transport, Clock(), ServiceTiming())
    try:
        busy, waits = "127.0.0.1:8011", "127.0.0.1:8012"
        bus.register(parse_address(busy), Terms(max_in_flight=1), group="mailer")
        bus.publish([message()])
        eventually(lambda: bool(transport.held), 5)
        bus.register(parse_address(waits), Terms(rate="" if pause else "20/1"), group="mailer")
        if pause:
            bus.pauses.pause(group_key("mailer"), Pause("an operator", time.time(), time.time() + 0.2), waits)
        transport.always = TAKEN
        bus.publish([message() for _ in range(3)])
        eventually(lambda: sum(transport.taken.values()) == 3, 5, "events wait for the member that is busy")
        assert {key for key, _ in transport.taken} == {waits}
    finally:
        bus.stop()
        journal.remove()
