"""One subscriber never fills the journal for all: beyond its quota its oldest events are given up, and that is told."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.accounts import account, settled
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.repair import RepairClient
from tests.support.responders import always
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber

MIB = 1_048_576
LIMIT = 4 * MIB
BODY = b"x" * 65_536
#: Events that are twice as much as the journal may hold.
EVENTS = 2 * LIMIT // len(BODY)
#: Subscribers that are down, which give up more deliveries than there may be dead letters.
SEVERAL = 40


@pytest.fixture
def small(tmp_path: Path) -> Iterator[BusServer]:
    """A bus whose journal may hold 4 MiB, and one subscription's part of a full one 1 MiB."""
    with BusServer(tmp_path, {"EVENTBUS_JOURNAL_MAX_BYTES": str(LIMIT)}) as server:
        yield server


def publish_all(caller: Caller) -> list[str]:
    """Publish twice what fits; nothing may be refused."""
    return [caller.publish(BODY) for _ in range(EVENTS)]


def told(caller: Caller, what: str) -> float:
    """What the metrics say was given up."""
    return metric(caller, f'eventbus_journal_quota_total{{what="{what}"}}')


def metric(caller: Caller, name: str) -> float:
    """The value of a metric."""
    text = caller.call("GET", "/metrics").text
    line = next(line for line in text.splitlines() if line.startswith(f"{name} "))
    return float(line.rpartition(" ")[2])


@pytest.mark.parametrize("asked", [{}, {"ordered": "true"}, {"max_in_flight": 1, "resume": "true"}])
def test_a_subscriber_that_is_down_keeps_nobody_from_publishing(small: BusServer, asked: dict[str, object]) -> None:
    """Its oldest deliveries become dead letters without bodies; all others get everything, and it gets the rest."""
    caller, repair = Caller(small.port), RepairClient(small.port)
    with RecordingSubscriber(keep_bodies=False) as good, RecordingSubscriber(keep_bodies=False) as down:
        caller.register(good.address)
        caller.register(down.address, lease=600, **asked)
        down.down()
        ids = publish_all(caller)
        eventually(settled(caller, good.address, accepted=EVENTS, delivered=EVENTS), 60)
        down.up()
        caller.register(down.address)
        eventually(settled(caller, down.address, accepted=EVENTS, pending=0), 60)
        lost = account(caller, down.address)["dead"]
        assert EVENTS // 2 < lost < EVENTS
        assert told(caller, "pending") == lost
        letters = repair.dead_letters()
        assert {(letter["reason"], letter["body_given_up"]) for letter in letters} == {("journal quota", True)}
        gone = {letter["event"] for letter in letters}
        assert gone.isdisjoint(ids[-8:])  # half of what the quota leaves it
        assert set(down.counts) == set(ids) - gone
        assert "over the journal quota" in small.log_text()


def test_many_subscribers_that_are_down_do_not_fill_it_with_dead_letters(small: BusServer) -> None:
    """Beyond one dead letter for each 4 KiB of the journal what is given up is discarded, and is in the accounts."""
    caller, most = Caller(small.port), LIMIT // 4_096
    with RecordingSubscriber(keep_bodies=False) as good, RecordingSubscriber(keep_bodies=False) as down:
        caller.register(good.address)
        addresses = [f"{down.address}/{number}" for number in range(SEVERAL)]
        for address in addresses:
            caller.register(address, lease=600)
        down.down()
        ids = publish_all(caller)
        eventually(settled(caller, good.address, accepted=EVENTS, delivered=EVENTS), 60)
        accounts = [account(caller, address) for address in addresses]
        dead, discarded = (sum(each[name] for each in accounts) for name in ("dead", "discarded"))
        assert most // 2 < dead <= most
        assert discarded > SEVERAL
        assert (told(caller, "pending"), told(caller, "discarded")) == (dead, discarded)
        assert metric(caller, "eventbus_journal_bytes") < LIMIT
        eventually(lambda: "were discarded, the others are dead letters" in small.log_text(), 30)
        down.up()
        for address in addresses:
            caller.register(address)
            eventually(settled(caller, address, accepted=EVENTS, pending=0), 60)
        assert set(ids[-8:]) <= set(down.counts)


def test_a_subscriber_that_rejects_keeps_nobody_from_publishing(small: BusServer) -> None:
    """Its dead letters give up their bodies, the oldest first, and say so where they are to be replayed."""
    caller, repair = Caller(small.port), RepairClient(small.port)
    with RecordingSubscriber(keep_bodies=False) as good, RecordingSubscriber(always(400), keep_bodies=False) as bad:
        caller.register(good.address)
        caller.register(bad.address)
        publish_all(caller)
        eventually(settled(caller, good.address, accepted=EVENTS, delivered=EVENTS), 60)
        eventually(settled(caller, bad.address, accepted=EVENTS, dead=EVENTS), 60)
        letters = repair.dead_letters()
        gone = [letter for letter in letters if letter["body_given_up"]]
        assert {letter["reason"] for letter in letters} == {"rejected"}
        assert 0 < len(gone) < EVENTS
        refused = repair.ask("POST", f"/deadLetters/replay?id={gone[0]['id']}")
        assert (refused.status, "body" in refused.text) == (409, True)
        replayed = repair.ask("POST", f"/deadLetters/replay?address={bad.address}").json()["replayed"]
        assert 0 < replayed <= EVENTS - len(gone)
        eventually(settled(caller, bad.address, accepted=EVENTS, dead=EVENTS), 60)
