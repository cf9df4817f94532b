"""The members of a group's lane, and what follows from them for the group: its topics, state and limit. Pure."""

from dataclasses import replace
from itertools import chain

from eventbus.core.credentials import Credentials
from eventbus.core.errors import TooMany
from eventbus.core.leases import Lease
from eventbus.core.model import Group, State, Subscriber
from eventbus.core.override import override
from eventbus.core.records import LaneRecord
from eventbus.core.topics import MAX_GROUP_PATTERNS, union
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.member import Member
from eventbus.delivery.lane.roster import Roster

#: Members of a group.
MAX_MEMBERS = 256


class GroupMembers(Lane):
    """A lane with members. Its own window, state and pauses follow from theirs."""

    subscriber: Group
    roster: Roster

    def __init__(self, record: LaneRecord, lease: Lease, rules: Rules, *, retries: int = 0) -> None:
        self.roster = Roster()
        self._joined = 0
        super().__init__(record, lease, rules, retries=retries, roster=self.roster)

    @property
    def has_declared(self) -> bool:
        """Return whether a file declares one of the members."""
        return any(member.subscriber.declared for member in self.roster)

    def check_room(self) -> None:
        """Raise TooMany if the group can have no further member."""
        if len(self.roster) >= MAX_MEMBERS:
            raise TooMany(f"The group {self.subscriber.name} has {MAX_MEMBERS} members, as many as there may be.")

    def add_member(self, record: LaneRecord, lease: Lease, now: float) -> Member:
        """Add a member as its record describes it."""
        self._joined += 1
        member = Member(record, lease, self._rules, self._joined)
        self.roster.add(member, now)
        self.members_changed(now)
        return member

    def renew_member(
        self, member: Member, lease: Lease, now: float, *, draining: bool, credentials: Credentials
    ) -> None:
        """Begin the next term of a member's lease, with these credentials."""
        self.lease = replace(self.lease, renewed_at=lease.renewed_at)
        changed = member.state is not State.OK or member.draining is not draining or member.lacks_credentials
        member.take_credentials(credentials)
        changed |= member.renew(lease, now, draining=draining)
        if changed:
            self.members_changed(now)

    def remove_member(self, member: Member, now: float) -> None:
        """Remove a member; deliveries that are in flight to it end, and go to rest where they fail."""
        self.roster.remove(member)
        self.members_changed(now)

    def members_changed(self, now: float) -> None:
        """Note that members have come, left, or renewed on other options."""
        for member in self.roster:
            self.roster.refresh(member, now)
        self._fit()
        self.touch()
        if not self._fresh_waits():
            self.retries.hasten(now)

    @override
    def retry_now(self, now: float) -> int:
        for member in self.roster:
            member.end_backoff(now)
        count = super().retry_now(now)
        self.members_changed(now)
        return count

    def topics_with(self, subscriber: Subscriber) -> tuple[str, ...]:
        """Return the topics of all members, once this one has joined or renewed. Raises TooMany."""
        rest = [member.subscriber for member in self.roster if member.subscriber.key != subscriber.key]
        topics = [each.options.topics for each in (*rest, subscriber)]
        if len(frozenset(chain.from_iterable(topics))) > MAX_GROUP_PATTERNS:  # whether or not others want everything
            raise TooMany(f"The members of a group may have {MAX_GROUP_PATTERNS} different patterns in all.")
        return union(topics)

    def topics_without(self, member: Member) -> tuple[str, ...]:
        """Return the topics of the members that remain when one leaves; the same as now where it was the last."""
        rest = [each.subscriber.options.topics for each in self.roster if each is not member]
        return union(rest) if rest else self.subscriber.options.topics

    @override
    def state_at(self, now: float) -> State:
        """Return the state: down if all members are, paused if none works, or an operator says so."""
        states = {member.state_at(now) for member in self.roster}
        if self.pause_at(now) is not None:
            return State.PAUSED
        if not states or State.OK in states:
            return State.OK
        return State.DOWN if states == {State.DOWN} else State.PAUSED

    @override
    def count_success(self, now: float) -> None:
        """Change nothing: a success says something of the member."""

    @override
    def _fit(self) -> None:
        members, options = list(self.roster), self.subscriber.options
        self.roster.one_at_a_time = options.group_mode == "one"
        self.topics_differ = bool(members) and self._differ()
        self.works = bool(members) and all(member.is_fit for member in members)  # else one may wait for a moment
        self.held = bool(members) and all(member.held for member in members)
        down = bool(members) and all(member.state is State.DOWN for member in members)
        self.state = State.DOWN if down else State.OK
        self.down_since = (
            max((m.down_since for m in members if m.down_since is not None), default=None) if down else None
        )
        attempts = 1 if options.one_at_a_time or self.held else sum(m.subscriber.options.max_in_flight for m in members)
        self.limit = attempts + self.companions
        self.lacks_credentials = bool(members) and all(member.lacks_credentials for member in members)
        self.batch = max((member.batch for member in members), default=1)
        self.paced = any(member.paced for member in members)
        self.steady, self.slow, self.consented = not options.by_key, False, True

    def _differ(self) -> bool:
        """Return whether an event may be pending that some member does not want."""
        topics = self.subscriber.options.topics
        wanted = [union([member.subscriber.options.topics]) for member in self.roster]
        pending = [interest.topics for interest in self.interests] + [replay.topics for replay in self.replays]
        return any(each != topics for each in (*wanted, *pending))
