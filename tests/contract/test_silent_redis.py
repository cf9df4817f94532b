"""A Redis that does not answer, or has no memory, holds up nobody longer than it must, and nothing stale is kept."""

from collections.abc import Iterator

import gevent
import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.errors import JournalOutOfMemory, JournalTimeout, JournalUnavailable
from eventbus.core.model import Options, Subscriber
from eventbus.core.records import Checkpoint, LaneRecord
from eventbus.delivery.lane.lane_record import new_record
from eventbus.journal.redis import RedisJournal, RedisTiming
from tests.support.deadline import eventually
from tests.support.events import message
from tests.support.lanes import EPOCH, TAKEN
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.shared import shared

pytestmark = NEEDS_REDIS
A = "127.0.0.1:8001"


@pytest.fixture
def journal(redis: RedisServer) -> Iterator[RedisJournal]:
    """A journal that waits for half a second each time."""
    found = RedisJournal(redis.url, timing=RedisTiming(answer_seconds=0.5, outcome_seconds=0.5))
    found.open()
    yield found
    redis.go_on()
    found.close()


def record(scanned: int = 0) -> LaneRecord:
    """A subscriber's record."""
    return new_record(Subscriber(parse_address(A), Options()), EPOCH, scanned)


def test_who_waits_behind_a_commit_that_hangs_is_refused_with_it(redis: RedisServer, journal: RedisJournal) -> None:
    """Publishers who come while a commit hangs need not wait for another one that would hang as long."""
    redis.stop()
    first = gevent.spawn(journal.append, [message("first")])
    gevent.idle()
    waiting = gevent.spawn(journal.append, [message("one")])
    with pytest.raises(JournalTimeout, match="whether this was kept is not known"):
        first.get(timeout=20)
    gevent.idle()
    assert waiting.ready()
    with pytest.raises(JournalUnavailable, match="nothing of this was kept"):
        waiting.get()


def test_without_memory_places_are_kept_that_come_with_events(redis: RedisServer, journal: RedisJournal) -> None:
    """Where Redis has no memory left an event is refused, and a place that is saved in the same moment is kept."""
    assert redis.ask("CONFIG", "SET", "maxmemory", "1mb") == b"+OK\r\n"
    saving = gevent.spawn(journal.checkpoint, Checkpoint(EPOCH, 0, lanes=(record(),)))
    publishing = gevent.spawn(journal.append, [message("one")])
    saving.get(timeout=20)
    with pytest.raises(JournalOutOfMemory, match="maxmemory"):
        publishing.get(timeout=20)
    assert journal.lane(A) == record()


def test_a_journal_that_is_closed_leaves_no_connection(redis: RedisServer) -> None:
    """Whoever closes a journal has no connection to Redis any more."""
    journal = RedisJournal(redis.url)
    journal.open()
    journal.append([message("one")])
    assert b"name=eventbus" in redis.ask("CLIENT", "LIST")
    journal.close()
    eventually(lambda: b"name=eventbus" not in redis.ask("CLIENT", "LIST"), 10)


def test_what_waits_to_be_written_when_a_node_begins_anew_is_refused(redis: RedisServer, journal: RedisJournal) -> None:
    """A place that a node wanted to save under its former name is not kept under its new one."""
    redis.stop()
    under_way = gevent.spawn(journal.checkpoint, Checkpoint(EPOCH, 0))
    gevent.idle()
    stale = gevent.spawn(journal.checkpoint, Checkpoint(EPOCH, 0, lanes=(record(),)))
    gevent.idle()
    again = gevent.spawn(journal.skip_to_end)
    with pytest.raises(JournalUnavailable, match="starts again"):
        stale.get(timeout=20)
    redis.go_on()
    under_way.get(timeout=20)
    assert again.get(timeout=20) == 0
    assert journal.lane(A) is None


def test_places_are_saved_again_after_a_bus_began_anew_in_the_midst_of_it(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A bus that has lost all while it saved what it could not save before goes on saving, and nothing of that."""
    with shared(redis.url, always=TAKEN) as bus:
        lane, keep = bus.register(A), bus.journal.checkpoint
        checkpointer, tried = bus.bus.dispatcher.checkpointer, []

        def refused_and_forgotten(changes: Checkpoint) -> None:
            tried.append(changes)
            if len(tried) == 1:
                raise JournalUnavailable("The journal is not there.")
            checkpointer.reset()
            keep(changes)

        monkeypatch.setattr(bus.journal, "checkpoint", refused_and_forgotten)
        lane.touch()
        eventually(lambda: len(tried) > 1, 10)
        monkeypatch.setattr(bus.journal, "checkpoint", keep)
        bus.journal.members.heartbeat()  # it shows life by itself nowhere here, and the wait may have been long
        bus.publish()
        eventually(lambda: (bus.journal.members.heartbeat(), saved(bus.journal) == 1)[1], 10)


def saved(journal: RedisJournal) -> int:
    """How many deliveries the journal knows of."""
    found = journal.lane(A)
    return 0 if found is None else found.account.delivered
