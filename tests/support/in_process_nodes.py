"""Several nodes in one process: each a bus with an application, that calls the others' directly."""

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from werkzeug.test import Client, TestResponse

from eventbus.cluster.single_node import SingleNode
from eventbus.core.errors import CallRefused, EventbusError, NodeTimeout, NotAccepted
from eventbus.core.settings import MEMORY, Settings
from eventbus.core.tokens import Tokens
from eventbus.delivery.lane.outcome import DeliveryResponse
from eventbus.journal.cluster_journal import Nodes
from eventbus.journal.sqlite import SqliteJournal
from eventbus.services.bus import Bus
from eventbus.web.app import create_app
from eventbus.web.cluster.forwarding import Forwarding
from tests.support.scripted import ScriptedTransport


class _Peered(SingleNode):
    """The cluster of a node that owns all of its own journal, and has peers."""

    def __init__(self, nodes: Nodes) -> None:
        self._nodes = nodes

    @property
    def nodes(self) -> Nodes:  # type: ignore[override]
        """See Cluster.nodes."""
        return self._nodes


class InProcessNode:
    """A node as the others see it (``eventbus.journal.cluster_journal.Nodes``), and its bus: subscribers refuse all."""

    def __init__(
        self, name: str, everybody: "dict[str, InProcessNode]", tokens: Tokens | None = None, file: str = ""
    ) -> None:
        settings = Settings(journal=f"sqlite:///{MEMORY}", tokens=tokens or Tokens(), tokens_file=file)
        self.id = name
        transport = ScriptedTransport(always=DeliveryResponse(400, excerpt=b"no"))
        self.bus = Bus(settings, SqliteJournal(MEMORY), transport, cluster=_Peered(self))
        self.owners: dict[str, str] = {}  #: what this node knows of who has which subscriber
        self.groups: dict[str, str] = {}  #: the group that an address is a member of, by their keys
        self.silent: set[str] = set()  #: nodes that do not answer this one
        self.dead: dict[str, str | None] = {}  #: nodes that take nothing, and who has their subscribers from then on
        self.orphaned = False  #: whether there are subscribers that no node has
        self.trouble: EventbusError | None = None  #: what asking for an owner ends with
        self.asked: list[str] = []  #: the nodes that this one has called
        self.calls: list[bytes] = []  #: what it has asked them
        self._everybody = everybody
        self.forwarding = Forwarding(create_app(self.bus), self)
        self._client = Client(self.forwarding, TestResponse)

    def owner(self, key: str) -> str | None:
        """See Nodes.owner."""
        if self.trouble is not None:
            raise self.trouble
        return self.owners.get(key)

    def group_of(self, address: str) -> str | None:
        """See Nodes.group_of."""
        return self.groups.get(address)

    def peers(self) -> list[str]:
        """See Nodes.peers."""
        return [name for name in self._everybody if name != self.id]

    def now(self) -> float:
        """See Nodes.now."""
        return time.monotonic() * 1_000

    def has_orphans(self) -> bool:
        """See Nodes.has_orphans."""
        return self.orphaned

    def call(self, node: str, request: bytes, seconds: float, is_current: Callable[[], bool] | None = None) -> bytes:
        """See Nodes.call."""
        self.asked.append(node)
        if is_current is not None and node in self.dead:
            assert is_current()
            self._reassign(node)
            assert not is_current()
            raise NotAccepted(f"Node {node} did not take the call.")
        if node in self.silent:
            raise NodeTimeout(f"Node {node} did not answer within {seconds:.3g} s.")
        self.calls.append(request)
        try:
            return self._everybody[node].forwarding.answer(request)
        except CallRefused as refused:
            raise NodeTimeout(f"Node {node} did not answer: it refused the call: {refused}.") from refused

    def _reassign(self, node: str) -> None:
        """Others have now what a dead node had."""
        for key in [key for key, owner in self.owners.items() if owner == node]:
            del self.owners[key]
            if (heir := self.dead[node]) is not None:
                self.owners[key] = heir

    def ask(self, method: str, target: str, headers: dict[str, str] | None = None, body: bytes = b"") -> TestResponse:
        """What a client is answered."""
        return self._client.open(target, method=method, headers=headers or {}, data=body)


@contextmanager
def in_process_nodes(
    *names: str,
    tokens: Tokens | None = None,
    each: Mapping[str, Tokens] | None = None,
    files: Mapping[str, str] | None = None,
) -> Iterator[list[InProcessNode]]:
    """Nodes with these names, that run; ``each`` has the tokens of those that have others, ``files`` their files."""
    everybody: dict[str, InProcessNode] = {}
    try:
        for name in names:
            everybody[name] = InProcessNode(
                name, everybody, (each or {}).get(name, tokens), (files or {}).get(name, "")
            )
            everybody[name].bus.start()
        yield list(everybody.values())
    finally:
        for node in everybody.values():
            node.bus.stop()
