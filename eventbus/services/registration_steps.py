"""What registrations of single addresses and of members of groups have in common."""

from dataclasses import dataclass

from eventbus.core.access import OPEN, Access
from eventbus.core.addresses import Address
from eventbus.core.credentials import NO_CREDENTIALS, NOTHING_GIVEN, Credentials, GivenCredentials
from eventbus.core.model import Terms, group_key
from eventbus.delivery.lane.health import Health
from eventbus.delivery.lane.lane import Lane
from eventbus.services.admission import Admission
from eventbus.services.expiry import LeaseExpiry
from eventbus.services.introductions import Introductions
from eventbus.services.node import Node
from eventbus.services.registered_lane import check_owned
from eventbus.services.replays import Replays
from eventbus.services.sweeper import Sweeper


@dataclass(frozen=True, slots=True)
class RegistrationRequest:
    """What one registration says, and who registers."""

    address: Address
    terms: Terms
    credentials: GivenCredentials = NOTHING_GIVEN
    by: Access = OPEN  # what who registers may do
    drain: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class JoinRequest(RegistrationRequest):
    """What one registration with a group says."""

    group: str

    @property
    def key(self) -> str:
        """The key of the group."""
        return group_key(self.group)


class RegistrationSteps:
    """The services that a registration needs, and the checks of a lane that it begins and ends with."""

    def __init__(
        self,
        node: Node,
        admission: Admission,
        introductions: Introductions,
        sweeper: Sweeper,
        expiry: LeaseExpiry,
        replays: Replays,
    ) -> None:
        self._node = node
        self._dispatcher = node.dispatcher
        self._journal = node.journal
        self._leases = node.leases
        self._clock = node.clock
        self._admission = admission
        self._introductions = introductions
        self._sweeper = sweeper
        self._expiry = expiry
        self._replays = replays

    def _save_unsaved(self, lane: Lane) -> None:
        """Save a lane whose registration may not be in the journal, for a renewal that changes nothing.

        Raises NotOwner and JournalError.
        """
        if not lane.durable:
            self._dispatcher.checkpointer.save_lanes([lane])
            self._wait_durable(lane)

    def _wait_durable(self, lane: Lane) -> None:
        """Return when a lane that was saved is as safe as is configured. Raises NotOwner and JournalError."""
        check_owned(self._node, lane)
        if not lane.durable:
            durable = lane.subscriber
            self._journal.wait_durable()
            lane.mark_durable(durable)

    def _credentials(self, asked: RegistrationRequest, former: Health | None = None) -> Credentials:
        """Return the credentials of a subscriber once it is registered, of which ``former`` has those until then."""
        known = NO_CREDENTIALS if former is None else former.credentials
        return known.renewed(asked.credentials, self._clock.wall())

    def _renew_route(self, target: Health, former: Credentials, *, other: bool = False) -> None:
        """Send by another route where a renewal has replaced the ``former`` credentials, or it is an ``other`` one."""
        if other or not target.credentials.sends_as(former):
            self._dispatcher.registry.update_route(target)
