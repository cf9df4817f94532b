"""What follows from a file of declared subscribers: who is registered, on which node, and who ends."""

from collections.abc import Collection
from pathlib import Path

import pytest

from eventbus.cluster.single_node import SingleNode
from eventbus.core.declarations import Declaration, Declarations, parse_declarations
from eventbus.core.errors import Conflict, JournalUnavailable
from eventbus.core.leases import Lease
from eventbus.core.model import Options, Subscriber
from eventbus.core.override import override
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import lane_of, new_record
from eventbus.services.declared_subscribers import RETRY_SECONDS, DeclaredSubscribers, name_of
from tests.support.lanes import EPOCH
from tests.support.memory_node import MemoryNode

A, B = "h:1", "h:2"
GRACE_SECONDS = 30.0


def declared(address: str) -> Declaration:
    """A declared subscriber without options."""
    (found,) = parse_declarations(f'[[subscriber]]\naddress = "{address}"\n'.encode()).subscribers
    return found


class Peers(SingleNode):
    """A cluster whose other nodes own and declare what a test says."""

    def __init__(self) -> None:
        self.registered: dict[str, str] = {}
        self.declared: set[str] = set()
        self.told: list[set[str]] = []
        self.silent = False

    @property
    @override
    def declared_grace_seconds(self) -> float:
        return GRACE_SECONDS

    @override
    def declare(self, names: Collection[str]) -> Collection[str]:
        if self.silent:
            raise JournalUnavailable("Redis does not answer.")
        self.told.append(set(names))
        return self.declared | set(names)

    @override
    def subscription_of(self, address: str) -> str | None:  # type: ignore[override]
        return self.registered.get(address)


class Scene:
    """A node, its file, and what the service has asked for; registering makes a lane, and ending one is noted."""

    def __init__(self, folder: Path, cluster: SingleNode | None = None) -> None:
        self.node = MemoryNode(cluster)
        self.path = folder / "subscribers.toml"
        self.registered: list[str] = []
        self.ended: list[tuple[str, str]] = []
        self.refuse: dict[str, str] = {}
        self.service = DeclaredSubscribers(self.node.node, str(self.path), self.register, self)
        assert self.service.file is not None
        self.file = self.service.file

    def write(self, *addresses: str, more: str = "") -> None:
        """Write the file, and let it be read."""
        self.path.write_text("".join(f'[[subscriber]]\naddress = "{address}"\n' for address in addresses) + more)
        self.file.check()
        self.file.check()

    def register(self, each: Declaration) -> Lane:
        """Register a declared subscriber."""
        self.registered.append(each.key)
        if each.key in self.refuse:
            raise Conflict(self.refuse[each.key])
        return self.lane(each)

    def lane(self, each: Declaration) -> Lane:
        """A lane that is registered as a declaration says."""
        known = self.node.dispatcher.lanes.get(each.key)
        subscriber = Subscriber(each.address, each.terms.applied(Options()), declared=True)
        record = new_record(subscriber, EPOCH, 0)
        lane = known or lane_of(record, self.node.rules, retries=0, ends=0, now=0, wall=EPOCH)
        self.node.dispatcher.registry.add(lane)
        lane.renew(self.node.node.leases.renew(subscriber, self.node.now, EPOCH), 0, self.node.now)
        return lane

    def expire(self, lease: Lease, why: str) -> None:
        """Note that a lease ends, as the sweeper is told."""
        self.ended.append((lease.subscriber.key, why))
        self.node.dispatcher.lanes[lease.subscriber.key].park(EPOCH)

    def live(self) -> list[str]:
        """Who has a lease that lasts."""
        return sorted(key for key, lane in self.node.dispatcher.lanes.items() if lane.lease.ends > self.node.now)


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    """A node of its own."""
    return Scene(tmp_path)


@pytest.fixture
def peers() -> Peers:
    """The other nodes."""
    return Peers()


@pytest.fixture
def shared(tmp_path: Path, peers: Peers) -> Scene:
    """A node with peers."""
    return Scene(tmp_path, peers)


def test_who_is_in_the_file_is_registered_once(scene: Scene) -> None:
    """Its lease has no end, so that nothing has to be renewed."""
    scene.write(A, B)
    for _ in range(3):
        scene.service.reconcile()
        scene.node.now += 1_000_000
    assert (scene.registered, scene.live(), scene.ended) == ([A, B], [A, B], [])


def test_another_content_registers_and_ends_what_differs(scene: Scene) -> None:
    """Who is not in it any more ends as a lease that was not renewed; who is as before is not touched."""
    scene.write(A)
    scene.service.reconcile()
    scene.write(B, more="timeout = 3\n")
    scene.service.reconcile()
    assert (scene.registered, scene.live(), scene.ended) == ([A, B], [B], [(A, "no file declares it any more")])
    scene.write(B, more="timeout = 4\n")
    scene.service.reconcile()
    assert scene.registered == [A, B, B]


def test_a_broken_file_changes_nothing(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """What it declared before stays, and the log says so once."""
    scene.write(A)
    scene.service.reconcile()
    for text in ("[[subscriber]", "[[subscriber]", None):
        if text is None:
            scene.path.unlink()
        else:
            scene.path.write_text(text)
        scene.file.check()
        scene.file.check()
        scene.service.reconcile()
    assert (scene.live(), scene.ended, scene.service.faults) == ([A], [], 1)
    said = [record.getMessage() for record in caplog.records if record.levelname == "WARNING"]
    assert [text.partition("subscribers.toml")[2] for text in said] == [
        ":1: Expected ']]' at the end of an array declaration, at column 13; what it said before stays",
        ": It cannot be read: No such file or directory; what it said before stays",
    ]
    scene.write(A)
    assert scene.service.faults == 0


def test_a_file_that_is_broken_at_the_start_ends_nobody(scene: Scene) -> None:
    """Who was declared by the process before stays until the file can be read."""
    scene.write("=")
    scene.lane(declared(B))
    scene.service.reconcile()
    assert (scene.live(), scene.ended) == ([B], [])
    scene.write(A)
    scene.service.reconcile()
    assert (scene.live(), [key for key, _ in scene.ended]) == ([A], [B])


def test_without_a_file_nobody_is_declared(scene: Scene) -> None:
    """Who was ends."""
    scene.lane(declared(A))
    none = DeclaredSubscribers(scene.node.node, "", scene.register, scene)
    none.reconcile()
    assert (scene.live(), none.faults) == ([], 0)


def test_what_is_refused_is_tried_again_later_and_told(scene: Scene, caplog: pytest.LogCaptureFixture) -> None:
    """The others are registered, and the log names the reason once."""
    scene.refuse[A] = "h:1 is a member of the group g"
    scene.write(A, B)
    for _ in range(3):
        scene.service.reconcile()
    assert (scene.registered, scene.live(), scene.service.faults) == ([A, B], [B], 1)
    assert scene.service.refused == {A: "h:1 is a member of the group g"}
    scene.node.now += RETRY_SECONDS + 1
    scene.service.reconcile()
    del scene.refuse[A]
    scene.node.now += RETRY_SECONDS + 1
    scene.service.reconcile()
    assert (scene.registered, scene.live(), scene.service.faults) == ([A, B, A, A], [A, B], 0)
    assert len([record for record in caplog.records if record.levelname == "WARNING"]) == 1


def test_a_file_is_read_when_it_has_stayed_the_same_for_a_check(scene: Scene) -> None:
    """One that is being written just now is not taken for a broken one."""
    scene.write(A)
    scene.path.write_text("[[subscriber]]\naddr")
    scene.file.check()
    assert (scene.service.count, scene.file.faults) == (1, ())
    scene.path.write_text(f'[[subscriber]]\naddress = "{B}"\n')
    scene.file.check()
    scene.file.check()
    assert [each.key for each in (scene.file.content or Declarations()).subscribers] == [B]


# Several nodes


def test_only_the_owner_registers(shared: Scene, peers: Peers) -> None:
    """What a peer has is left to it, or to the node that acquires it."""
    peers.registered = {A: A, B: "group=g"}
    shared.write(A, more='[[subscriber]]\naddress = "h:2"\ngroup = "g"\n')
    shared.service.reconcile()
    assert (shared.registered, peers.told) == ([], [{A, f"group=g {B}"}])
    del peers.registered[A]
    shared.service.reconcile()
    assert shared.registered == [A]


def test_a_subscriber_stays_as_long_as_some_nodes_file_has_it(shared: Scene, peers: Peers) -> None:
    """Nodes with different files do not fight: the owner neither ends nor changes what only a peer declares."""
    shared.lane(declared(A))
    shared.write(B)
    peers.declared = {A}
    for _ in range(3):
        shared.service.reconcile()
        shared.node.now += GRACE_SECONDS
    assert (shared.registered, shared.live(), shared.ended) == ([B], [A, B], [])


def test_a_subscriber_ends_when_no_file_has_had_it_for_a_while(shared: Scene, peers: Peers) -> None:
    """A node that restarts, and declares it again, finds it as it was."""
    shared.lane(declared(A))
    shared.write(B)
    shared.service.reconcile()
    shared.node.now += GRACE_SECONDS - 1
    peers.declared = {A}
    shared.service.reconcile()
    peers.declared = set()
    shared.service.reconcile()
    shared.node.now += GRACE_SECONDS - 1
    shared.service.reconcile()
    assert shared.ended == []
    shared.node.now += 1
    shared.service.reconcile()
    assert [key for key, _ in shared.ended] == [A]


def test_while_the_peers_are_not_known_nobody_ends(shared: Scene, peers: Peers) -> None:
    """A journal that does not answer ends no subscription."""
    shared.lane(declared(A))
    shared.write(B)
    peers.silent = True
    with pytest.raises(JournalUnavailable):
        shared.service.reconcile()
    assert (shared.live(), shared.registered) == ([A], [])


def test_an_acquired_subscription_is_registered_as_this_nodes_file_says(shared: Scene) -> None:
    """The file of its owner says on which terms it is."""
    shared.write(A)
    shared.service.reconcile()
    shared.node.dispatcher.lanes.clear()
    shared.service.reconcile()
    assert shared.registered == [A, A]


def test_a_member_is_another_one_in_each_group() -> None:
    """A subscriber that is moved to a group ends where it was."""
    assert [name_of(A, None), name_of(A, "g")] == [A, f"group=g {A}"]
