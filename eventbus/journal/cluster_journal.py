"""The seam to a journal that several nodes share: who owns which lane, and how to call the peers."""

from collections.abc import Callable, Collection, Sequence
from typing import Protocol

from eventbus.core.records import LaneRecord


class Nodes(Protocol):
    """The nodes of a cluster: who owns which lane, and how to call a peer."""

    @property
    def id(self) -> str:
        """This node's name; it changes when the node loses its lanes and joins again."""

    def owner(self, key: str) -> str | None:
        """Return the live peer that owns this subscriber's lane, or None. Raises JournalError."""

    def group_of(self, address: str) -> str | None:
        """Return the key of the group that an address is a member of, or None. Raises JournalError."""

    def peers(self) -> list[str]:
        """Return the other live nodes. Raises JournalError."""

    def now(self) -> float:
        """Return the time in milliseconds, by the clock that all nodes share."""

    def has_orphans(self) -> bool:
        """Return whether some open lane has no live owner at the moment. Raises JournalError."""

    def call(self, node: str, request: bytes, seconds: float, is_current: Callable[[], bool] | None = None) -> bytes:
        """Return a peer's answer to a request. Raises JournalError, and NodeTimeout if none comes in time.

        While none comes, ``is_current`` is asked every few seconds whether that is still the node to call. If it is
        not, the request is withdrawn: raises NotAccepted, unless the node may have taken it by then.
        """

    def serve(self, handler: Callable[[bytes], bytes]) -> None:
        """Answer the peers' requests with this handler from now on."""


class OwnershipListener(Protocol):
    """Hears of the lanes that this node acquires and loses."""

    def acquired(self, lanes: Sequence[str]) -> None:
        """Take over lanes that this node owns from now on. Returns soon: the next heartbeat waits for it."""

    def rebalance(self, count: int) -> None:
        """Hand over so many lanes: this node owns more than its share. Returns soon."""

    def lost(self) -> None:
        """Give up all lanes: peers own them, or the journal has another content. Raises JournalError."""

    def heartbeat(self, until: float, changes: int) -> None:
        """Let attempts start until a moment of the monotonic clock.

        ``changes`` is another number than before when some subscription of the cluster has got other topics.
        """

    def refused(self, lanes: Sequence[str]) -> None:
        """Give up these lanes: peers own them, and nothing of the last checkpoint was kept for them."""


class Members(Protocol):
    """Ownership of lanes, for this node."""

    @property
    def id(self) -> str:
        """This node's name; it changes when the node loses its lanes and joins again."""

    def start(self, listener: OwnershipListener) -> None:
        """Send heartbeats and acquire lanes from now on, for the listener. Raises JournalError."""

    def peers(self) -> list[str]:
        """Return the other live nodes. Raises JournalError."""

    def withdraw(self) -> None:
        """Acquire no more lanes, so that the peers share them all. Raises JournalError."""

    def claim(self, lane: str) -> str | None:
        """Acquire a lane; return the node that owns it if that is a live peer. Raises JournalError."""

    def owned(self) -> set[str]:
        """Return the lanes that this node owns. Raises JournalError."""

    def owner(self, lane: str) -> str | None:
        """Return the live peer that owns a lane, or None. Raises JournalError."""

    def release(self, lanes: Sequence[str]) -> None:
        """Hand over these lanes. Raises JournalError."""


class ClusterJournal(Protocol):
    """What a journal that several nodes share has beside the usual."""

    @property
    def members(self) -> Members:
        """Ownership of lanes."""

    @property
    def nodes(self) -> Nodes:
        """The peers."""

    def lane_records(self, lanes: Sequence[str]) -> list[tuple[LaneRecord, int]]:
        """Return the records of these lanes, each with how many retries wait. Raises JournalError."""

    def topics_by_lane(self) -> dict[str, tuple[str, ...]]:
        """Return the topics of each subscription that gets new events. Raises JournalError."""

    def subscription_of(self, address: str) -> str | None:
        """Return the key of the subscription that an address is registered for: its own, or its group's.

        None if it is not registered. Raises JournalError.
        """

    def declare(self, names: Collection[str], seconds: float) -> Collection[str]:
        """Keep for so many seconds that a node's file declares these subscribers; return those of all nodes' files.

        Raises JournalError.
        """

    def open_lanes(self) -> list[str]:
        """Return the lanes that some node has to continue. Raises JournalError."""

    def try_acquire_trimmer(self) -> bool:
        """Try to become the node that removes settled events; return whether it is this one. Raises JournalError."""

    def skip_to_end(self) -> int:
        """Refuse what waits to be written, read on from the journal's end, and return that. Raises JournalError."""

    def wait_until_read(self, seq: int) -> None:
        """Return when this node has read an event. Raises JournalError if it does not within a second."""
