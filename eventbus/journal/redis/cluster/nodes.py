"""The other nodes, as the rest of the bus knows them (``eventbus.cluster.interfaces.Nodes``)."""

from collections.abc import Callable

from eventbus.journal.redis.cluster.calls import Calls
from eventbus.journal.redis.cluster.membership import Membership


class RedisNodes:
    """Asks and answers in the name of this node, whatever that is just now."""

    def __init__(self, url: str, members: Membership) -> None:
        self._members = members
        self._calls = Calls(url, members.id)
        self._answers = False
        members.named = self._named

    @property
    def id(self) -> str:
        """See Nodes.id."""
        return self._members.id

    def owner(self, key: str) -> str | None:
        """See Nodes.owner."""
        return self._members.owner(key)

    def others(self) -> list[str]:
        """See Nodes.others."""
        return self._members.others()

    def now(self) -> float:
        """See Nodes.now: as Redis has it."""
        return self._members.deadline(0)

    def orphans(self) -> bool:
        """See Nodes.orphans."""
        return self._members.orphans()

    def call(self, node: str, request: bytes, seconds: float, stands: Callable[[], bool] | None = None) -> bytes:
        """See Nodes.call."""
        return self._calls.call(node, request, seconds, stands)

    def answer_by(self, handler: Callable[[bytes], bytes]) -> None:
        """See Nodes.answer_by."""
        self._answers = True
        self._calls.start(handler)

    def stop(self) -> None:
        """Ask and answer no more."""
        if self._answers:
            self._calls.stop()

    def _named(self, name: str) -> None:
        self._calls.node = name
