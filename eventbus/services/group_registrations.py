"""What happens at a registration with a group: a member renews its lease, joins the group, or is its first member."""

import logging
import math
from contextlib import ExitStack
from dataclasses import replace

from eventbus.core.credentials import Credentials
from eventbus.core.errors import NotOwner
from eventbus.core.leases import Lease
from eventbus.core.model import Group, Options, Subscriber, already_registered, is_declared
from eventbus.core.records import Checkpoint
from eventbus.delivery.decision import Decision
from eventbus.delivery.lane.group_lane import GroupLane
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import joined_record, new_member_record
from eventbus.delivery.lane.member import Member
from eventbus.services.dry_runs import DryRun
from eventbus.services.introductions import Newcomer
from eventbus.services.registered_lane import check_owned
from eventbus.services.registration_steps import JoinRequest, RegistrationSteps
from eventbus.services.registrations import Registration
from eventbus.services.replays import Counted

log = logging.getLogger(__name__)


class GroupRegistrations(RegistrationSteps):
    """Registers members, one at a time for each group."""

    def register(self, asked: JoinRequest, start: str | None = None) -> Registration:
        """Join or renew; every event that is accepted after this returns goes to some member of the group.

        The first member may ``start`` the group with a replay from a position in the journal (see Positions).
        Raises BadAddress, Conflict, Forbidden, NotOwner, JournalError, NotFound, BadRequest and TooMany; then nothing
        has changed.
        """
        key, address = asked.key, asked.address
        self._admission.count_restored(address)
        found = self._renew(asked)
        if found is not None:
            return found
        ips = self._admission.admit(address)  # which may take a moment, in which nobody else is held up
        with ExitStack() as counting:
            past: Counted | None = None
            while True:
                with self._node.locks.hold(key, address.key):
                    found = self._join(asked, ips)
                    if found is None and (start is None or past is not None):
                        found = self._begin(asked, ips, past)
                    if found is not None:
                        return found
                topics = self._new(asked).options.topics
                past = counting.enter_context(self._replays.counted(topics, start or "earliest", "now"))

    def check(self, asked: JoinRequest, start: str | None = None) -> DryRun:
        """Return what a registration would be; change nothing. Raises what ``register`` raises at this moment."""
        self._check_conflict(asked)
        lane = self._dispatcher.lanes.get(asked.key)
        if not isinstance(lane, GroupLane):
            self._admission.admit(asked.address)
            self._replays.check_position(start)
            subscriber, group = self._first(asked)
            return DryRun(replace(group.options, **subscriber.options.own()), new=True)
        new = lane.roster.get(asked.address.key) is None
        if new:
            lane.check_room()
            self._admission.admit(asked.address)
        subscriber, group = self._as_asked(lane, asked)
        lane.interests_with(group.options.topics, self._dispatcher.recent.newest)
        return DryRun(replace(group.options, **subscriber.options.own()), new)

    # The three ways

    def _renew(self, asked: JoinRequest) -> Registration | None:
        """Renew the lease of a member; return None where it is none, or has asked for something else."""
        lane = self._dispatcher.registry.groups.get(asked.address.key)
        member = None if lane is None else lane.roster.get(asked.address.key)
        if lane is None or member is None or lane.subscriber.key != asked.key or not lane.renewable:
            return None
        subscriber, group = self._as_asked(lane, asked)
        if (subscriber, group) != (member.subscriber, lane.subscriber) or lane.ended_at is not None:
            return None
        if self._leases.get(asked.address.key, self._clock.monotonic()) is None:
            return None
        former = member.credentials
        self._save_unsaved(lane)
        self._renew_lease(lane, subscriber, asked)
        changed = member.credentials.changed_from(former, subscriber.credentials, subscriber.credentials)
        return Registration(lane, created=False, changed=changed, member=member)

    def _join(self, asked: JoinRequest, ips: frozenset[str]) -> Registration | None:
        """Join a group that has members, or whose position was kept; return None if there is none."""
        key = asked.key
        if self._leases.get(asked.address.key, self._clock.monotonic()) is None:
            self._sweeper.expire_lease_of(asked.address.key)
        self._check_conflict(asked)
        self._node.cluster.claim(key)
        self._expiry.wait(key)
        lane = self._dispatcher.lanes.get(key)
        if lane is None:
            return None
        assert isinstance(lane, GroupLane)  # noqa: S101 - no address has such a key
        former = lane.roster.get(asked.address.key)
        before = None if former is None else (former.subscriber, lane.subscriber.options, former.credentials)
        if former is None:
            lane.check_room()
            self._admission.check_room(asked.address, ips)
        self._save(lane, asked, ips)
        self._wait_durable(lane)
        member = lane.roster.get(asked.address.key)
        if member is None:
            raise NotOwner
        if before is not None:
            return Registration(lane, created=False, changed=_changed(lane, member, *before), member=member)
        _log_joined(lane, member)
        return Registration(lane, created=True, member=member)

    def _begin(self, asked: JoinRequest, ips: frozenset[str], replay: Counted | None) -> Registration:
        """Make a lane for a group that has none."""
        subscriber, group = self._first(asked)
        members = (new_member_record(subscriber, self._clock.wall()),)
        newcomer = Newcomer(group, asked.address, ips, self._credentials(asked), replay, members)

        def begin(lane: Lane) -> None:
            assert isinstance(lane, GroupLane)  # noqa: S101 - it has members
            self._renew_lease(lane, subscriber, asked)

        lane = self._introductions.introduce(newcomer, begin)
        assert isinstance(lane, GroupLane)  # noqa: S101 - it has members
        self._wait_durable(lane)
        member = lane.roster.get(asked.address.key)
        if member is None:
            raise NotOwner
        _log_joined(lane, member)
        return Registration(lane, created=True, member=member)

    # Their steps

    def _new(self, asked: JoinRequest) -> Subscriber:
        """Return a new member on these terms."""
        subscriber = self._admission.subscriber(asked.address, asked.terms, asked.credentials.kinds_after(()))
        return replace(subscriber, options=subscriber.options.of_member())

    def _first(self, asked: JoinRequest) -> tuple[Subscriber, Group]:
        """Return the first member of a group, and the group, which belongs to who registers it. Raises Forbidden."""
        subscriber = self._new(asked)
        options = asked.terms.applied(Options()).of_group(subscriber.options.topics)
        asked.by.check_options(options)
        return subscriber, Group(asked.group, options, owner=asked.by.name)

    def _as_asked(self, lane: GroupLane, asked: JoinRequest) -> tuple[Subscriber, Group]:
        """Return a member and its group as they are on these terms.

        Raises Forbidden for who may not change the group, TooMany, and Conflict for declared ones.
        """
        owner = lane.subscriber.owner
        asked.by.check_owner(owner, f"The group {asked.group}")
        member, terms = lane.roster.get(asked.address.key), asked.terms
        if member is None:
            subscriber = self._new(asked)
        elif member.subscriber.declared and not terms.declared:
            raise is_declared(asked.address.name)
        else:
            kinds = asked.credentials.kinds_after(member.subscriber.credentials)
            options = terms.applied(member.subscriber.options).of_member()
            subscriber = Subscriber(asked.address, options, kinds, declared=terms.declared)
        before, topics = lane.subscriber.options, lane.topics_with(subscriber)
        options = terms.applied(before).of_group(topics)
        if options != replace(before, topics=topics) and lane.has_declared and not terms.declared:
            raise is_declared(f"The group {asked.group}")
        asked.by.check_options(replace(options, topics=subscriber.options.topics))
        return subscriber, Group(asked.group, options, owner=owner)

    def _check_conflict(self, asked: JoinRequest) -> None:
        """Raise Conflict where the address is registered without a group, or in another one."""
        key = asked.address.key
        lane = self._dispatcher.registry.groups.get(key) or self._dispatcher.lanes.get(key)
        if lane is not None and lane.lease.ends > self._clock.monotonic():
            known: str | None = lane.subscriber.key
        else:
            known = self._node.cluster.subscription_of(key)
        if known not in (None, asked.key):
            raise already_registered(asked.address.name, known)

    def _save(self, lane: GroupLane, asked: JoinRequest, ips: frozenset[str]) -> None:
        """Save a member that joins, or other options of one, and begin its lease."""

        def change() -> Checkpoint:
            check_owned(self._node, lane)
            now, wall, newest = self._clock.monotonic(), self._clock.wall(), self._dispatcher.recent.newest
            subscriber, group = self._as_asked(lane, asked)
            record = joined_record(lane, group, subscriber, newest, now, wall)
            return Checkpoint(wall, newest, lanes=(record,), registers=((subscriber.key, asked.key),))

        def happen() -> None:
            if lane.renewable:
                lane.mark_not_durable()
                self._apply(lane, asked, ips)
                self._dispatcher.schedule(lane)

        self._dispatcher.checkpointer.decide(Decision(change, happen, [lane], [lane.subscriber.key]))

    def _apply(self, lane: GroupLane, asked: JoinRequest, ips: frozenset[str]) -> None:
        """Let a member that is saved join, or renew on other options."""
        now, wall, newest = self._clock.monotonic(), self._clock.wall(), self._dispatcher.recent.newest
        subscriber, group = self._as_asked(lane, asked)
        lane.renew(replace(lane.lease, subscriber=group, renewed_at=wall, ends=math.inf), newest, now)
        if lane.roster.get(asked.address.key) is None:
            lease = Lease(subscriber, wall, wall, now + subscriber.options.lease)
            member = lane.add_member(new_member_record(subscriber, wall), lease, now)
            self._dispatcher.registry.add_member(lane, member, ips)
        self._renew_lease(lane, subscriber, asked)
        self._dispatcher.registry.index(lane)

    def _renew_lease(self, lane: GroupLane, subscriber: Subscriber, asked: JoinRequest) -> None:
        """Begin the next term of a member's lease, on these options."""
        check_owned(self._node, lane)
        now, wall = self._clock.monotonic(), self._clock.wall()
        member = lane.roster.get(subscriber.key)
        if member is None:
            raise NotOwner
        former, other_route = member.credentials, member.subscriber != subscriber
        lease, credentials = self._leases.renew(subscriber, now, wall), self._credentials(asked, member)
        lane.renew_member(member, lease, now, draining=asked.drain, credentials=credentials)
        self._renew_route(member, former, other=other_route)
        self._sweeper.wake()
        self._dispatcher.schedule(lane)


def _log_joined(lane: GroupLane, member: Member) -> None:
    key, group = member.subscriber.key, lane.subscriber.name
    log.info("%s joined the group %s, which has %d members now", key, group, len(lane.roster), extra={"address": key})


def _changed(
    lane: GroupLane, member: Member, before: Subscriber, shared: Options, credentials: Credentials
) -> tuple[str, ...]:
    """Return the names of what a member and its group have now that is another than before."""
    own, kinds = member.subscriber.options.differing(before.options), member.subscriber.credentials
    names = *own, *lane.subscriber.options.differing(shared)
    return *dict.fromkeys(names), *member.credentials.changed_from(credentials, before.credentials, kinds)
