"""The journal lets go of what is settled, after its time or early when it nears its limit, and of nothing else."""

from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.support.accounts import account, settled
from tests.support.answers import TEXT
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.publisher import Publisher
from tests.support.repair import RepairClient
from tests.support.responders import Switch, always
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber

MIB = 1_048_576
RETENTION = 2
LIMIT = 4 * MIB
#: Bytes of the write-ahead log: 2,000 pages are moved into the journal by the commit that reaches them,
#: and one commit of the largest size comes on top.
WAL_BOUND = 2_000 * 4_120 + 8 * MIB
#: Bytes beyond the limit that the journal's own file may have: what is accepted between two measurements.
SLACK = 4 * MIB
BODY = b"x" * 16_384


@pytest.fixture
def brief(tmp_path: Path) -> Iterator[BusServer]:
    """A bus that keeps what is settled for two seconds."""
    with BusServer(tmp_path, {"EVENTBUS_RETENTION_SECONDS": str(RETENTION)}) as server:
        yield server


@pytest.fixture
def small(tmp_path: Path) -> Iterator[BusServer]:
    """A bus whose journal may hold 4 MiB."""
    with BusServer(tmp_path, {"EVENTBUS_JOURNAL_MAX_BYTES": str(LIMIT)}) as server:
        yield server


@pytest.fixture
def unshared(tmp_path: Path) -> Iterator[BusServer]:
    """The same, where one subscription may hold back all of it."""
    limit = str(LIMIT)
    with BusServer(tmp_path, {"EVENTBUS_JOURNAL_MAX_BYTES": limit, "EVENTBUS_JOURNAL_QUOTA_BYTES": limit}) as server:
        yield server


def gone(repair: RepairClient, events: list[str]) -> bool:
    """Whether none of these events is in the journal any more."""
    return {repair.ask("GET", f"/events/{event}").status for event in events} == {404}


def wal_bytes(bus: BusServer) -> int:
    """How large the write-ahead log is."""
    return bus.journal.with_name(f"{bus.journal.name}-wal").stat().st_size


def test_settled_events_go_and_pending_ones_stay(brief: BusServer) -> None:
    """Past the retention a delivered event is gone, while one that is pending anywhere stays and is delivered."""
    switch = Switch(500)
    with RecordingSubscriber() as quick, RecordingSubscriber(switch) as slow:
        caller, repair = Caller(brief.port), RepairClient(brief.port)
        caller.register(quick.address, topic=["quick", "both"])
        caller.register(slow.address, topic="both")
        delivered = [caller.publish(b"%d" % number, topic="quick") for number in range(10)]
        pending = [caller.publish(b"%d" % number, topic="both") for number in range(10)]
        nobodys = caller.publish(topic="other")
        eventually(settled(caller, quick.address, delivered=20), 30)
        eventually(lambda: gone(repair, [*delivered, nobodys]), 30)
        assert [event["id"] for event in repair.events()] == pending
        switch.status = 200
        eventually(settled(caller, slow.address, accepted=10, delivered=10), 60)
        assert {(r.id, r.body) for r in slow.received} == {(event, b"%d" % n) for n, event in enumerate(pending)}
        eventually(lambda: gone(repair, pending), 30)


def test_what_waits_for_a_subscriber_that_is_down_stays(brief: BusServer) -> None:
    """A backlog is never let go of, however old it is."""
    with RecordingSubscriber() as subscriber:
        caller, repair = Caller(brief.port), RepairClient(brief.port)
        caller.register(subscriber.address, lease=600)
        before = caller.publish()
        eventually(settled(caller, subscriber.address, delivered=1), 30)
        subscriber.down()
        ids = [caller.publish(b"%d" % number) for number in range(1_500)]
        eventually(lambda: gone(repair, [before]), 30)
        marker = caller.publish(topic="marker")
        caller.register(subscriber.address, topic="none")
        nobodys = caller.publish()
        eventually(lambda: gone(repair, [nobodys]), 30)
        subscriber.up()
        caller.register(subscriber.address)
        subscriber.wait_for_ids([*ids, marker])
        eventually(settled(caller, subscriber.address, accepted=1_502, delivered=1_502), 30)


def test_dead_letters_go_with_their_events(brief: BusServer) -> None:
    """Past the retention a dead letter is discarded, which the account tells, and its event goes."""
    with RecordingSubscriber(always(422)) as subscriber:
        caller, repair = Caller(brief.port), RepairClient(brief.port)
        caller.register(subscriber.address)
        ids = [caller.publish() for _ in range(5)]
        eventually(settled(caller, subscriber.address, dead=5), 30)
        assert len(repair.dead_letters()) == 5
        eventually(settled(caller, subscriber.address, accepted=5, dead=0, discarded=5), 30)
        assert repair.dead_letters() == []
        eventually(lambda: gone(repair, ids), 30)


def test_a_journal_that_is_kept_up_with_stays_small(small: BusServer) -> None:
    """Ten times the limit published to subscribers that keep up is all accepted and delivered; the files stay small."""
    events = 10 * LIMIT // len(BODY)
    with ExitStack() as stack:
        subscriber = stack.enter_context(RecordingSubscriber(keep_bodies=False))
        caller = Caller(small.port)
        caller.register(subscriber.address)
        publisher = Publisher(small.port, (BODY for _ in range(events)), connections=2, timeout=120).start()
        largest = largest_wal = 0
        for share in range(1, 21):
            publisher.wait_accepted(events * share // 20 - 20)
            largest = max(largest, small.journal.stat().st_size)
            largest_wal = max(largest_wal, wal_bytes(small))
        published = publisher.join()
        print(f"{events} events of 16 KiB: {largest / MIB:.1f} MiB, WAL {largest_wal / MIB:.1f} MiB")  # noqa: T201 - figures for whoever reads the run
        assert (len(published.accepted), published.refused, published.failed) == (events, 0, 0)
        subscriber.wait_for_ids(published.accepted)
        eventually(settled(caller, subscriber.address, accepted=events, delivered=events, discarded=0), 30)
        assert largest <= LIMIT + SLACK
        assert largest_wal <= WAL_BOUND


def fill(caller: Caller) -> list[str]:
    """Publish until the journal is full; the ids that were accepted."""
    ids: list[str] = []
    while (response := caller.call("POST", "/sendMessage", body=BODY)).status == 200:
        ids.append(response.header("Webhook-Id") or "")
        assert len(ids) <= 2 * LIMIT // len(BODY)
    assert (response.status, response.header("Content-Type")) == (503, TEXT)
    assert "pending" in response.text
    assert int(response.header("Retry-After") or "0") > 0
    assert response.header("Webhook-Id") is None
    return ids


def test_a_backlog_at_the_limit_refuses_publishing(unshared: BusServer) -> None:
    """With the journal full of pending events publishing is 503, and accepted by itself once they are taken."""
    with RecordingSubscriber(keep_bodies=False) as subscriber:
        caller = Caller(unshared.port)
        caller.register(subscriber.address, lease=600)
        subscriber.down()
        ids = fill(caller)
        assert LIMIT // 2 < len(ids) * len(BODY) <= LIMIT
        assert account(caller, subscriber.address)["pending"] == len(ids)
        assert unshared.journal.stat().st_size <= LIMIT + SLACK
        assert wal_bytes(unshared) <= WAL_BOUND
        subscriber.up()
        caller.register(subscriber.address)
        subscriber.wait_for_ids(ids)
        later = eventually(lambda: caller.call("POST", "/sendMessage", body=BODY).header("Webhook-Id"), 30)
        subscriber.wait_for_ids([later])
        eventually(settled(caller, subscriber.address, accepted=len(ids) + 1, delivered=len(ids) + 1), 30)


def test_a_full_journal_outlives_a_kill(unshared: BusServer) -> None:
    """Killed at its limit, it starts at its limit, and everything that was accepted arrives."""
    with RecordingSubscriber(keep_bodies=False) as subscriber:
        caller = Caller(unshared.port)
        caller.register(subscriber.address, lease=600)
        subscriber.down()
        ids = fill(caller)
        unshared.kill()
        unshared.start()
        ids += fill(caller)
        subscriber.up()
        caller.register(subscriber.address)
        subscriber.wait_for_ids(ids)
        eventually(settled(caller, subscriber.address, accepted=len(ids), delivered=len(ids)), 30)
