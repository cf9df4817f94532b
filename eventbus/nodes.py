"""The other processes of the same bus, as far as one of them has to know about them."""

from typing import NoReturn, Protocol

from eventbus.errors import NodeSilent


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

    def call(self, node: str, request: bytes, seconds: float) -> bytes:
        """What another node answers to a request. Raises JournalError, and NodeSilent where no answer comes."""


class Alone:
    """A bus of one process, which has every subscriber."""

    id = "alone"

    def owner(self, key: str) -> None:
        """See Nodes.owner."""

    def others(self) -> list[str]:
        """See Nodes.others."""
        return []

    def call(self, node: str, request: bytes, seconds: float) -> NoReturn:
        """See Nodes.call."""
        raise NodeSilent(f"There is no node {node}; this bus is one process.")
