"""A bus that is killed between two parts of what it saves loses nothing, and its accounts add up."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.clock import Clock
from eventbus.core.credentials import Credentials
from eventbus.core.errors import JournalUnavailable
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Message, Terms
from eventbus.core.override import override
from eventbus.core.records import Checkpoint
from eventbus.core.settings import Settings
from eventbus.delivery.changed_lanes import PART_LANES
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.services.bus import Bus
from eventbus.services.timing import ServiceTiming
from tests.support.account_journals import AccountJournal, in_files, on_redis
from tests.support.deadline import eventually
from tests.support.lanes import BUSY, EPOCH, TAKEN, UNWANTED
from tests.support.redis_server import COMMAND
from tests.support.scripted import ScriptedTransport, Sent

KEYS = [f"127.0.0.1:{8_000 + number}" for number in range(3 * PART_LANES)]
#: What each subscriber answers, by its number; None is no answer.
ANSWERS = (TAKEN, UNWANTED, BUSY, None)
#: Seconds after which a retry is due.
LATER = 60.0
ALL = 10_000


class Various(ScriptedTransport):
    """Each subscriber answers in its own way, until all take what they get."""

    all_take = False

    @override
    def post(self, key: str, events: list[Sent], credentials: Credentials, *, is_batch: bool) -> DeliveryResponse:
        self.always = TAKEN if self.all_take else ANSWERS[KEYS.index(key) % len(ANSWERS)]
        return super().post(key, events, credentials, is_batch=is_batch)


class Scene:
    """One bus after another on a journal. It saves when the test says so."""

    def __init__(self, journal: AccountJournal) -> None:
        self.now = 0.0
        self.transport = Various()
        self.ids: list[str] = []
        self._journal = journal
        self.bus = self._started()

    def _started(self) -> Bus:
        clock = Clock(lambda: self.now, lambda: EPOCH + self.now)
        bus = self._journal.start(Settings(), self.transport, clock, ServiceTiming())
        bus.dispatcher.checkpointer.stop()
        return bus

    def publish(self) -> None:
        """Publish two events for everybody, and wait until nobody's first attempts are left to begin."""
        for _ in range(2):
            message = Message(new_event_id(), None, b"", b"", EPOCH + self.now)
            self.bus.publish([message])
            self.ids.append(message.id)
        eventually(lambda: not any(lane.queue_entry.queued for lane in self.bus.subscribers()), 20)

    def save_parts(self, count: int) -> None:
        """Save so many parts; then nothing can be saved any more."""
        checkpoint, left = self.bus.journal.checkpoint, iter(range(count))

        def save(changes: Checkpoint) -> None:
            if next(left, None) is None:
                raise JournalUnavailable("it fails")
            checkpoint(changes)

        self.bus.journal.checkpoint = save  # type: ignore[method-assign]
        self.bus.dispatcher.checkpointer.try_save()

    def kill_and_start(self) -> None:
        """End the bus, of which nothing more is kept, and begin another one."""
        self._journal.kill(self.bus)
        self.bus = self._started()

    def check_accounts(self) -> None:
        """Each event is in each account."""
        for key in KEYS:
            lane = self.bus.dispatcher.lanes[key]
            assert lane.accepted == len(self.ids)
            assert lane.accepted == lane.delivered + lane.dead + lane.backlog

    def deliver_the_rest(self) -> None:
        """Let all subscribers take what comes, until nothing is pending."""
        self.transport.all_take = True
        eventually(self._nothing_is_pending, 30)

    def _nothing_is_pending(self) -> bool:
        """Answer what is in flight, let time pass, and look."""
        self.transport.answer([*self.transport.held], TAKEN)
        self.now += LATER
        lanes = [self.bus.dispatcher.lanes[key] for key in KEYS]
        for lane in lanes:
            self.bus.dispatcher.schedule(lane)
        return not any(lane.backlog for lane in lanes)

    def check_fates(self) -> None:
        """Each event was taken by each subscriber, or is a dead letter that its account counts."""
        self.bus.dispatcher.checkpointer.save()
        dead = [(kept.letter.key, kept.event_id) for kept in self.bus.journal.dead_letters(None, 0, ALL)]
        settled = {*dead, *self.transport.taken}
        assert [(key, one) for key in KEYS for one in self.ids if (key, one) not in settled] == []
        assert len(dead) == sum(self.bus.dispatcher.lanes[key].dead for key in KEYS)


@pytest.fixture(
    params=[
        pytest.param(in_files, id="sqlite"),
        pytest.param(on_redis, id="redis", marks=pytest.mark.skipif(COMMAND is None, reason="no redis-server")),
    ]
)
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """A bus with its subscribers, of which all is saved."""
    with request.param(tmp_path) as empty:
        journal = empty()
        found = Scene(journal)
        for key in KEYS:
            found.bus.register(parse_address(key), Terms(lease=86_400, max_in_flight=1))
        found.publish()
        found.bus.dispatcher.checkpointer.save()
        yield found
        found.bus.stop()
        journal.remove()


@pytest.mark.parametrize("parts", range(4))
def test_a_kill_between_two_parts_loses_nothing(scene: Scene, parts: int) -> None:
    """What was saved goes on from there, the rest from where it was before; no event is passed over."""
    scene.publish()
    scene.save_parts(parts)
    scene.publish()
    scene.kill_and_start()
    scene.check_accounts()
    scene.deliver_the_rest()
    scene.check_accounts()
    scene.check_fates()
