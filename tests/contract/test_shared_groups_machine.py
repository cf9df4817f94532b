"""Two nodes through any history of joins, leaves, filters, conflicts, hand-overs and deaths: one truth about each."""

from collections.abc import Iterator
from contextlib import ExitStack
from itertools import product
from urllib.parse import quote

import gevent
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule, run_state_machine_as_test
from werkzeug.test import Client, TestResponse

from eventbus.cluster.timing import ClusterTiming
from eventbus.core.model import group_key
from eventbus.web.app import application
from tests.support.deadline import eventually
from tests.support.lanes import TAKEN
from tests.support.redis_server import COMMAND, RedisServer
from tests.support.shared import shared

pytestmark = pytest.mark.skipif(COMMAND is None, reason="there is no redis-server here")
ADDRESSES = [f"127.0.0.1:{port}" for port in (8001, 8002, 8003)]
#: Events in one request, at most, to each of them.
BATCHES = dict(zip(ADDRESSES, (1, 3, 100), strict=True))
GROUPS = ["mailer", "printer"]
NODE, ADDRESS, GROUP = st.sampled_from([0, 1]), st.sampled_from(ADDRESSES), st.sampled_from(GROUPS)
WHERE = st.sampled_from([None, *GROUPS])
#: Filters: none is given, one is removed, and events with an odd or an even number.
FILTERS = {name: f'{{"exact":{{"data.odd":{str(name == "odd").lower()}}}}}' for name in ("odd", "even")}
FILTER = st.sampled_from([None, None, "", *FILTERS])
JSON = {"Accept": "application/json"}
TIMING = ClusterTiming(repair_interval_seconds=0.2, check_interval_seconds=0.001)


class SharedGroups(RuleBasedStateMachine):
    """Two nodes whose subscribers take everything, and for what each address has to be registered."""

    def __init__(self, server: RedisServer) -> None:
        super().__init__()
        self._server = server
        self._stack = ExitStack()
        self.nodes = [
            self._stack.enter_context(shared(server.url, always=TAKEN, cluster_timing=TIMING)) for _ in range(2)
        ]
        self.clients = [Client(application(node.bus), TestResponse) for node in self.nodes]
        self.registered: dict[str, str] = {}  # by address: the key of its subscription
        self.accepted: dict[str, int] = {}  # by that key: how many events, over all its registrations
        self.filters: dict[str, str] = {}  # by that key: the name of its filter, if it has one
        self.filtered: dict[str, int] = {}  # by that key: how many of the events its filters did not match
        self.published = 0

    def teardown(self) -> None:
        self._stack.close()
        self._server.ask("FLUSHALL")

    # What happens

    @rule(node=NODE, address=ADDRESS, group=WHERE, chosen=FILTER)
    def register(self, node: int, address: str, group: str | None, chosen: str | None) -> None:
        """An address registers alone or in a group, at either node; it is refused where it is something else.

        It may give a filter, which is its group's where it is in one.
        """
        key, known = _key(address, group), self.registered.get(address)
        status = self._register(node, address, group, chosen)
        assert status == (200 if known in (None, key) else 409)
        self.registered.setdefault(address, key)
        if status == 200 and chosen is not None:
            self.filters[key] = chosen

    @rule(address=ADDRESS, groups=st.tuples(WHERE, WHERE))
    def register_at_both_nodes_at_once(self, address: str, groups: tuple[str | None, str | None]) -> None:
        """An address registers at both nodes in one moment: it is one of both, and both are told the same."""
        asked = [gevent.spawn(self._register, node, address, group) for node, group in enumerate(groups)]
        keys = [_key(address, group) for group in groups]
        statuses = [each.get(timeout=20) for each in asked]
        known = self.registered.setdefault(address, keys[statuses.index(200)] if 200 in statuses else "")
        assert statuses == [200 if key == known else 409 for key in keys]

    @rule(node=NODE, address=ADDRESS)
    def leave(self, node: int, address: str) -> None:
        """An address deregisters, whether it is registered or not."""
        assert self._ask(node, "DELETE", f"/deregister?address={address}").status_code == 200
        self.registered.pop(address, None)
        self._forget_filters()

    @rule(node=NODE, group=GROUP)
    def end(self, node: int, group: str) -> None:
        """A group ends with all its members."""
        assert self._ask(node, "DELETE", f"/deregister?group={group}").status_code == 200
        self.registered = {a: key for a, key in self.registered.items() if key != group_key(group)}
        self._forget_filters()

    @rule(node=NODE, count=st.integers(1, 5))
    def publish(self, node: int, count: int) -> None:
        """Events are accepted: each once for each group, and for each address that is in none."""
        for _ in range(count):
            self.published += 1
            name = "odd" if self.published % 2 else "even"
            body = b'{"odd":true}' if name == "odd" else b'{"odd":false}'
            assert self._ask(node, "POST", "/sendMessage", body).status_code == 200
            for key in set(self.registered.values()):
                self.accepted[key] = self.accepted.get(key, 0) + 1
                self.filtered[key] = self.filtered.get(key, 0) + (self.filters.get(key, "") not in ("", name))

    @rule(giver=NODE)
    def hand_over(self, giver: int) -> None:
        """A node hands all over that it has."""
        node = self.nodes[giver]
        node.sharing.rebalance(len(node.bus.dispatcher.lanes))
        eventually(lambda: not node.bus.dispatcher.lanes, 10)
        self.nodes[1 - giver].journal.members.heartbeat()

    @rule(loser=NODE)
    def lose(self, loser: int) -> None:
        """A node counts as dead, its peer acquires what it had, and then it begins anew."""
        self._server.ask("ZREM", "{eventbus}:nodes", self.nodes[loser].journal.members.id)
        for node in (1 - loser, loser):
            self.nodes[node].journal.members.heartbeat()

    # What has to hold

    @invariant()
    def both_nodes_and_the_journal_agree(self) -> None:
        """Each address is what it registered as, and is in the record of that subscription alone."""
        for node, address in product(self.nodes, ADDRESSES):
            key = self.registered.get(address)
            assert node.journal.subscription_of(address) == key
            assert node.journal.nodes.group_of(address) == (None if key == address else key)
        for group in GROUPS:
            found = self.nodes[0].journal.lane_records([group_key(group)])
            members = {member.subscriber.key for record, _ in found if record.open for member in record.members}
            assert members == {a for a, key in self.registered.items() if key == group_key(group)}
        assert not self.nodes[0].bus.dispatcher.lanes.keys() & self.nodes[1].bus.dispatcher.lanes.keys()

    @invariant()
    def each_group_gets_each_event_once(self) -> None:
        """What was accepted for a subscription adds up, and is delivered in a moment, or filtered."""
        keys = set(self.registered.values())
        expected = {key: (self.accepted.get(key, 0), self.filtered.get(key, 0)) for key in keys}
        eventually(lambda: self._delivered() == expected, 20, f"there was not delivered {expected}")

    def _forget_filters(self) -> None:
        """A subscription that has ended begins without a filter."""
        self.filters = {key: name for key, name in self.filters.items() if key in self.registered.values()}

    def _delivered(self) -> dict[str, tuple[int, int]]:
        """What was accepted and filtered for each subscription, where nothing is pending."""
        for node in self.nodes:
            node.journal.members.heartbeat()
        lanes = [lane for node in self.nodes for lane in node.bus.subscribers()]
        return {lane.subscriber.key: (lane.accepted, lane.filtered) for lane in lanes if not lane.backlog}

    # How it is asked

    def _register(self, node: int, address: str, group: str | None, chosen: str | None = None) -> int:
        target = f"/registerAndKeepAlive?lease=600&batch={BATCHES[address]}&address={address}"
        target += f"&group={group}" if group else ""
        target += "" if chosen is None else f"&filter={quote(FILTERS.get(chosen, ''))}"
        return self._ask(node, "POST", target).status_code

    def _ask(self, node: int, method: str, target: str, body: bytes = b"") -> TestResponse:
        """What a node answers; while a subscription moves, it is asked again."""

        def answer() -> TestResponse | None:
            found = self.clients[node].open(target, method=method, headers=JSON, data=body)
            return None if found.status_code == 503 else found

        found = eventually(answer, 20)
        assert found is not None
        return found


def _key(address: str, group: str | None) -> str:
    return address if group is None else group_key(group)


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[RedisServer]:
    """A Redis server for all histories of a test."""
    with RedisServer(tmp_path_factory.mktemp("redis"), durable=False) as found:
        yield found


@pytest.mark.parametrize(
    "examples", [pytest.param(12, id="short"), pytest.param(200, id="long", marks=pytest.mark.soak)]
)
def test_an_address_is_one_thing_on_all_nodes(server: RedisServer, examples: int) -> None:
    """Whatever two nodes are asked, and whichever dies, they agree, and each event comes to each group."""
    run_state_machine_as_test(
        lambda: SharedGroups(server),
        settings=settings(
            max_examples=examples,
            stateful_step_count=25,
            suppress_health_check=[HealthCheck.too_slow],
            print_blob=True,
        ),
    )
