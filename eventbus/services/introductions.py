"""New lanes: offered events from the moment they are announced, and delivered to once they are saved."""

from collections.abc import Callable
from dataclasses import dataclass

from eventbus.core.addresses import Address
from eventbus.core.credentials import Credentials
from eventbus.core.model import Subscription
from eventbus.core.records import Checkpoint, LaneRecord
from eventbus.delivery.decision import Decision
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import continued_record, lane_of, new_record, record_of
from eventbus.delivery.lane.phase import CloseReason
from eventbus.delivery.lane_registry import targets_of
from eventbus.delivery.transaction import Transaction
from eventbus.services.admission import Admission
from eventbus.services.node import Node
from eventbus.services.replays import Counted, Replays


@dataclass(frozen=True, slots=True)
class Newcomer:
    """A subscription that has no lane yet: its own, or that of a group whose first member registers."""

    subscription: Subscription
    address: Address
    ips: frozenset[str]  #: what its host has resolved to
    credentials: Credentials  #: of the address
    replay: Counted | None  #: what it begins with
    members: tuple[LaneRecord, ...] = ()


class Introductions:
    """Makes lanes for newcomers."""

    def __init__(self, node: Node, admission: Admission, replays: Replays) -> None:
        self._node = node
        self._dispatcher = node.dispatcher
        self._clock = node.clock
        self._admission = admission
        self._replays = replays

    def introduce(self, new: Newcomer, begin: Callable[[Lane], object]) -> Lane:
        """Make a lane, and save it with its replay; where that fails, nobody offers it anything any more.

        ``begin`` begins the lease of a lane that is saved. Raises Conflict, JournalError and TooMany.
        """
        checkpointer, journal, key = self._dispatcher.checkpointer, self._node.journal, new.subscription.key
        transaction = checkpointer.optimistic_transaction()
        if journal.lane(key) is None:
            self._admission.check_rate(new.address)
            lane = self._announced(new, None, transaction)
            self._save(lane, new, transaction, begin)
        else:
            with checkpointer.transaction():  # else its account may change meanwhile, or be forgotten
                lane = self._announced(new, journal.lane(key), transaction)
                self._save(lane, new, transaction, begin)
        return lane

    def _announced(self, new: Newcomer, past: LaneRecord | None, transaction: Transaction) -> Lane:
        """Return a lane that is offered new events from now on; ``past`` is what the journal has of its key."""
        transaction.check()  # else there may be a lane with what is pending, which nobody has
        self._admission.check_room(new.address, new.ips)  # others may have come while this one was looked at
        now, wall = self._clock.monotonic(), self._clock.wall()
        record = new_record(new.subscription, wall, self._dispatcher.recent.newest, new.members)
        if past is not None:
            record = continued_record(record, past)
        lane = lane_of(record, self._node.rules, retries=0, ends=now, now=now, wall=wall)
        lane.mark_not_durable()
        for target in targets_of(lane):
            target.take_credentials(new.credentials)
        self._dispatcher.registry.announce(lane, new.ips)
        return lane

    def _save(self, lane: Lane, new: Newcomer, transaction: Transaction, begin: Callable[[Lane], object]) -> None:
        """Save a new lane, and deliver for it then."""
        key = lane.subscriber.key

        def change() -> Checkpoint:
            now, wall, newest = self._clock.monotonic(), self._clock.wall(), self._dispatcher.recent.newest
            record = record_of(lane, newest, now, wall)
            return Checkpoint(wall, newest, lanes=(record,), registers=((new.address.key, key),))

        def happen() -> None:
            self._dispatcher.registry.add(lane)
            begin(lane)
            self._dispatcher.schedule(lane)

        try:
            if new.replay is not None:
                self._replays.add(lane, new.replay)
            transaction.introduce(Decision(change, happen, keys=[key]))
        finally:
            if self._dispatcher.lanes.get(key) is not lane:
                self._dispatcher.registry.remove(lane, CloseReason.NOT_SAVED)
