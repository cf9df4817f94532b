"""The peers, for the rest of the bus (``eventbus.journal.cluster_journal.Nodes``)."""

from collections.abc import Callable

from eventbus.core.override import override
from eventbus.journal.cluster_journal import Nodes
from eventbus.journal.redis.cluster.calls import Calls
from eventbus.journal.redis.cluster.membership import Membership
from eventbus.journal.redis.store.queries import RedisQueries
from eventbus.journal.redis.store.server import translate_errors
from eventbus.journal.redis.timing import RedisTiming


class RedisNodes(Nodes):
    """Calls and serves the peers under this node's name, which may change."""

    def __init__(self, url: str, members: Membership, queries: RedisQueries, timing: RedisTiming) -> None:
        self._members = members
        self._queries = queries
        self._calls = Calls(url, members, timing)
        self._serves = False

    @property
    @override
    def id(self) -> str:
        return self._members.id

    @override
    def owner(self, key: str) -> str | None:
        return self._members.owner(key)

    @override
    def group_of(self, address: str) -> str | None:
        with translate_errors("does not return who is registered"):
            return self._queries.group_of(address)

    @override
    def peers(self) -> list[str]:
        return self._members.peers()

    @override
    def now(self) -> float:
        return self._members.deadline(0)

    @override
    def has_orphans(self) -> bool:
        return self._members.has_orphans()

    @override
    def call(self, node: str, request: bytes, seconds: float, is_current: Callable[[], bool] | None = None) -> bytes:
        return self._calls.call(node, request, seconds, is_current)

    @override
    def serve(self, handler: Callable[[bytes], bytes]) -> None:
        self._serves = True
        self._calls.start(handler)

    def stop(self) -> None:
        """Stop calling and serving."""
        if self._serves:
            self._calls.stop()
