"""The seam to a journal that several buses share: who has which lane, and how to ask the others."""

from collections.abc import Callable, Sequence
from typing import Protocol

from eventbus.core.model import LaneRecord


class Nodes(Protocol):
    """The nodes that share a journal: who has which subscriber, and how to ask another one."""

    @property
    def id(self) -> str:
        """This node's name; another one after it has counted as gone."""

    def owner(self, key: str) -> str | None:
        """The other live node that has this subscriber's lane; None where it is this one's or nobody's.

        Raises JournalError.
        """

    def others(self) -> list[str]:
        """The other nodes that live."""

    def now(self) -> float:
        """The time in milliseconds, by a clock that all nodes go by."""

    def orphans(self) -> bool:
        """Whether there are subscribers that no live node has, for a moment. Raises JournalError."""

    def call(self, node: str, request: bytes, seconds: float, stands: Callable[[], bool] | None = None) -> bytes:
        """What another node answers to a request. Raises JournalError, and NodeTimeout where no answer comes.

        While none comes, ``stands`` is asked now and then whether that is still the node to ask. Where it is not, the
        request is taken back: raises NotAccepted, unless the node may have taken it by then.
        """

    def answer_by(self, handler: Callable[[bytes], bytes]) -> None:
        """Answer other nodes' requests by this, from now on."""


class Members(Protocol):
    """Which node has which lane."""

    took: Callable[[Sequence[str]], object]
    surplus: Callable[[int], object]
    lost: Callable[[], object]
    beat: Callable[[float, int], object]

    @property
    def id(self) -> str:
        """This node's name; another one after it has counted as gone."""

    def start(self) -> None:
        """Show life from now on, and take what is handed out."""

    def others(self) -> list[str]:
        """The other nodes that live."""

    def withdraw(self) -> None:
        """Get no more lanes, and count no more among those that share them."""

    def claim(self, lane: str) -> str | None:
        """Take a lane; the node that has it where that is another one."""

    def mine(self) -> set[str]:
        """The lanes that are this node's."""

    def owner(self, lane: str) -> str | None:
        """Another node that has a lane and lives; None where there is none."""

    def release(self, lanes: Sequence[str]) -> None:
        """Let others have these lanes."""


class ClusterJournal(Protocol):
    """What a journal that several buses share has beside the usual."""

    @property
    def members(self) -> Members:
        """Which node has which lane."""

    def on_taken(self, listener: Callable[[Sequence[str]], object]) -> None:
        """Tell the listener of lanes that others have taken."""

    def kept(self, lanes: Sequence[str]) -> list[tuple[LaneRecord, int]]:
        """The records of these lanes, and how many deliveries are deferred in each."""

    @property
    def nodes(self) -> Nodes:
        """The other buses."""

    def wanted(self) -> dict[str, tuple[str, ...]]:
        """The topics that each subscriber gets."""

    def try_acquire_trimmer(self) -> bool:
        """Whether it is this node that removes settled events for all."""

    def open_lanes(self) -> list[str]:
        """The lanes that some node has to carry on with."""

    def read_again(self) -> int:
        """Go on from the journal's end as it is now, which is answered."""

    def wait_for(self, seq: int) -> None:
        """Return when this node has heard of an event. Raises JournalError where it does not soon."""
