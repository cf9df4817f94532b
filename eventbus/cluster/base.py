"""The two sides of a cluster: what the services of a node ask the cluster, and what the cluster does to the node."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Protocol

from eventbus.core.clock import Clock
from eventbus.core.records import LaneRecord
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.transaction import Transaction
from eventbus.journal.cluster_journal import Nodes


class LocalSubscriptions(Protocol):
    """The subscriptions that this node delivers for, as the cluster lets it acquire and hand over some."""

    @property
    def lanes(self) -> Mapping[str, Lane]:
        """The lanes of this node, by their subscribers' keys."""

    @property
    def clock(self) -> Clock:
        """The clock that leases and waits go by."""

    def hold(self, *keys: str) -> AbstractContextManager[None]:
        """Let nobody else register, deregister or move these subscribers while the block runs."""

    def transaction(self) -> AbstractContextManager[Transaction]:
        """Let nobody else save lanes while the block runs."""

    def optimistic_transaction(self) -> Transaction:
        """Begin a transaction that is stale as soon as this node loses all its subscriptions."""

    def adopt(self, records: Sequence[tuple[LaneRecord, int]]) -> list[Lane]:
        """Make lanes of records, each with how many retries wait. Raises JournalError."""

    def resume(self, lane: Lane) -> None:
        """Deliver for an adopted lane, and let its lease go on."""

    def is_idle(self, lane: Lane) -> bool:
        """Return whether nothing is in flight or being read for a lane."""

    def schedule(self, lane: Lane) -> None:
        """Deliver for a lane that was not handed over after all."""

    def save(self, lanes: Sequence[Lane]) -> None:
        """Save what has changed in lanes. Raises JournalError."""

    def save_removed(self, lanes: Sequence[Lane]) -> None:
        """Save lanes that have just been removed, for the node that acquires them. Raises JournalError."""

    def remove(self, keys: Iterable[str]) -> None:
        """Deliver no more for these subscribers: peers own them."""

    def refuse(self, keys: Sequence[str]) -> None:
        """Refuse decisions that are being saved for these subscribers, and remove them: peers own them."""

    def remove_all(self) -> None:
        """Remove all lanes, and refuse all decisions about what was read so far: no lane is this node's any more."""

    def reset(self, newest: int) -> None:
        """Continue without lanes after the journal's last event: sequence numbers may stand for other events."""

    def deliver_until(self, moment: float) -> None:
        """Let attempts start until a moment of the monotonic clock."""

    def give_way(self) -> None:
        """Let other greenlets run where this one has run for long."""


class Cluster(Protocol):
    """The nodes that share a journal, as one of them asks about the others."""

    @property
    def nodes(self) -> Nodes | None:
        """How to call the peers; None for a single node."""

    def start(self, local: LocalSubscriptions) -> None:
        """Acquire subscriptions for this node from now on. Raises JournalError."""

    def stop(self) -> None:
        """Acquire and hand over nothing more."""

    def claim(self, key: str) -> None:
        """Acquire a subscriber, known or not. Raises NotOwner where a peer owns it, and JournalError."""

    def find(self, key: str) -> None:
        """Acquire a subscriber that the journal knows and that no node owns. Raises NotOwner and JournalError."""

    def subscription_of(self, address: str) -> str | None:
        """Return the key of the subscription that the journal has an address registered for: its own, or its group's.

        None if there is none, or no peer could own it. Raises JournalError.
        """

    def owned_by_peer(self, key: str) -> bool:
        """Return whether a live peer owns a subscriber. Raises JournalError."""

    @property
    def declared_grace_seconds(self) -> float:
        """Seconds for which no node's file has to have a declared subscriber before it ends."""

    def declare(self, names: Collection[str]) -> Collection[str]:
        """Share which subscribers this node's file declares; return those of all nodes' files. Raises JournalError."""

    def reach(self, topics: Iterable[str | None]) -> int:
        """Return how many subscribers of the peers get events with one of these topics."""

    def try_acquire_trimmer(self) -> bool:
        """Try to become the node that removes settled events; return whether it is this one. Raises JournalError."""

    def records(self) -> Sequence[LaneRecord]:
        """Return what the peers' lanes have pending, as they saved it last. Raises JournalError."""

    def withdraw(self) -> None:
        """Hand over all subscriptions, each as soon as nothing is in flight for it."""
