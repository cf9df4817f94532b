"""Dead letters of an expired subscription that are redelivered wait for its return, and not for ever."""

from pathlib import Path

from eventbus.core.addresses import parse_address
from eventbus.core.clock import Clock
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Message, Terms
from eventbus.core.settings import Settings
from eventbus.delivery.lane.phase import Phase
from eventbus.journal.sqlite import SqliteJournal
from eventbus.services.bus import Bus
from eventbus.services.dead_letters import Chosen
from tests.support.deadline import eventually
from tests.support.lanes import EPOCH, UNWANTED
from tests.support.scripted import ScriptedTransport

KEY = "127.0.0.1:8000"
RETENTION_SECONDS = 100


def test_redelivered_dead_letters_of_an_expired_subscription_die_again_after_the_retention(tmp_path: Path) -> None:
    """They are pending while the subscription may return, and dead letters again when the retention is over."""
    now = [0.0]
    clock, transport = Clock(lambda: now[0], lambda: EPOCH + now[0]), ScriptedTransport()
    settings = Settings(retention_seconds=RETENTION_SECONDS)
    bus = Bus(settings, SqliteJournal(str(tmp_path / "bus.db"), clock), transport, clock)
    bus.start()
    lanes = bus.dispatcher.lanes
    transport.always = UNWANTED
    bus.register(parse_address(KEY), Terms(lease=10))
    bus.publish([Message(new_event_id(), None, b"", b"", EPOCH)])
    eventually(lambda: lanes[KEY].dead == 1, 10)
    now[0] = 20.0
    bus.sweeper.sweep()
    eventually(lambda: KEY not in lanes, 10)
    assert bus.dead_letters.replay(Chosen(KEY), new_event_id()).replayed == 1
    assert (lanes[KEY].phase, lanes[KEY].backlog) == (Phase.EXPIRED, 1)
    now[0] = 20.0 + 2 * RETENTION_SECONDS
    bus.retention.run_once()
    eventually(lambda: KEY not in lanes, 10)
    record = bus.journal.lane(KEY)
    assert record is not None
    assert (record.account.pending, record.account.dead, record.expired) == (0, 1, True)
    assert [kept.letter.reason for kept in bus.dead_letters.page(KEY, 0, 10)] == ["lease ended"]
    bus.stop()
