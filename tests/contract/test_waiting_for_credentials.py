"""A subscriber whose credentials are not in memory waits for its next renewal, on either journal: nothing is lost."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.credentials import NO_CREDENTIALS, NOTHING_GIVEN, GivenCredentials
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Message, State, Terms
from eventbus.core.settings import Settings
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.delivery.lane.status import status
from eventbus.journal.sqlite import SqliteJournal
from eventbus.services.bus import Bus
from tests.support.deadline import eventually
from tests.support.lanes import TAKEN
from tests.support.redis_server import COMMAND, NEEDS_REDIS, RedisServer
from tests.support.scripted import Attempt, ScriptedTransport
from tests.support.shared import SharedBus, move, shared

A, B = "127.0.0.1:8001", "127.0.0.1:8002"
BEARER, SECRET = "Bearer a-token-that-nobody-knows", "whsec_" + "QUJD" * 8
BOTH = GivenCredentials(BEARER, SECRET)
ALL = 1_000_000

#: Starts a bus on the same journal as before.
Start = Callable[[], Bus]


@pytest.fixture(params=["sqlite", "redis"])
def start(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Start]:
    """Starts a bus again and again, on one journal of this kind."""
    buses = list[Bus]()

    def begin(open_bus: Start) -> Bus:
        if buses:
            buses.pop().stop()
        buses.append(open_bus())
        return buses[-1]

    def on_file() -> Bus:
        found = Bus(Settings(), SqliteJournal(str(tmp_path / "bus.db")), ScriptedTransport())
        found.start()
        return found

    if request.param == "sqlite":
        yield lambda: begin(on_file)
    elif COMMAND is None:
        pytest.skip("there is no redis-server here")
    else:
        with RedisServer(tmp_path, durable=False) as redis:
            yield lambda: begin(lambda: SharedBus(redis.url).bus)
            buses.pop().stop()
            return
    buses.pop().stop()


def register(bus: Bus, address: str = A, given: GivenCredentials = NOTHING_GIVEN, group: str | None = None) -> Lane:
    """Register or renew."""
    found = bus.register(parse_address(address), Terms(lease=600), group=group, credentials=given)
    assert found.lane.phase.value == "active"
    return found.lane


def publish(bus: Bus, count: int = 1) -> None:
    """Publish events."""
    bus.publish([Message(new_event_id(), None, b"", b"", bus.clock.wall()) for _ in range(count)])


def attempts(bus: Bus) -> list[Attempt]:
    """The attempts that wait for an answer."""
    transport = bus.dispatcher._transport  # noqa: SLF001 - it was given there
    assert isinstance(transport, ScriptedTransport)
    return transport.held


def state(bus: Bus, lane: Lane) -> State:
    """The state that is displayed."""
    return status(lane, bus.clock.monotonic())


def restarted(start: Start, address: str = A) -> tuple[Bus, Lane]:
    """A bus on the same journal, once it has the subscriber."""
    bus = start()
    return bus, eventually(lambda: bus.dispatcher.lanes.get(address), 10)


def test_after_a_restart_nothing_is_attempted_until_all_credentials_have_come(start: Start) -> None:
    """Nothing is lost, and nothing counts as a failed attempt; what waited is then sent with them."""
    bus = start()
    register(bus, given=BOTH)
    publish(bus)
    eventually(lambda: attempts(bus), 10)
    bus, lane = restarted(start)
    publish(bus, 2)
    for given in (NOTHING_GIVEN, GivenCredentials(BEARER), NOTHING_GIVEN):
        assert register(bus, given=given) is lane
        assert (state(bus, lane), lane.backlog, lane.failed_attempts) == (State.WAITING, 3, 0)
    assert attempts(bus) == []
    register(bus, given=GivenCredentials(secret=SECRET))
    eventually(lambda: len(attempts(bus)) == 3, 10)
    assert state(bus, lane) is State.NEW
    assert {(attempt.credentials.authorization, len(attempt.credentials.secrets)) for attempt in attempts(bus)} == {
        (BEARER, 1)
    }


def test_one_that_had_none_does_not_wait(start: Start) -> None:
    """Nor does one that has removed them."""
    bus = start()
    register(bus)
    register(bus, B, BOTH)
    assert register(bus, B, GivenCredentials("", "")).subscriber.credentials == ()
    publish(bus)
    bus, _ = restarted(start)
    eventually(lambda: {attempt.key for attempt in attempts(bus)} == {A, B}, 10)
    assert {attempt.credentials for attempt in attempts(bus)} == {NO_CREDENTIALS}


def test_one_that_gives_its_credentials_up_waits_no_more(start: Start) -> None:
    """A renewal that removes what is missing is enough."""
    bus = start()
    register(bus, given=BOTH)
    publish(bus)
    bus, lane = restarted(start)
    register(bus, given=GivenCredentials("", ""))
    eventually(lambda: attempts(bus), 10)
    assert state(bus, lane) is State.NEW


def test_a_member_waits_while_the_others_get_all(start: Start) -> None:
    """When all wait, the group does; each has its own credentials."""
    bus = start()
    register(bus, A, GivenCredentials(BEARER), "mailer")
    register(bus, B, GivenCredentials(secret=SECRET), "mailer")
    bus, lane = restarted(start, "group=mailer")
    publish(bus, 3)
    assert state(bus, lane) is State.WAITING
    register(bus, B, GivenCredentials(secret=SECRET), "mailer")
    eventually(lambda: len(attempts(bus)) == 3, 10)
    assert {(attempt.key, attempt.credentials.authorization) for attempt in attempts(bus)} == {(B, "")}
    assert lane.roster is not None
    assert [status(member, bus.clock.monotonic()) for member in lane.roster] == [State.WAITING, State.NEW]
    assert state(bus, lane) is State.NEW
    for attempt in list(attempts(bus)):
        attempt.answer.set(DeliveryResponse(500))
    register(bus, A, GivenCredentials(BEARER), "mailer")
    eventually(lambda: any(attempt.credentials.authorization == BEARER for attempt in attempts(bus)), 10)
    assert all(attempt.key == A for attempt in attempts(bus) if attempt.credentials.authorization)


def test_a_lease_ends_while_a_subscriber_waits(start: Start) -> None:
    """What is pending becomes dead letters without an attempt, as for any subscriber that does not renew."""
    bus = start()
    register(bus, given=BOTH)
    bus, lane = restarted(start)
    publish(bus)
    lease = bus.node.leases.end(A)
    assert lease is not None
    bus.sweeper.expire(lease)
    eventually(lambda: lane.dead == 1, 10)
    (letter,) = eventually(lambda: bus.dead_letters.page(A, 0, 10), 10)
    assert (letter.letter.reason, letter.letter.attempts) == ("lease ended", 0)


@NEEDS_REDIS
def test_a_node_that_acquires_a_subscriber_waits_for_its_credentials(redis: RedisServer) -> None:
    """They are not handed over, and the new owner sends nothing without them."""
    with shared(redis.url, always=TAKEN) as giver, shared(redis.url) as taker:
        giver.register(A, BOTH)
        move(giver, taker)
        taker.publish(1)
        lane = taker.bus.dispatcher.lanes[A]
        eventually(lambda: lane.backlog == 1, 10)
        assert (state(taker.bus, lane), attempts(taker.bus)) == (State.WAITING, [])
        taker.register(A, BOTH)
        eventually(lambda: attempts(taker.bus), 10)
        assert attempts(taker.bus)[0].credentials.authorization == BEARER


def test_the_journal_has_only_which_kinds_there_are(tmp_path: Path) -> None:
    """No file of it holds a credential."""
    bus = Bus(Settings(), SqliteJournal(str(tmp_path / "bus.db")), ScriptedTransport(always=TAKEN))
    bus.start()
    register(bus, given=BOTH)
    register(bus, given=GivenCredentials(f"{BEARER}-2", "whsec_" + "REVG" * 8))
    publish(bus)
    eventually(lambda: bus.dispatcher.lanes[A].delivered, 10)
    bus.dispatcher.checkpointer.save()
    written = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    bus.stop()
    written += b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b'"credentials":["authorization","secret"]' in written
    for part in (BEARER, "QUJDQUJD", "REVGREVG", "ABCABC", "DEFDEF"):
        assert part.encode() not in written
