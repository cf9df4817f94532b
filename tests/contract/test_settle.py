"""On each journal a publish that waits is told the fate of its event, whatever ends the delivery."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import gevent
import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.clock import Clock
from eventbus.core.event_ids import new_event_id
from eventbus.core.model import Message, Terms
from eventbus.core.records import Pause
from eventbus.core.settings import Settings
from eventbus.delivery.awaited import DeliveryState
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.journal.base import Appended
from eventbus.services.bus import Bus
from eventbus.services.dead_letters import Chosen
from eventbus.services.settled_fates import Settled
from eventbus.services.timing import ServiceTiming
from tests.support.account_journals import AccountJournal, in_files, on_redis
from tests.support.deadline import eventually
from tests.support.lanes import BUSY, EPOCH, TAKEN, UNWANTED
from tests.support.redis_server import COMMAND
from tests.support.scripted import Attempt, ScriptedTransport

A, B = "127.0.0.1:8001", "127.0.0.1:8002"
#: Seconds after which a wait ends that no test waits for, and those of one that does.
LONG, SHORT = 60.0, 0.3
ENDED = DeliveryResponse(410)
QUICK = ServiceTiming(settle_look_seconds=0.02, settle_check_seconds=0.05, retry_delay_seconds=0.02)
Waiting = "gevent.Greenlet[..., Settled]"


class Scene:
    """A bus whose attempts wait for their answers."""

    def __init__(self, journal: AccountJournal) -> None:
        self.transport = ScriptedTransport()
        self.bus: Bus = journal.start(Settings(), self.transport, Clock(), QUICK)

    def register(self, address: str, **terms: object) -> None:
        """Register an address, on its own or as the member of a group."""
        group, topics = terms.pop("group", None), terms.pop("topics", ())
        self.bus.register(parse_address(address), Terms(topics=topics, **terms), group=group)  # type: ignore[arg-type]

    @contextmanager
    def publishing(
        self, topic: str = "a", *, body: bytes = b"{}", seconds: float = LONG, key: str | None = None
    ) -> Iterator[Waiting]:
        """Publish an event, and wait for its fate in a greenlet."""
        message = Message(new_event_id(), topic, b"Content-Type: application/json\r\n", body, EPOCH)
        published: list[Appended] = []

        def publish() -> Settled:
            with self.bus.settling.awaiting(message.id, topic) as awaited:
                published.append(self.bus.publish((message,), key))
                if published[0].duplicate:
                    self.bus.settling.follow(awaited, published[0].ids[0])
                return self.bus.settling.wait(awaited, seconds, lambda: False)

        greenlet = gevent.spawn(publish)
        eventually(lambda: published or greenlet.ready(), 10)
        try:
            yield greenlet
        finally:
            greenlet.kill()

    def attempts(self, *keys: str) -> list[Attempt]:
        """The attempts at these, once each has one."""

        def found() -> list[Attempt] | None:
            held = {attempt.key: attempt for attempt in self.transport.held}
            return [held[key] for key in keys] if held.keys() >= set(keys) else None

        return eventually(found, 10) or []

    def answer(self, response: DeliveryResponse, *keys: str) -> None:
        """Answer the attempts at these, and wait until that is noted."""
        attempts = self.attempts(*keys)
        for attempt in attempts:
            attempt.answer_with(response)
        eventually(lambda: not set(attempts) & set(self.transport.held), 10)


@pytest.fixture(params=["sqlite", "redis"])
def scene(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Scene]:
    """A bus on one journal, and on the other."""
    if request.param == "redis" and COMMAND is None:
        pytest.skip("there is no redis-server here")
    kind = in_files if request.param == "sqlite" else on_redis
    with ExitStack() as stack:
        journal = stack.enter_context(kind(tmp_path))()
        found = Scene(journal)
        try:
            yield found
        finally:
            found.transport.always = TAKEN
            found.transport.answer(found.transport.held, TAKEN)
            found.bus.stop()
            journal.remove()


def told(waiting: Waiting, timeout: float = 10.0) -> dict[str, DeliveryState]:
    """What a publish is told, by key, when it ends."""
    return {key: fate.delivery for key, fate in waiting.get(timeout=timeout).fates.items()}


def states(waiting: Waiting) -> dict[str, str]:
    """The states alone."""
    return {key: delivery.state for key, delivery in told(waiting).items()}


def still_waits(waiting: Waiting, looks: int = 10) -> bool:
    """Whether a publish waits, also after it has looked again."""
    gevent.sleep(looks * QUICK.settle_look_seconds)
    return not waiting.ready()


def test_it_ends_with_the_last_delivery(scene: Scene) -> None:
    """Each has its attempts and its status."""
    scene.register(A)
    scene.register(B)
    with scene.publishing() as waiting:
        scene.answer(TAKEN, A)
        assert still_waits(waiting)
        scene.answer(DeliveryResponse(202), B)
        assert told(waiting) == {A: DeliveryState("delivered", 1, 204), B: DeliveryState("delivered", 1, 202)}


def test_nobody_is_waited_for_who_does_not_want_it(scene: Scene) -> None:
    """Neither by topic nor by filter."""
    scene.register(A, topics=("b",))
    scene.register(B, filter='{"exact":{"data.n":1}}')
    with scene.publishing(body=b'{"n": 2}') as waiting:
        assert told(waiting) == {B: DeliveryState("filtered", 0, None)}


def test_a_dead_letter_is_told_once_the_journal_has_it(scene: Scene) -> None:
    """It can be looked up when the publish is answered."""
    scene.register(A)
    with scene.publishing() as waiting:
        scene.answer(UNWANTED, A)
        assert told(waiting) == {A: DeliveryState("dead", 1, 400)}
        (letter,) = scene.bus.dead_letters.page(A, 0, 10)
        assert letter.letter.reason == "rejected"


def test_what_waits_for_a_retry_is_pending_and_then_delivered(scene: Scene) -> None:
    """All of its attempts count."""
    scene.register(A, backoff=(0.1, 0.1))
    with scene.publishing(seconds=SHORT) as waiting:
        scene.answer(BUSY, A)
        found = told(waiting)[A]
    assert found.state == "pending"
    assert found.attempts is not None
    with scene.publishing() as waiting:
        scene.answer(BUSY, A)
        while not waiting.ready():
            scene.transport.answer(list(scene.transport.held), TAKEN)
            gevent.sleep(0.01)
        assert told(waiting)[A].state == "delivered"


def test_ordered_subscribers_are_waited_for_in_their_order(scene: Scene) -> None:
    """The second event is not attempted before the first one is settled."""
    scene.register(A, ordered=True)
    with scene.publishing() as first, scene.publishing() as second:
        scene.answer(TAKEN, A)
        assert states(first) == {A: "delivered"}
        assert still_waits(second)
        scene.answer(UNWANTED, A)
        assert states(second) == {A: "dead"}


def test_a_group_counts_as_one(scene: Scene) -> None:
    """Whichever member takes the event; the other one's failure is an attempt."""
    scene.register(A, group="g")
    scene.register(B, group="g")
    with scene.publishing() as waiting:
        eventually(lambda: scene.transport.held, 10)
        scene.transport.answer(list(scene.transport.held), BUSY)
        eventually(lambda: scene.transport.held and not scene.transport.held[0].answer.ready(), 10)
        scene.transport.answer(list(scene.transport.held), TAKEN)
        assert told(waiting) == {"group=g": DeliveryState("delivered", 2, 204)}


def test_events_of_a_delivered_batch_have_fates_of_their_own(scene: Scene) -> None:
    """One is rejected, and the others are not."""
    scene.register(A, batch=10, batch_wait=1.0)
    with scene.publishing() as first, scene.publishing() as second:
        (attempt,) = scene.attempts(A)
        rejected = attempt.events[1].id
        body = b'{"failed":[{"id":"%s","reject":"no"}]}' % rejected.encode()
        scene.answer(DeliveryResponse(200, body=body), A)
        assert told(first) == {A: DeliveryState("delivered", 1, 200)}
        assert told(second) == {A: DeliveryState("dead", 1, 200)}


def test_a_paused_subscriber_is_pending(scene: Scene) -> None:
    """It was never attempted, until the pause ends."""
    scene.register(A)
    scene.bus.pauses.pause(A, Pause("test", EPOCH, None))
    with scene.publishing(seconds=SHORT) as waiting:
        assert told(waiting) == {A: DeliveryState("pending", 0, None)}


def test_who_deregisters_meanwhile_has_discarded_it(scene: Scene) -> None:
    """Also if the attempt in flight is answered then."""
    scene.register(A)
    scene.register(B)
    with scene.publishing() as waiting:
        scene.answer(TAKEN, B)
        attempts = scene.attempts(A)
        scene.bus.deregister(A)
        scene.transport.answer(attempts, TAKEN)
        assert states(waiting) == {A: "discarded", B: "delivered"}


def test_who_answers_410_has_discarded_it(scene: Scene) -> None:
    """The registration ends, and the event with it."""
    scene.register(A)
    with scene.publishing() as waiting:
        scene.answer(ENDED, A)
        assert states(waiting) == {A: "discarded"}


def test_a_lease_that_ends_meanwhile_makes_it_dead(scene: Scene) -> None:
    """What was pending is a dead letter."""
    scene.register(A)
    scene.bus.pauses.pause(A, Pause("test", EPOCH, None))
    with scene.publishing() as waiting:
        assert still_waits(waiting)
        lane = scene.bus.dispatcher.lanes[A]
        lane.end_lease(scene.bus.clock.monotonic())
        scene.bus.expiry.dead_letter(lane)
        assert told(waiting) == {A: DeliveryState("dead", 0, None)}


def test_what_an_operator_skips_is_dead(scene: Scene) -> None:
    """Though it waits for the end of a pause."""
    scene.register(A)
    scene.bus.pauses.pause(A, Pause("test", EPOCH, None))
    with scene.publishing() as waiting:
        (event,) = scene.bus.journal.page(0, 10, 10, 2**20).events
        eventually(lambda: scene.bus.dispatcher.lanes[A].accepted, 10)
        assert scene.bus.skips.skip(A, event.id).dead == 1
        assert states(waiting) == {A: "dead"}


def test_a_replay_is_not_taken_for_the_delivery(scene: Scene) -> None:
    """While the event is replayed to another subscriber, and to one that has it."""
    scene.register(A)
    with scene.publishing() as waiting:
        scene.answer(TAKEN, A)
        assert states(waiting) == {A: "delivered"}
    scene.register(B)
    with scene.publishing("b") as waiting:
        assert scene.bus.replays.begin(B, "earliest", "now")
        scene.answer(TAKEN, A)
        found: dict[str, str] = {}
        while not waiting.ready():
            scene.transport.answer(list(scene.transport.held)[:1], TAKEN)
            gevent.sleep(0.01)
        found = states(waiting)
    assert found == {A: "delivered", B: "delivered"}


def test_a_dead_letter_that_is_put_back_stays_dead_in_the_answer(scene: Scene) -> None:
    """What was settled first counts, while others are waited for."""
    scene.register(A)
    scene.register(B)
    with scene.publishing() as waiting:
        scene.answer(UNWANTED, A)
        eventually(lambda: scene.bus.dead_letters.page(A, 0, 10), 10)
        assert still_waits(waiting)
        assert scene.bus.dead_letters.replay(Chosen(A), new_event_id()).replayed == 1
        scene.attempts(A)
        scene.answer(TAKEN, B)
        assert states(waiting) == {A: "dead", B: "delivered"}


def test_a_repeated_key_waits_for_the_first_event(scene: Scene) -> None:
    """Also for what was settled before, of which the attempts are not known any more."""
    scene.register(A)
    scene.register(B)
    with scene.publishing(key="k") as first:
        scene.answer(TAKEN, A)
        with scene.publishing(key="k") as again:
            assert still_waits(again)
            scene.answer(TAKEN, B)
            assert states(first) == {A: "delivered", B: "delivered"}
            assert told(again) == {A: DeliveryState("delivered"), B: DeliveryState("delivered", 1, 204)}


def test_a_bus_that_drains_answers_at_once(scene: Scene) -> None:
    """With what is known; the event is delivered after the next start."""
    scene.register(A)
    with scene.publishing() as waiting:
        scene.attempts(A)
        scene.bus.settling.stop()
        assert told(waiting) == {A: DeliveryState("pending", 0, None)}


def test_thousands_are_waited_for(scene: Scene) -> None:
    """Their number is the answer, and other work goes on while it is made."""
    count = 1_000
    scene.transport.always = TAKEN
    for number in range(count):
        scene.register(f"127.0.0.1:{9_000 + number}")
    with scene.publishing() as waiting:
        assert len(told(waiting, 30.0)) == count
