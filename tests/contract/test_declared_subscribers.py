"""On every journal declared subscribers are what the file says: through renewals, kills, answers and other clients."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.clock import Clock
from eventbus.core.errors import Conflict
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Message, Options, State, Terms
from eventbus.core.settings import Settings
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.delivery.lane.status import status
from eventbus.services.bus import Bus
from eventbus.services.timing import ServiceTiming
from tests.support.account_journals import EACH_JOURNAL, Journals, KindOfJournal
from tests.support.deadline import eventually
from tests.support.lanes import EPOCH, TAKEN
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.scripted import ScriptedTransport
from tests.support.shared import move, shared

HOOK, MEMBER = "127.0.0.1:8001?path=/hooks", "127.0.0.1:8002"
FILE = """
[[subscriber]]
address = "127.0.0.1:8001"
path = "/hooks"
topics = ["orders.*"]
timeout = 3

[[subscriber]]
address = "127.0.0.1:8002"
group = "mailer"
ordered = true
"""
#: Quick enough that no test waits long, and no grace for peers, of which there are none.
TIMING = ServiceTiming(declared_check_seconds=0.02, declared_interval_seconds=0.05)
DAYS = 10 * 86_400.0


class DeclaringBus:
    """A bus with a file of declared subscribers, and the next one once it is killed."""

    def __init__(self, make: Journals, folder: Path) -> None:
        self.now = 0.0
        self.path = folder / "subscribers.toml"
        self.path.write_text(FILE)
        self._clock = Clock(lambda: self.now, lambda: EPOCH + self.now)
        self._journal = make()
        self.start()

    def start(self) -> None:
        """Start the next bus."""
        self.transport = ScriptedTransport()
        settings = Settings(subscribers=str(self.path))
        self.bus: Bus = self._journal.start(settings, self.transport, self._clock, TIMING)

    def kill(self) -> None:
        """End the bus at once, with all saved."""
        self.bus.dispatcher.checkpointer.save()
        self._journal.kill(self.bus)

    def end(self) -> None:
        """End the last bus, and leave nothing."""
        self.bus.stop()
        self._journal.remove()

    def publish(self, topic: str = "orders.created") -> str:
        """Publish an event, and return its id."""
        return self.bus.publish([Message(new_event_id(), topic, b"", b"", EPOCH + self.now)]).ids[0]

    def until(self, condition: Callable[[], object]) -> None:
        """Let time pass until this holds."""

        def passing() -> object:
            self.now += 0.01
            return condition()

        eventually(passing, 10)

    def accept(self) -> None:
        """Let subscribers take what they have got, and what comes."""
        self.transport.always = TAKEN
        self.transport.answer(list(self.transport.held), TAKEN)

    def reconcile_after(self, seconds: float) -> None:
        """Let time pass, and the service do what is due."""
        self.now += seconds
        self.bus.sweeper.sweep()
        self.bus.declared.reconcile()

    @property
    def names(self) -> list[str]:
        """Who is registered: the addresses and paths, and members of groups by theirs."""
        return sorted(target.subscriber.key for lane in self.bus.subscribers() for target in lane.roster or (lane,))


@pytest.fixture(params=EACH_JOURNAL)
def declaring(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[DeclaringBus]:
    """A bus that has registered what its file declares."""
    journals: KindOfJournal = request.param
    with journals(tmp_path) as make:
        found = DeclaringBus(make, tmp_path)
        eventually(lambda: found.names == [HOOK, MEMBER], 10)
        yield found
        found.end()


def test_a_declared_subscriber_needs_no_renewal(declaring: DeclaringBus) -> None:
    """It gets events on its terms, however long it is silent, and after a kill the next bus goes on with it."""
    declaring.reconcile_after(DAYS)
    lane = declaring.bus.dispatcher.lanes[HOOK]
    assert lane.subscriber.options == Options(topics=("orders.*",), timeout=3)
    event = declaring.publish()
    eventually(lambda: {attempt.key for attempt in declaring.transport.held} == {HOOK, MEMBER}, 10)
    declaring.kill()
    declaring.now += DAYS
    declaring.start()
    assert declaring.names == [HOOK, MEMBER]
    declaring.accept()
    eventually(lambda: all(declaring.transport.taken[key, event] == 1 for key in (HOOK, MEMBER)), 10)
    declaring.reconcile_after(DAYS)
    assert declaring.names == [HOOK, MEMBER]


def test_no_other_client_changes_or_ends_a_declared_subscriber(declaring: DeclaringBus) -> None:
    """Registering and deregistering are refused, of a group also its shared options; what is not declared may join."""
    bus = declaring.bus
    hook = parse_address("127.0.0.1:8001").with_target("/hooks")
    refused: list[Callable[[], object]] = [
        lambda: bus.register(hook, Terms()),
        lambda: bus.register(hook, Terms(timeout=9)),
        lambda: bus.register(parse_address(MEMBER), Terms(), group="mailer"),
        lambda: bus.register(parse_address("127.0.0.1:8003"), Terms(ordered=False), group="mailer"),
        lambda: bus.deregister(HOOK),
        lambda: bus.deregister(MEMBER),
        lambda: bus.deregister("group=mailer"),
    ]
    for change in refused:
        with pytest.raises(Conflict, match="is declared in a file of the bus"):
            change()
    assert declaring.names == [HOOK, MEMBER]
    assert bus.register(parse_address("127.0.0.1:8003"), Terms(), group="mailer").created
    bus.deregister("127.0.0.1:8003")
    assert bus.register(parse_address("127.0.0.1:8001"), Terms()).created


def test_a_410_ends_no_declared_subscriber(declaring: DeclaringBus) -> None:
    """The event is tried again, as after a 404, and is not discarded."""
    declaring.transport.always = DeliveryResponse(410)
    event = declaring.publish()
    lane = declaring.bus.dispatcher.lanes[HOOK]
    eventually(lambda: lane.failed_attempts >= 1, 10)
    declaring.transport.always = TAKEN
    declaring.now += 120
    declaring.bus.dispatcher.schedule(lane)
    eventually(lambda: declaring.transport.taken[HOOK, event] == 1, 10)
    assert (lane.dead, lane.discarded, declaring.names) == (0, 0, [HOOK, MEMBER])


def test_who_is_removed_from_the_file_ends_as_an_expired_lease(declaring: DeclaringBus) -> None:
    """What is pending are dead letters; who comes back has them, and a bus that was away does the same."""
    declaring.publish()
    eventually(lambda: len(declaring.transport.held) == 2, 10)
    declaring.kill()
    declaring.path.write_text(FILE.partition('[[subscriber]]\naddress = "127.0.0.1:8002"')[0])
    declaring.start()
    declaring.until(lambda: declaring.names == [HOOK])
    key = "group=mailer"
    declaring.transport.answer(list(declaring.transport.held), DeliveryResponse(503))
    declaring.until(lambda: key not in declaring.bus.dispatcher.lanes)
    assert [kept.letter.reason for kept in declaring.bus.dead_letters.page(key, 0, 10)] == ["lease ended"]
    declaring.path.write_text(FILE)
    declaring.until(lambda: declaring.names == [HOOK, MEMBER])
    assert status(declaring.bus.dispatcher.lanes[key], declaring.now) is State.NEW


def test_who_was_registered_by_a_client_is_taken_over_where_it_is(declaring: DeclaringBus) -> None:
    """Its position stays; once the file is without it, a position that is kept waits for the client again."""
    address = parse_address("127.0.0.1:8005")
    declaring.bus.register(address, Terms(lease=30, topics=("a",), resume=True))
    event = declaring.publish("a")
    eventually(lambda: any(attempt.key == address.key for attempt in declaring.transport.held), 10)
    declaring.path.write_text(FILE + '[[subscriber]]\naddress = "127.0.0.1:8005"\nresume = true\n')
    lane = declaring.bus.dispatcher.lanes[address.key]
    declaring.until(lambda: lane.subscriber.declared)
    assert (lane.subscriber.options.topics, lane.backlog) == ((), 1)
    declaring.path.write_text(FILE)
    declaring.until(lambda: lane.ended_at is not None)
    assert declaring.bus.register(address, Terms()).created
    declaring.transport.answer(list(declaring.transport.held), TAKEN)
    eventually(lambda: declaring.transport.taken[address.key, event] == 1, 10)


def test_a_subscriber_that_moves_into_a_group_ends_where_it_was(declaring: DeclaringBus) -> None:
    """It is a member then, and nothing else."""
    declaring.path.write_text(FILE.replace('path = "/hooks"', 'path = "/hooks"\ngroup = "hooks"'))
    declaring.until(lambda: "group=hooks" in declaring.bus.dispatcher.lanes)
    declaring.until(lambda: HOOK not in declaring.bus.dispatcher.lanes)
    assert declaring.names == [HOOK, MEMBER]


def test_credentials_need_nobody_to_give_them_again(declaring: DeclaringBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """They come from the environment with the file, and after a restart before anything is delivered."""
    monkeypatch.setenv("HOOK_TOKEN", "Bearer let-the-bus-in")
    declaring.path.write_text(FILE.replace("timeout = 3", 'timeout = 3\nauthorization_env = "HOOK_TOKEN"'))
    lane = declaring.bus.dispatcher.lanes[HOOK]
    declaring.until(lambda: lane.subscriber.credentials == ("authorization",))
    declaring.publish()
    sent = eventually(lambda: [one for one in declaring.transport.held if one.key == HOOK], 10)
    assert [one.credentials.authorization for one in sent] == ["Bearer let-the-bus-in"]
    declaring.kill()
    declaring.start()
    sent = eventually(lambda: [one for one in declaring.transport.held if one.key == HOOK], 10)
    assert [one.credentials.authorization for one in sent] == ["Bearer let-the-bus-in"]
    declaring.path.write_text(FILE)
    lane = declaring.bus.dispatcher.lanes[HOOK]
    declaring.until(lambda: (lane.subscriber.credentials, lane.credentials.authorization) == ((), ""))


@NEEDS_REDIS
def test_nodes_with_different_files_do_not_fight(redis: RedisServer, tmp_path: Path) -> None:
    """A subscription goes from node to node, and stays for as long as the file of one has it, on its owner's terms."""
    first_file, second_file = tmp_path / "first.toml", tmp_path / "second.toml"
    first_file.write_text('[[subscriber]]\naddress = "127.0.0.1:8001"\ntimeout = 3\n')
    second_file.write_text('[[subscriber]]\naddress = "127.0.0.1:8002"\n')
    quick = ServiceTiming(declared_check_seconds=0.02, declared_interval_seconds=0.05)
    with (
        shared(redis.url, always=TAKEN, service_timing=quick, subscribers=str(first_file)) as first,
        shared(redis.url, always=TAKEN, service_timing=quick, subscribers=str(second_file)) as second,
    ):
        a, b = "127.0.0.1:8001", "127.0.0.1:8002"
        eventually(lambda: set(first.bus.dispatcher.lanes) | set(second.bus.dispatcher.lanes) == {a, b}, 10)
        move(first, second)
        eventually(lambda: a in second.bus.dispatcher.lanes, 10)
        told = [second.journal.declare([], 15.0) for _ in range(3)]
        assert set(told[-1]) == {a, b}
        second.bus.declared.reconcile()
        assert (second.bus.dispatcher.lanes[a].ended_at, a in first.bus.dispatcher.lanes) == (None, False)
        with pytest.raises(Conflict, match="is declared"):
            second.bus.deregister(a)
