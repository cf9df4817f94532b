"""What happens at a registration: a subscriber renews its lease, resumes at its kept position, or begins."""

import logging
from contextlib import ExitStack
from dataclasses import dataclass, replace

from eventbus.core.addresses import Address
from eventbus.core.model import Subscriber, Subscription, already_registered, is_declared
from eventbus.core.records import Checkpoint
from eventbus.delivery.decision import Decision
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import renewed_record
from eventbus.delivery.lane.member import Member
from eventbus.services.dry_runs import DryRun
from eventbus.services.introductions import Newcomer
from eventbus.services.registered_lane import check_owned
from eventbus.services.registration_steps import RegistrationRequest, RegistrationSteps
from eventbus.services.replays import Counted

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Registration:
    """A registration that was accepted, whether it was a new one, and what it has changed."""

    lane: Lane
    created: bool
    changed: tuple[str, ...] = ()  #: names of options and credentials that are others than before
    member: Member | None = None  #: of a group; the lane is the group's then


class Registrations(RegistrationSteps):
    """Registers subscribers, one at a time for each address."""

    def register(self, asked: RegistrationRequest, start: str | None = None) -> Registration:
        """Register or renew; every event that is accepted after this returns goes to the subscriber.

        A first registration may ``start`` with a replay from a position in the journal (see Positions). Whatever is
        raised, nothing has changed, but for an error which says that nobody knows.
        Raises BadAddress, Conflict, Forbidden, NotOwner, JournalError, NotFound, BadRequest and TooMany.
        """
        address = asked.address
        lane = self._registered(address.key)
        if lane is not None:
            self._admission.count_restored(address)
            return self._renew(lane, asked, created=False)
        self._check_conflict(address)
        ips: frozenset[str] | None = None
        if address.key not in self._dispatcher.lanes:
            ips = self._admission.admit(address)  # which may take a moment, in which nobody else is held up
        with ExitStack() as counting:
            past: Counted | None = None
            while True:
                with self._node.locks.hold(address.key):
                    self._check_conflict(address)
                    found = self._resume(asked)
                    if found is None and ips is not None and (start is None or past is not None):
                        found = self._begin(asked, ips, past)
                    if found is not None:
                        return found
                if ips is None:  # the lane that was there is not any more
                    ips = self._admission.admit(address)
                    continue
                topics = self._admission.subscriber(address, asked.terms).options.topics
                past = counting.enter_context(self._replays.counted(topics, start or "earliest", "now"))

    def check(self, asked: RegistrationRequest, start: str | None = None) -> DryRun:
        """Return what a registration would be; change nothing. Raises what ``register`` raises at this moment."""
        lane = self._registered(asked.address.key)
        if lane is None:
            self._check_conflict(asked.address)
            lane = self._dispatcher.lanes.get(asked.address.key)
            new = True
            if lane is None:
                self._admission.admit(asked.address)
                self._replays.check_position(start)
                return DryRun(self._new(asked).options, new)
        else:
            new = False
        options = _as_asked(lane, asked).options
        lane.interests_with(options.topics, self._dispatcher.recent.newest)
        return DryRun(options, new)

    # The three ways: a registered subscriber renews, one whose position is kept resumes, any other begins

    def _renew(self, lane: Lane, asked: RegistrationRequest, *, created: bool) -> Registration:
        """Save what the request changes, if anything, and then renew the lease. Raises Conflict for a declared one."""
        if lane.subscriber.declared and lane.ended_at is None and not asked.terms.declared:
            raise is_declared(asked.address.name)
        before, former = lane.subscriber, lane.credentials
        if before == _as_asked(lane, asked) and lane.ended_at is None:
            self._save_unsaved(lane)
            self._renew_lease(lane, before, asked)
            self._dispatcher.schedule(lane)
        else:
            self._change(lane, asked)
            self._wait_durable(lane)
        credentials = lane.credentials.changed_from(former, before.credentials, lane.subscriber.credentials)
        return Registration(lane, created, (*before.options.differing(lane.subscriber.options), *credentials))

    def _resume(self, asked: RegistrationRequest) -> Registration | None:
        """Renew a lane that is there by now, or whose position was kept; return None if there is none."""
        key = asked.address.key
        self._node.cluster.claim(key)
        lane = self._registered(key)
        if lane is not None:
            return self._renew(lane, asked, created=False)
        self._sweeper.expire_lease_of(key)
        self._expiry.wait(key)
        parked = self._dispatcher.lanes.get(key)
        if parked is None:
            return None
        found = self._renew(parked, asked, created=True)
        log.info("lease of %s began: resumed, %d pending", key, parked.backlog, extra={"address": key})
        return found

    def _begin(self, asked: RegistrationRequest, ips: frozenset[str], replay: Counted | None) -> Registration:
        """Make a lane for a subscriber that has none. ``ips`` are what its host has resolved to."""
        subscriber = self._new(asked)
        newcomer = Newcomer(subscriber, asked.address, ips, self._credentials(asked), replay)
        lane = self._introductions.introduce(newcomer, lambda lane: self._begin_lease(lane, subscriber))
        log.info("lease of %s began", subscriber.key, extra={"address": subscriber.key})
        self._wait_durable(lane)
        return Registration(lane, created=True)

    # Their steps

    def _new(self, asked: RegistrationRequest) -> Subscriber:
        """Return a new subscriber, which belongs to who registers it. Raises Forbidden."""
        subscriber = self._admission.subscriber(asked.address, asked.terms, asked.credentials.kinds_after(()))
        asked.by.check_options(subscriber.options)
        return replace(subscriber, owner=asked.by.name)

    def _change(self, lane: Lane, asked: RegistrationRequest) -> None:
        """Save other terms of a lane, and renew its lease on them."""
        key = asked.address.key

        def change() -> Checkpoint:
            check_owned(self._node, lane)
            now, wall, newest = self._clock.monotonic(), self._clock.wall(), self._dispatcher.recent.newest
            record = renewed_record(lane, _as_asked(lane, asked), newest, now, wall)
            return Checkpoint(wall, newest, lanes=(record,), registers=((key, key),))

        def happen() -> None:
            if lane.renewable:
                lane.mark_not_durable()
                self._renew_lease(lane, _as_asked(lane, asked), asked, other_route=True)
                self._dispatcher.registry.index(lane)
                self._dispatcher.schedule(lane)

        self._dispatcher.checkpointer.decide(Decision(change, happen, [lane], [key]))

    def _renew_lease(
        self, lane: Lane, subscriber: Subscription, asked: RegistrationRequest, *, other_route: bool = False
    ) -> None:
        """Begin the lease's next term, with the credentials that the request gives."""
        former = lane.credentials
        self._begin_lease(lane, subscriber)
        lane.take_credentials(self._credentials(asked, lane))
        self._renew_route(lane, former, other=other_route)

    def _begin_lease(self, lane: Lane, subscriber: Subscription) -> None:
        check_owned(self._node, lane)
        now = self._clock.monotonic()
        lease = self._leases.renew(subscriber, now, self._clock.wall())
        lane.renew(lease, self._dispatcher.recent.newest, now)
        self._sweeper.wake()

    def _check_conflict(self, address: Address) -> None:
        """Raise Conflict where the address is a member of a group."""
        lane = self._dispatcher.registry.groups.get(address.key)
        known = self._node.cluster.subscription_of(address.key) if lane is None else lane.subscriber.key
        if known not in (None, address.key):
            raise already_registered(address.name, known)

    def _registered(self, key: str) -> Lane | None:
        """Return the lane of a subscriber whose lease is not over, and that is in no group."""
        if key in self._dispatcher.registry.groups:  # the lease is the member's
            return None
        return self._dispatcher.lanes.get(key) if self._leases.get(key, self._clock.monotonic()) else None


def _as_asked(lane: Lane, asked: RegistrationRequest) -> Subscriber:
    """Return the subscriber as it is once it has renewed. Raises Forbidden for who may not change it."""
    owner = lane.subscriber.owner
    asked.by.check_owner(owner, asked.address.name)
    kinds = asked.credentials.kinds_after(lane.subscriber.credentials)
    options = asked.terms.applied(lane.subscriber.options)
    asked.by.check_options(options)
    return Subscriber(asked.address, options, kinds, declared=asked.terms.declared, owner=owner)
