"""A whole bus with a group, over a real journal and through any history: each event is settled once for the group."""

from collections import Counter
from contextlib import suppress
from pathlib import Path

from hypothesis import strategies as st
from hypothesis.stateful import invariant, rule

from eventbus.core.addresses import parse_address
from eventbus.core.credentials import GivenCredentials
from eventbus.core.errors import Conflict, JournalError, JournalTimeout, NotOwner, TooMany
from eventbus.core.model import Terms, group_key
from eventbus.core.override import override
from eventbus.core.records import Pause
from eventbus.delivery.lane.group_lane import GroupLane
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.phase import Phase
from tests.contract.test_account_machine import (
    BATCH,
    BATCH_WAIT,
    CREDENTIALS,
    DEAD_TO,
    FILTER,
    KEYS,
    NONE_ANY_MORE,
    ORDERED,
    RATE,
    TOPICS,
    BusAccount,
)
from tests.support.account_journals import AccountJournal, KindOfJournal, histories, run_histories
from tests.support.lanes import EPOCH, TAKEN
from tests.support.scripted import Attempt

NAME = "mailer"
GROUP = group_key(NAME)
MEMBERS = [f"127.0.0.1:{port}" for port in (8011, 8012, 8013)]
MEMBER = st.sampled_from(MEMBERS)
TERMS = st.builds(
    Terms,
    topics=TOPICS,
    ordered=ORDERED,
    resume=st.booleans(),
    group_mode=st.sampled_from(["balanced", "balanced", "one"]),
    max_in_flight=st.just(2),
    filter=FILTER,
    batch=BATCH,
    batch_wait=BATCH_WAIT,
    rate=RATE,
    dead_to=DEAD_TO,
)


class GroupAccount(BusAccount):
    """The same bus, with a group beside the subscribers: members join, renew, drain, leave, expire and fail."""

    keys = (*KEYS, GROUP)

    def __init__(self, journal: AccountJournal) -> None:
        super().__init__(journal)
        self.allowed_of_key: Counter[str] = Counter()
        self.begun_before_of_member: dict[str, set[int]] = {}
        self.allowed = 0  # attempts in flight to an ordered group: one, but for those from before it was ordered

    @property
    def group(self) -> GroupLane | None:
        """The group's lane, where there is one."""
        lane = self.bus.dispatcher.lanes.get(GROUP)
        return lane if isinstance(lane, GroupLane) else None

    @property
    def held(self) -> list[Attempt]:
        """The attempts in flight to members."""
        return [attempt for attempt in self.transport.held if attempt.key in MEMBERS]

    @rule(
        key=MEMBER,
        terms=TERMS,
        drain=st.sampled_from([False, False, False, True]),
        start=st.sampled_from([None, None, "earliest"]),
        given=CREDENTIALS,
    )
    def join(self, key: str, terms: Terms, drain: bool, start: str | None, given: GivenCredentials) -> None:
        """An address joins the group, or renews in it."""
        lane = self.group
        if lane is not None and lane.phase is Phase.ENDING:
            self.transport.answer(self.held, TAKEN)
        try:
            self.bus.register(parse_address(key), terms, start, group=NAME, drain=drain, credentials=given)
        except JournalTimeout:
            pass
        except (JournalError, TooMany, Conflict):
            return
        found = self.group
        if found is not None and found is not lane and start is not None:
            self.accepted[GROUP] = found.accepted  # what it was offered before is counted by publish

    @rule(key=MEMBER)
    def leave(self, key: str) -> None:
        """A member deregisters; nothing is discarded."""
        lane = self.group
        before = None if lane is None else lane.discarded
        try:
            assert self.bus.deregister(key) == 0
        except JournalError:
            return
        if lane is not None:
            assert lane.discarded == before
            assert lane.roster.get(key) is None

    @rule()
    def end(self) -> None:
        """The whole group is deregistered: what is pending is discarded."""
        self.transport.answer(self.held, TAKEN)  # else they are in flight beside the next group's
        self._settle_down()
        self.deregister(GROUP)
        self.left.discard(GROUP)

    @rule(place=st.integers(0, 100), discard=st.booleans())
    def mend_group(self, place: int, discard: bool) -> None:
        """Dead letters of the group are put back or discarded."""
        self.mend(GROUP, place, discard)

    @rule(place=st.integers(0, 100))
    def replay_group(self, place: int) -> None:
        """A part of the journal is delivered to the group again."""
        self.replay(GROUP, place)

    @rule(key=MEMBER, seconds=st.sampled_from([None, 20.0]))
    def pause_member(self, key: str, seconds: float | None) -> None:
        """An operator pauses one member; the others take over."""
        wall = EPOCH + self.now
        with suppress(Conflict, JournalError, NotOwner):
            self.bus.pauses.pause(GROUP, Pause("an operator", wall, None if seconds is None else wall + seconds), key)
            self.begun_before_of_member[key] = {id(attempt) for attempt in self._held_by(key)}

    @rule(key=MEMBER)
    def resume_member(self, key: str) -> None:
        """An operator ends the pause of a member, if there is one."""
        with suppress(Conflict, JournalError, NotOwner):
            self.bus.pauses.resume(GROUP, key)

    @rule(seconds=st.sampled_from([None, 20.0]), resumes=st.booleans())
    def pause_group(self, seconds: float | None, resumes: bool) -> None:
        """An operator pauses or resumes the whole group."""
        if resumes:
            self.resume(GROUP)
        else:
            self.pause(GROUP, seconds)

    @rule()
    def retry_group(self) -> None:
        """What waits for its backoff is attempted."""
        self.retry(GROUP)

    @rule(place=st.integers(0, 100))
    def skip_in_group(self, place: int) -> None:
        """An operator gives an event up for the group."""
        self.skip(GROUP, place)

    # What holds after each step

    @invariant()
    def nothing_begins_while_an_operator_pauses_a_member(self) -> None:
        """What is in flight at a member was so before its pause began."""
        self._settle_down()
        for key, before in self.begun_before_of_member.items():
            member = None if self.group is None else self.group.roster.get(key)
            if member is not None and member.pause_at(self.now) is not None:
                assert {id(attempt) for attempt in self._held_by(key)} <= before

    @invariant()
    def members_have_what_is_in_flight(self) -> None:
        """What the group has in flight is what its members have, and no member has more than its limit."""
        self._settle_down()
        lane = self.group
        if lane is None:
            return
        held = [attempt.key for attempt in self.held]
        assert sum(len(attempt.events) for attempt in self.held) >= len(
            lane.in_flight
        )  # those of a member that left and came back are there, too
        for member in lane.roster:
            assert member.in_flight <= held.count(member.subscriber.key)

    @invariant()
    def an_ordered_group_has_one_attempt_in_flight(self) -> None:
        """No second attempt starts while one is in flight, whoever gets it."""
        self._settle_down()
        lane, held = self.group, len(self.held)
        assert lane is None or not lane.subscriber.options.one_at_a_time or held <= max(1, self.allowed)
        self.allowed = held

    @invariant()
    def a_key_has_one_attempt_in_flight(self) -> None:
        """No second attempt of a key starts in a group that is ordered by key, whoever gets it."""
        self._settle_down()
        lane, held = (
            self.group,
            Counter(key for attempt in self.held for key in {event.key for event in attempt.events} if key),
        )
        if lane is not None and lane.subscriber.options.by_key:
            assert all(count <= max(1, self.allowed_of_key[key]) for key, count in held.items())
        self.allowed_of_key = held

    # How it is looked at

    @override
    def _heal(self) -> None:
        terms = Terms(topics=(), ordered=False, group_mode="balanced", rate="")
        self.join(MEMBERS[0], terms, drain=False, start=None, given=NONE_ANY_MORE)
        super()._heal()

    @override
    def wait(self, seconds: float) -> None:
        super().wait(seconds)
        if self.transport.always is not None:  # healing: whoever is there goes on
            self.bus.register(parse_address(MEMBERS[0]), Terms(), group=NAME)

    @override
    def _lane_of(self, address: str) -> str:
        return GROUP if address in MEMBERS else address

    @override
    def _held_by(self, key: str) -> list[Attempt]:
        return self.held if key == GROUP else super()._held_by(key)

    @override
    def _resume_all(self, lane: Lane) -> None:
        super()._resume_all(lane)
        for member in lane.roster or ():
            self.bus.pauses.resume(GROUP, member.subscriber.key)

    @override
    def _taken(self, key: str, event_id: str) -> int:
        if key != GROUP:
            return super()._taken(key, event_id)
        return sum(self.transport.taken[member, event_id] for member in MEMBERS)


@histories(sqlite=30, redis=8)
def test_nothing_that_a_group_accepted_vanishes(journals: KindOfJournal, examples: int, tmp_path: Path) -> None:
    """Through joins, leaves, expiries, failures, drains, restarts and kills the group's account adds up."""
    with journals(tmp_path) as empty:
        run_histories(lambda: GroupAccount(empty()), examples)
