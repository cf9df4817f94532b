"""A whole bus over a real journal through any history: what was accepted is pending, settled, and counted."""

import base64
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from unittest.mock import patch

import gevent
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from eventbus.core.addresses import parse_address
from eventbus.core.clock import Clock
from eventbus.core.credentials import NOTHING_GIVEN, GivenCredentials
from eventbus.core.errors import (
    BacklogFull,
    Conflict,
    JournalError,
    JournalTimeout,
    JournalUnavailable,
    KeyReused,
    NotFound,
    NotOwner,
    TooMany,
)
from eventbus.core.event_expiry import EXPIRED, with_expiry
from eventbus.core.event_ids import new_event_id
from eventbus.core.event_view import EventView
from eventbus.core.filters import parse_filter
from eventbus.core.model import Account, Event, Message, Terms
from eventbus.core.ordering import BY_KEY
from eventbus.core.records import Checkpoint, Pause
from eventbus.core.settings import Settings
from eventbus.core.topics import matches
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.limits import LaneLimits
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.delivery.lane.phase import Phase
from eventbus.delivery.lane_registry import targets_of
from eventbus.journal.base import Appended
from eventbus.services.dead_events import DeadEvents
from eventbus.services.dead_letters import Chosen
from eventbus.services.quota_enforcer import QuotaEnforcer
from eventbus.services.timing import ServiceTiming
from tests.support.account_journals import AccountJournal, KindOfJournal, histories, run_histories
from tests.support.at_rest import lanes_are_at_rest
from tests.support.deadline import eventually
from tests.support.lanes import BUSY, ENOUGH, EPOCH, REFUSED, TAKEN, UNWANTED, wait_please
from tests.support.scripted import Attempt, Said, ScriptedTransport, Sent

KEYS = [f"127.0.0.1:{port}" for port in (8001, 8002, 8003)]
KEY = st.sampled_from(KEYS)


def take_some(attempt: Attempt) -> DeliveryResponse:
    """Take each third event of a batch; of the others one is rejected, and one comes later."""
    entries = [
        {"id": event.id, **({"reject": "no"} if number % 3 == 1 else {"retry_after": 5})}
        for number, event in enumerate(attempt.events)
        if number % 3
    ]
    return DeliveryResponse(200, body=json.dumps({"failed": entries}).encode())


#: Of a batch: that some of its events fail, and what is no answer at all.
PARTLY = [take_some, DeliveryResponse(200, body=b'{"failed": [')]
ANSWERS = st.sampled_from(
    [TAKEN, TAKEN, TAKEN, BUSY, BUSY, REFUSED, UNWANTED, UNWANTED, ENOUGH, wait_please(7), *PARTLY]
)
BATCH, BATCH_WAIT = st.sampled_from([1, 1, 2, 5]), st.sampled_from([0.0, 0.0, 2.0])
TOPIC = st.sampled_from([None, "a", "b"])
ORDER_KEYS = ("", "x", "y", "x")
ORDERED = st.sampled_from([False, True, BY_KEY, BY_KEY])
TOPICS = st.sampled_from([(), (), ("a",), ("b",)])
#: Filters; None leaves the one that a subscriber has.
FILTER = st.sampled_from(
    [
        None, None, None, "", '{"exact":{"topic":"a"}}', '{"not":{"exact":{"key":"x"}}}',
        '[{"number":{"data.n":{"<":3}}},{"exists":{"data.n":true}}]',
    ]
)  # fmt: skip
EXPIRES = st.sampled_from([None, None, 5.0, 30.0])
RATE = st.sampled_from(["", "", "2/1", "3/30"])
DEAD_TO = st.sampled_from(["", "", "b"])
#: What a registration gives: mostly nothing; else a secret, an authorization, or that there is none any more.
SECRETS = [f"whsec_{base64.b64encode(bytes([number]) * 24).decode()}" for number in (1, 2)]
NONE_ANY_MORE = GivenCredentials("", "")
CREDENTIALS = st.sampled_from(
    [NOTHING_GIVEN] * 5
    + [GivenCredentials(secret=secret) for secret in SECRETS]
    + [GivenCredentials("Bearer of-a-test"), NONE_ANY_MORE]
)
TERMS = st.builds(
    Terms,
    topics=TOPICS,
    ordered=ORDERED,
    resume=st.booleans(),
    max_in_flight=st.just(3),
    batch=BATCH,
    batch_wait=BATCH_WAIT,
    filter=FILTER,
    rate=RATE,
    dead_to=DEAD_TO,
)
#: A journal with little room, so that settled events go early.
SETTINGS = Settings(retry_seconds=90, retention_seconds=10_000_000, journal_max_bytes=100_000)
BODY = '{{"n":{},"fill":"%s"}}' % ("x" * 480)
#: Memory for a few deliveries, so that a short history already fills it.
TIMING = ServiceTiming(
    commit_rows=4,
    replay_page_events=4,
    lanes=LaneLimits(
        buffered_events=10,
        low_water=6,
        retries=3,
        page_events=3,
        retry_rows=12,
        recovery_page_events=4,
        order_keys=2,
        waiting_events=2,
        ready_events=2,
        key_rows=2,
    ),
)
#: More rows than any history makes.
ALL = 1_000_000

#: A subscriber and an event's id.
Ticket = tuple[str, str]


class BusAccount(RuleBasedStateMachine):
    """A bus, subscribers that answer what the test says, and what has to be known of each accepted event."""

    keys: Sequence[str] = KEYS

    def __init__(self, journal: AccountJournal) -> None:
        super().__init__()
        self.journal = journal
        self.now = 0.0
        self.clock = Clock(lambda: self.now, lambda: EPOCH + self.now)
        self.transport = ScriptedTransport()
        self.ids: list[str] = []
        self.keys_used: dict[str, tuple[tuple[str, ...], int, str | None]] = {}
        self.accepted: dict[str, int] = defaultdict(int)  # by subscriber, replays too
        self.tickets: set[Ticket] = set()
        self.may_be_discarded: set[Ticket] = set()
        self.left: set[str] = set()  # who deregistered, and did not come back
        self.filters: dict[str, set[str]] = defaultdict(set)  # that each had at some time; an empty text is none
        self.views: dict[str, EventView] = {}  # what filters see of each event
        self.published: set[int] = set()  # ids of dead letters that were published again
        self.expire_at: dict[str, float] = {}  # when each event that does so expires, on the wall clock
        self.put_back: set[Ticket] = set()  # dead letters that were put back by their ids
        self.begun_late: list[Ticket] = []  # attempts that began at expired events, and should not have
        self.transport.begun = self._note_begun
        self.begun_before: dict[str, set[int]] = {}  # attempts in flight when an operator paused, by subscriber
        self._start()

    def _start(self) -> None:
        self.bus = self.journal.start(SETTINGS, self.transport, self.clock, TIMING)
        self.outage: JournalError | None = None  # what saving raises
        self._checkpoint, self.bus.journal.checkpoint = self.bus.journal.checkpoint, self._save

    def _save(self, checkpoint: Checkpoint) -> None:
        """Save, fail, or save once without an answer."""
        outage = self.outage
        if isinstance(outage, JournalTimeout):
            self.outage = None
        if outage is None or isinstance(outage, JournalTimeout):
            self._checkpoint(checkpoint)
        if outage is not None:
            raise outage.with_traceback(None)

    # What happens

    @rule(count=st.integers(1, 8), topic=TOPIC, key=st.sampled_from([None, None, None, "k1", "k2"]), expires=EXPIRES)
    def publish(self, count: int, topic: str | None, key: str | None, expires: float | None) -> None:
        """Messages are published, under an idempotency key or without; whom they reach is what was asked for."""
        now = EPOCH + self.now
        head = with_expiry(b"", None, expires, now)
        messages = [
            Message(new_event_id(), topic, head if n % 2 else b"", BODY.format(n).encode(), now, ORDER_KEYS[n % 4])
            for n in range(count)
        ]
        reached = {lane.subscriber.key for lane in self.bus.dispatcher.registry.matching(topic)}
        for lane in self.bus.subscribers():
            chosen = lane.subscriber.options.topics
            assert (lane.subscriber.key in reached) == matches(chosen, topic)
        assert not reached & self.left
        try:
            appended = self.bus.publish(messages, key)
        except BacklogFull:
            return
        except KeyReused:
            assert self.keys_used[key][1:] != (count, topic)
            return
        if key in self.keys_used:
            assert (appended.duplicate, (appended.ids, count, topic)) == (True, self.keys_used[key])
            return
        assert appended.ids == tuple(message.id for message in messages)
        if key is not None:
            self.keys_used[key] = appended.ids, count, topic
        if expires is not None:
            self.expire_at |= {message.id: now + expires for message in messages if message.head}
        self._note_accepted(messages, reached)

    def _note_begun(self, key: str, events: list[Sent]) -> None:
        """Note an attempt at events that have expired, unless they were dead, and put back by their ids."""
        tickets = [(self._lane_of(key), event.id) for event in events]
        self.begun_late += [
            ticket
            for ticket in tickets
            if self.expire_at.get(ticket[1], math.inf) <= self.clock.wall() and ticket not in self.put_back
        ]

    def _note_accepted(self, messages: Sequence[Message], reached: set[str]) -> None:
        """Note events that were kept, and the subscriptions that they are for."""
        self.ids += [message.id for message in messages]
        self.views |= {
            one.id: EventView(Event(0, one.id, one.topic, one.head, one.body, one.accepted_at, one.key))
            for one in messages
        }
        for subscriber in reached:
            self.accepted[subscriber] += len(messages)
            self.tickets |= {(subscriber, message.id) for message in messages}
        lanes = list(self.bus.dispatcher.lanes.values())
        gone = [lane for lane in lanes if lane.phase is Phase.DISCARDING]  # answered 410, which could not be saved yet
        self._may_discard(*(lane.subscriber.key for lane in gone))

    @rule()
    def publish_dead_letters(self) -> None:
        """What is dead is published under the topic that its subscription names, each once."""
        append = self.bus.journal.append

        def note(messages: Sequence[Message], key: str | None = None, letters: Sequence[int] = ()) -> Appended:
            topics = {message.topic for message in messages}
            reached = {lane.subscriber.key for topic in topics for lane in self.bus.dispatcher.registry.matching(topic)}
            appended = append(messages, key, letters)
            if not appended.duplicate:
                assert not self.published & set(letters)
                self.published |= set(letters)
                self._note_accepted(messages, reached)
            return appended

        publisher = DeadEvents(self.bus.node, self.bus.retention.room)
        with patch.object(self.bus.journal, "append", note), suppress(JournalError):
            while publisher.publish_next():
                pass

    @rule(said=ANSWERS, place=st.integers(0, 100), count=st.integers(1, 6))
    def answer(self, said: Said, place: int, count: int) -> None:
        """Some of the attempts under way are answered."""
        held = self.transport.held
        chosen = [held[(place + number) % len(held)] for number in range(min(count, len(held)))]
        if said is ENOUGH:
            self._may_discard(*(attempt.key for attempt in chosen))
        self.transport.answer(chosen, said)
        eventually(lambda: not set(map(id, chosen)) & set(map(id, self.transport.held)), 10)

    @rule(said=st.lists(ANSWERS, min_size=2, max_size=8), place=st.integers(0, 100))
    def answer_while_pages_are_read(self, said: list[Said], place: int) -> None:
        """Attempts are answered one by one, whatever else the bus is doing."""
        for one in said:
            if held := self.transport.held:
                attempt = held[place % len(held)]
                if one is ENOUGH:
                    self._may_discard(attempt.key)
                self.transport.answer([attempt], one)
            gevent.sleep(0)

    @rule()
    def let_go(self) -> None:
        """What is settled may go where the journal has little room left."""
        with suppress(JournalError):
            self.bus.retention.run_once()

    @rule(seconds=st.sampled_from([0.5, 10.0, 40.0]))
    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += seconds
        for lane in list(self.bus.dispatcher.lanes.values()):
            self.bus.dispatcher.schedule(lane)

    @rule(seconds=st.sampled_from([0.0, 130.0]))
    def sweep(self, seconds: float) -> None:
        """Leases that are over end, and that is saved."""
        self.wait(seconds)
        self.bus.sweeper.sweep()
        with suppress(JournalError):
            self.bus.dispatcher.checkpointer.save()

    @rule(key=KEY)
    def save_one(self, key: str) -> None:
        """One lane is saved, perhaps with another, and not all."""
        if (lane := self.bus.dispatcher.lanes.get(key)) is not None:
            with suppress(JournalError):
                self.bus.dispatcher.checkpointer.save_lanes([lane])

    @rule(answered=st.booleans())
    def saving_fails(self, answered: bool) -> None:
        """Nothing can be saved for a while; or the next save is made, and nobody hears of it."""
        self.outage = JournalUnavailable("it fails") if answered else JournalTimeout("nobody knows")

    @rule()
    def saving_works(self) -> None:
        """Everything that waited for it is saved."""
        self.outage = None
        self.bus.dispatcher.checkpointer.save()

    @rule(key=KEY, terms=TERMS, start=st.sampled_from([None, "earliest"]), given=CREDENTIALS)
    def register(self, key: str, terms: Terms, start: str | None, given: GivenCredentials) -> None:
        """A subscriber registers, renews, or comes back."""
        lane = self.bus.dispatcher.lanes.get(key)
        over = lane is not None and lane.lease.ends <= self.now
        if over:
            self._let_go(key)
        before = None if lane is None else (lane.subscriber, lane.lease, lane.interests)
        ended_at = None if lane is None else lane.ended_at
        silent = False
        try:
            self.bus.register(parse_address(key), terms, start, credentials=given)
        except JournalTimeout:
            silent = True
        except (JournalError, TooMany):
            if lane is not None and lane.renewable:  # that a lease was over is noted, even if nothing can be saved
                assert before == (lane.subscriber, lane.lease, lane.interests)
                assert lane.ended_at == ended_at or over
            return
        found = self.bus.dispatcher.lanes.get(key)
        if found is None or (silent and found is lane):
            return
        self.left.discard(key)
        if found is not lane and start is not None:
            wanted = self._count(found.subscriber.options.topics)
            assert found.accepted - self.accepted[key] == wanted
            self.accepted[key] += wanted

    @rule(key=KEY)
    def deregister(self, key: str) -> None:
        """A subscriber wants no more: what is pending is discarded, and counted."""
        self._may_discard(key)
        lane = self.bus.dispatcher.lanes.get(key)
        discarded = 0 if lane is None else lane.discarded
        try:
            count = self.bus.deregister(key)
        except JournalError:
            if lane is None or not lane.closed:
                return
        else:
            assert count == (0 if lane is None else lane.discarded - discarded)
        assert key not in self.bus.dispatcher.lanes
        self.left.add(key)

    @rule(key=KEY, place=st.integers(0, 100))
    def replay(self, key: str, place: int) -> None:
        """A part of the journal is delivered again."""
        start = self.ids[place % len(self.ids)] if self.ids else "earliest"
        lane = self.bus.dispatcher.lanes.get(key)
        before = 0 if lane is None else lane.accepted
        try:
            self.accepted[key] += self.bus.replays.begin(key, start, "now")
        except JournalTimeout:
            assert lane is not None
            self.accepted[key] += lane.accepted - before
        except (Conflict, JournalError, NotFound, TooMany):
            assert before == (0 if lane is None else lane.accepted)

    @rule(key=st.sampled_from([None, *KEYS]), place=st.integers(0, 100), discard=st.booleans())
    def mend(self, key: str | None, place: int, discard: bool) -> None:
        """Dead letters are put back as pending or discarded: one, one subscriber's, or all."""
        try:
            letters = self.bus.dead_letters.page(key, 0, ALL)
        except JournalError:
            return
        chosen = Chosen(key) if place % 2 or not letters else Chosen(id=letters[place % len(letters)].id)
        if discard:
            self.may_be_discarded |= {(kept.letter.key, kept.event_id) for kept in letters}
            lanes = self.bus.dispatcher.lanes.values()
            self._may_discard(
                *(lane.subscriber.key for lane in lanes if lane.phase is Phase.ENDING)
            )  # more may die meanwhile
        try:
            if discard:
                self.bus.dead_letters.discard(chosen)
            else:
                self.put_back |= {(one.letter.key, one.event_id) for one in letters if one.id == chosen.id}
                self.bus.dead_letters.replay(chosen, new_event_id())
        except (Conflict, JournalError, NotFound):
            return
        if not discard and chosen.id is None:
            with suppress(JournalError):
                left = {kept.id for kept in self.bus.dead_letters.page(key, 0, ALL)}
                assert {kept.id for kept in letters if kept.letter.reason == EXPIRED} <= left

    @rule(key=KEY, seconds=st.sampled_from([None, 20.0]))
    def pause(self, key: str, seconds: float | None) -> None:
        """An operator pauses a subscriber, for some time or until further notice."""
        wall = EPOCH + self.now
        with suppress(Conflict, JournalError, NotOwner):
            self.bus.pauses.pause(key, Pause("an operator", wall, None if seconds is None else wall + seconds))
            self.begun_before[key] = {id(attempt) for attempt in self._held_by(key)}

    @rule(key=KEY)
    def resume(self, key: str) -> None:
        """An operator ends a pause, if there is one."""
        with suppress(Conflict, JournalError, NotOwner):
            self.bus.pauses.resume(key)

    @rule(key=KEY)
    def retry(self, key: str) -> None:
        """What waits for its backoff is attempted."""
        lane = self.bus.dispatcher.lanes.get(key)
        with suppress(Conflict, JournalError, NotOwner):
            assert lane is not None or self.bus.retry_now.retry(key)
            if lane is not None:
                assert 0 <= self.bus.retry_now.retry(key)[0] <= lane.retries.count + len(lane.in_flight)

    @rule(key=KEY, place=st.integers(0, 100))
    def skip(self, key: str, place: int) -> None:
        """An operator gives an event up: it is dead, or will be unless the attempt in flight succeeds."""
        if not self.ids:
            return
        event_id = self.ids[place % len(self.ids)]
        try:
            pending = self._fate(key, event_id) == "pending"
            skipped = self.bus.skips.skip(key, event_id)
        except NotFound:
            assert not pending or event_id not in self._journal_ids()
            return
        except (Conflict, JournalError, NotOwner):
            return
        assert pending
        assert skipped.dead + skipped.in_flight
        if not skipped.in_flight:
            assert self._fate(key, event_id) == "dead"

    @rule(share=st.sampled_from([0.1, 0.5, 1.0]), letters=st.sampled_from([0, 3, 1_000]))
    def the_journal_is_full(self, share: float, letters: int) -> None:
        """Whoever holds back events gives up the oldest of them: they are dead, or discarded where too many are."""
        keeper = QuotaEnforcer(self.bus.node, 0, 0, self.bus.dead_letters, self.bus.expired)
        keeper.max_letters = letters
        if letters < 1_000:
            self._may_discard(*self.keys)
        with suppress(JournalError):
            keeper.relieve(1_000_000, int(1_000_000 * share))

    @rule()
    def the_tail_is_forgotten(self) -> None:
        """The newest events are no longer in memory."""
        self.bus.dispatcher.recent.start(self.bus.dispatcher.recent.newest)

    @rule()
    def stop_and_start(self) -> None:
        """The bus is stopped as it likes to be, and starts again."""
        self.saving_works()
        self.bus.stop()
        self._start()

    @rule(saved=st.booleans())
    def crash_and_start(self, saved: bool) -> None:
        """The bus is killed: what is in the journal is all that the next process finds."""
        if saved or self.outage is not None:
            self.saving_works()
        self.journal.kill(self.bus)
        self._start()

    # What holds after each step

    @invariant()
    def every_account_adds_up(self) -> None:
        """Accepted = pending + settled for live and ended subscribers, and the dead are there."""
        self._settle_down()
        for lane in self.bus.dispatcher.lanes.values():
            self.filters[lane.subscriber.key].add(lane.subscriber.options.filter)
        with self.bus.dispatcher.checkpointer.transaction():
            for key in self.keys:
                letters = {
                    (kept.letter.seq, kept.letter.replay_id) for kept in self.bus.journal.dead_letters(key, 0, ALL)
                }
                rows = len(letters | self._on_the_way(key))
                found, unsaved, backlog = self._account(key)
                settled = found.delivered + found.filtered + found.dead + found.discarded
                assert found.accepted == backlog + settled, key
                assert found.dead == rows + unsaved, key
                assert found.accepted == self.accepted[key], key

    @invariant()
    def what_is_attempted_matches(self) -> None:
        """No attempt is made at an event that no filter of its subscriber has ever matched."""
        self._settle_down()
        for attempt in self.transport.held:
            assert all(self._may_match(self._lane_of(attempt.key), event.id) for event in attempt.events)

    @invariant()
    def no_attempt_begins_at_what_has_expired(self) -> None:
        """However it waited, but for dead letters that were put back by their ids."""
        assert self.begun_late == []

    @invariant()
    def nothing_begins_while_an_operator_pauses(self) -> None:
        """What is in flight was so before the pause began."""
        self._settle_down()
        for key, before in self.begun_before.items():
            lane = self.bus.dispatcher.lanes.get(key)
            if lane is not None and lane.pause_at(self.now) is not None:
                assert {id(attempt) for attempt in self._held_by(key)} <= before

    @invariant()
    def nothing_begins_while_credentials_are_missing(self) -> None:
        """What is in flight has all the credentials that its subscriber had given by then."""
        self._settle_down()
        for lane in self.bus.dispatcher.lanes.values():
            for target in targets_of(lane):
                if target.lacks_credentials:
                    assert not [one for one in self.transport.held if one.key == target.subscriber.key]

    def teardown(self) -> None:
        """In the end, with subscribers that take everything, every event is settled as it was asked for."""
        try:
            self.saving_works()
            self._heal()
            self.every_account_adds_up()
            for key in self.keys:
                assert self._account(key)[2] == 0, key
            for ticket in self.tickets:
                self._check_fate(*ticket)
        finally:
            self.bus.stop()
            self.journal.remove()

    def _heal(self) -> None:
        self.transport.always = TAKEN
        self.transport.answer(list(self.transport.held), TAKEN)
        for key in KEYS:
            terms = Terms(topics=(), ordered=False, resume=True, rate="")
            self.register(key, terms, start=None, given=NONE_ANY_MORE)
        for lane in list(self.bus.dispatcher.lanes.values()):
            self._resume_all(lane)
        for _ in range(200):
            self._settle_down()
            if not any(lane.backlog for lane in self.bus.dispatcher.lanes.values()):
                return
            self.wait(1.0)
            for key in KEYS:
                self.bus.register(parse_address(key), Terms())

    def _check_fate(self, key: str, event_id: str) -> None:
        ticket = key, event_id
        try:
            fates = {fate.subscription.key: fate.state for fate in self.bus.history.of(event_id)[1]}
        except NotFound:
            fates = {}
        may_be_filtered = not all(self._says(text, event_id) for text in self.filters[key])
        if key not in fates:  # the event is gone, or the lane remembers so many spans, and had others since
            known = self._taken(*ticket) or ticket in self.may_be_discarded or may_be_filtered
            assert known or event_id in {kept.event_id for kept in self.bus.journal.dead_letters(key, 0, ALL)}
        elif fates[key] == "delivered":
            assert self._taken(*ticket) or (may_be_filtered and len(self.filters[key]) > 1)
        elif fates[key] == "filtered":
            assert may_be_filtered
            assert not self._taken(*ticket) or len(self.filters[key]) > 1
        elif fates[key] == "discarded":
            assert ticket in self.may_be_discarded
        else:
            assert fates[key] == "dead"
            assert event_id in {kept.event_id for kept in self.bus.journal.dead_letters(key, 0, ALL)}

    # How it is looked at

    def _says(self, text: str, event_id: str) -> bool:
        """What a filter says of an event."""
        found = parse_filter(text)
        return found is None or found.matches(self.views[event_id])

    def _may_match(self, key: str, event_id: str) -> bool:
        """Whether a filter that a subscriber had at some time matches an event."""
        return any(self._says(text, event_id) for text in self.filters[key])

    def _lane_of(self, address: str) -> str:
        """The key of the subscription that an attempt at an address is made for."""
        return address

    def _taken(self, key: str, event_id: str) -> int:
        """How often a subscriber has taken an event."""
        return self.transport.taken[key, event_id]

    def _settle_down(self) -> None:
        """Wait until nothing moves any more but attempts that wait for their answers."""
        eventually(self._quiet, 20, "the bus did not come to rest")

    def _quiet(self) -> bool:
        return lanes_are_at_rest(self.bus, self.transport.held)

    def _held_by(self, key: str) -> list[Attempt]:
        """The attempts in flight to a subscriber."""
        return [attempt for attempt in self.transport.held if attempt.key == key]

    def _resume_all(self, lane: Lane) -> None:
        self.bus.pauses.resume(lane.subscriber.key)

    def _fate(self, key: str, event_id: str) -> str | None:
        """What became of an event for a subscriber; None where it was not for it."""
        return {fate.subscription.key: fate.state for fate in self.bus.history.of(event_id)[1]}.get(key)

    def _journal_ids(self) -> set[str]:
        return {event.id for event in self.bus.journal.page(0, self.bus.dispatcher.recent.newest, ALL, ALL).events}

    def _account(self, key: str) -> tuple[Account, int, int]:
        """A subscriber's account, its dead letters that are not written yet, and what is pending."""
        lane = self.bus.dispatcher.lanes.get(key)
        if lane is not None:
            return lane.account, len(lane.dead_letters), lane.backlog
        record = self.bus.journal.lane(key)
        account = Account() if record is None else record.account
        return account, 0, account.pending

    def _on_the_way(self, key: str) -> set[tuple[int, int]]:
        """Dead letters that were taken out of a lane, and could not be saved yet."""
        kept = self.bus.dispatcher.checkpointer._unsaved  # noqa: SLF001 - they are nowhere else
        return {(letter.seq, letter.replay_id) for waits in kept for letter in waits.dead if letter.key == key}

    def _may_discard(self, *keys: str) -> None:
        self.may_be_discarded |= {ticket for ticket in self.tickets if ticket[0] in keys}

    def _let_go(self, key: str) -> None:
        """Answer what is under way for a subscriber: its old lane is not ended before."""
        self.transport.answer(self._held_by(key), TAKEN)

    def _count(self, topics: tuple[str, ...]) -> int:
        return sum(matches(topics, topic) for _, topic, _ in self._rows())

    def _rows(self) -> Iterator[tuple[int, str | None, float]]:
        yield from self.bus.journal.topics(0, self.bus.dispatcher.recent.newest, ALL)


@histories(sqlite=50, redis=16)
def test_nothing_that_a_bus_accepted_vanishes(journals: KindOfJournal, examples: int, tmp_path: Path) -> None:
    """Through restarts, kills, leases that end, replays and mending, each account adds up and no event is lost."""
    with journals(tmp_path) as empty:
        run_histories(lambda: BusAccount(empty()), examples)
