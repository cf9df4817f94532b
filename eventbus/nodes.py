"""The other processes of the same bus, as far as one of them has to know about them."""

from collections.abc import Callable
from typing import Protocol


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

    def answer_by(self, handler: Callable[[bytes], bytes]) -> None:
        """Answer other nodes' requests by this, from now on."""
