"""Who is registered, and until when: leases begin, are renewed, and end, each with its lane."""

import logging
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass

from gevent.event import Event as Signal
from gevent.lock import RLock

from eventbus.cluster.cluster import Cluster, SingleNode
from eventbus.core.addresses import Address
from eventbus.core.errors import NotOwner
from eventbus.core.leases import Lease, Leases
from eventbus.core.model import Checkpoint, Subscriber, Terms
from eventbus.delivery.decision import Decision
from eventbus.delivery.dispatcher import Dispatcher
from eventbus.delivery.lane.health import Rules
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import renewed_record
from eventbus.journal.base import Journal
from eventbus.services.admission import Admission
from eventbus.services.expiry import LeaseExpiry
from eventbus.services.new_lanes import NewLanes
from eventbus.services.replays import Counted, Replays

#: Addresses may begin a lease at the same time, but for those that share one of so many locks.
STRIPES = 64

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Registration:
    """A registration that was accepted, whether it was a new one, and what it has changed."""

    lane: Lane
    created: bool
    changed: tuple[str, ...] = ()  #: names of the options that are others than before, of one that was there


class Registrations:
    """The subscribers of a bus, as they come and go."""

    def __init__(
        self,
        dispatcher: Dispatcher,
        journal: Journal,
        admission: Admission,
        endings: LeaseExpiry,
        replays: Replays,
        rules: Rules,
    ) -> None:
        self._dispatcher = dispatcher
        self._journal = journal
        self._admission = admission
        self._expiry = endings
        self._replays = replays
        self._new_lanes = NewLanes(dispatcher, journal, admission, replays, rules)
        self._clock = dispatcher.clock
        self.leases = Leases()
        self.began = Signal()  #: set when a lease may end sooner than the sweeper expects
        self.cluster: Cluster = SingleNode()  #: the other buses, one of which may have an address
        self._locks = tuple(RLock() for _ in range(STRIPES))
        dispatcher.on_gone = self._gone

    def register(self, address: Address, terms: Terms, start: str | None = None) -> Registration:
        """Begin or renew a lease; every event that is accepted after this returns goes to the subscriber.

        A first registration may ``start`` with a replay from a place in the journal (see Places). Whatever is raised,
        nothing has changed, but for an error which says that nobody knows.
        Raises BadAddress, NotOwner, JournalError, NotFound, BadRequest and TooMany.
        """
        lane = self._live(address.key)
        if lane is not None:
            return self._renew(lane, address, terms, created=False)
        ips: frozenset[str] | None = None
        if address.key not in self._dispatcher.lanes:
            ips = self._admission.admit(address)  # which may take a moment, in which nobody else is held up
        with ExitStack() as counting:
            past: Counted | None = None
            while True:
                with self.locked(address.key):
                    found = self._come_back(address, terms)
                    if found is None and ips is not None and (start is None or past is not None):
                        found = self._begin(address, ips, terms, past)
                    if found is not None:
                        return found
                if ips is None:  # the lane that was there is not any more
                    ips = self._admission.admit(address)
                    continue
                topics = self._admission.subscriber(address, terms).options.topics
                past = counting.enter_context(self._replays.counted(topics, start or "earliest", "now"))

    def deregister(self, address: Address) -> int:
        """End a lease at once and discard what is pending: so many deliveries. Raises NotOwner and JournalError."""
        key, discarded = address.key, 0
        with self.locked(key):
            if key not in self._dispatcher.lanes:
                self.cluster.claim(key)
            lane = self._dispatcher.lanes.get(key)
            if lane is None:
                self._dispatcher.checkpointer.flush()  # it may have ended just now, without being saved
            else:
                try:
                    discarded = self._expiry.discard(lane)
                finally:
                    if lane.closed:
                        self.leases.end(key)
                said = "lease of %s ended: deregistered, %d pending discarded"
                log.info(said, key, discarded, extra={"address": key})
        self._journal.wait_durable()
        return discarded

    def restore(self, lane: Lane) -> None:
        """Go on with the lease of a lane that was put back."""
        self.leases.restore(lane.lease)
        self.began.set()

    def end_lease(self, lease: Lease) -> None:
        """A lease was not renewed: its place is kept, or what is pending becomes dead letters."""
        lane = self._dispatcher.lanes.get(lease.subscriber.key)
        if lane is None or not lane.renewable:
            return
        log.info(
            "lease of %s ended: not renewed, %d pending",
            lease.subscriber.key,
            lane.backlog,
            extra={"address": lease.subscriber.key},
        )
        if lane.subscriber.options.resume:
            lane.park(self._clock.wall())
        else:
            self._expiry.dead_letter(lane)

    @contextmanager
    def locked(self, *keys: str) -> Iterator[None]:
        """Nobody else begins or ends a lease of these addresses meanwhile."""
        with ExitStack() as stack:
            for stripe in sorted({hash(key) % STRIPES for key in keys}):  # in one order, so that nobody waits for ever
                stack.enter_context(self._locks[stripe])
            yield

    def _confirm(self, lane: Lane) -> None:
        """Whether a lane was still this bus's when it was saved. Raises NotOwner, and JournalError."""
        self._check_here(lane)
        if not lane.durable:
            durable = lane.subscriber
            self._journal.wait_durable()
            lane.mark_durable(durable)

    def _check_here(self, lane: Lane) -> None:
        """Raise NotOwner where a lane is not this bus's any more, or about to be closed."""
        if self._dispatcher.lanes.get(lane.subscriber.key) is not lane or not lane.renewable:
            raise NotOwner

    def _live(self, key: str) -> Lane | None:
        return self._dispatcher.lanes.get(key) if self.leases.get(key, self._clock.monotonic()) else None

    def _renew(self, lane: Lane, address: Address, terms: Terms, *, created: bool) -> Registration:
        """Save what changes, if anything does, and let it be so then."""
        if lane.subscriber == _asked(lane, address, terms) and lane.ended_at is None:
            if not lane.durable:
                self._dispatcher.checkpointer.save()
                self._confirm(lane)
            self._lease(lane, lane.subscriber)
            self._dispatcher.schedule(lane)
            return Registration(lane, created)
        before = lane.subscriber.options
        self._change(lane, address, terms)
        self._confirm(lane)
        return Registration(lane, created, before.differing(lane.subscriber.options))

    def _change(self, lane: Lane, address: Address, terms: Terms) -> None:
        """Renew a lane on other terms than before."""

        def change() -> Checkpoint:
            self._check_here(lane)
            now, wall, newest = self._clock.monotonic(), self._clock.wall(), self._dispatcher.recent.newest
            return Checkpoint(
                wall, newest, lanes=(renewed_record(lane, _asked(lane, address, terms), newest, now, wall),)
            )

        def happen() -> None:
            if lane.renewable:
                lane.mark_not_durable()
                self._lease(lane, _asked(lane, address, terms))
                self._dispatcher.index(lane)
                self._dispatcher.schedule(lane)

        self._dispatcher.checkpointer.decide(Decision(change, happen, [lane], [address.key]))

    def _lease(self, lane: Lane, subscriber: Subscriber) -> None:
        self._check_here(lane)
        now = self._clock.monotonic()
        lease = self.leases.renew(subscriber, now, self._clock.wall())
        lane.renew(lease, self._dispatcher.recent.newest, now)
        self.began.set()

    def _come_back(self, address: Address, terms: Terms) -> Registration | None:
        """Renew a lane that is there by now, or whose place was kept; None where there is none."""
        key = address.key
        self.cluster.claim(key)
        lane = self._live(key)
        if lane is not None:
            return self._renew(lane, address, terms, created=False)
        self._end_if_over(key)
        self._expiry.wait(key)
        parked = self._dispatcher.lanes.get(key)
        if parked is None:
            return None
        found = self._renew(parked, address, terms, created=True)
        log.info("lease of %s began: resumed, %d pending", key, parked.backlog, extra={"address": key})
        return found

    def _begin(self, address: Address, ips: frozenset[str], terms: Terms, replay: Counted | None) -> Registration:
        """A first registration, or one after the last lease ended."""
        subscriber = self._admission.subscriber(address, terms)
        lane = self._new_lanes.begin(subscriber, ips, replay, lambda lane: self._lease(lane, subscriber))
        self._confirm(lane)
        return Registration(lane, created=True)

    def _end_if_over(self, key: str) -> None:
        """The lease may be over though the sweeper has not come by yet."""
        lease = self.leases.end(key)
        if lease is not None:
            self.end_lease(lease)

    def _gone(self, lane: Lane) -> None:
        """The subscriber answered 410: it wants no more."""
        key = lane.subscriber.key
        if self._expiry.discard_in_time(lane):
            self.leases.end(key)
            said = "lease of %s ended: it answered 410, %d pending discarded"
            log.info(said, key, lane.backlog, extra={"address": key})


def _asked(lane: Lane, address: Address, terms: Terms) -> Subscriber:
    """The subscriber as it is when it renews on these terms."""
    return Subscriber(address, terms.applied(lane.subscriber.options))
