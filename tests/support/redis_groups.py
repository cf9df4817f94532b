"""Redis servers that stand for one another: a master, its replica and Sentinels, or a cluster."""

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from redis.crc import key_slot

from tests.support.deadline import eventually
from tests.support.ports import LOOPBACK, free_port
from tests.support.redis_server import RedisServer

#: What the Sentinels call what they watch.
SERVICE = "bus"
#: Milliseconds after which a server that does not answer counts as gone.
GONE = 1_000
SENTINELS = 3
#: Masters of a cluster: fewer could not agree that one of them is gone.
MASTERS = 3
SLOTS = 16_384
#: The slot of the journal's keys.
SLOT = key_slot(b"{eventbus}:")
#: A replica has what its master has at once, not after the seconds in which others might ask for it too.
AT_ONCE = ("--repl-diskless-sync-delay", "0")


@dataclass(frozen=True, slots=True)
class Group:
    """Servers, of which ``master`` has the journal and ``replica`` is to have it afterwards, and the URL of both."""

    url: str
    master: RedisServer
    replica: RedisServer
    asked: RedisServer  #: who makes them change places where both are well
    change: tuple[str, ...]  #: by this command

    def change_over(self) -> None:
        """Let the replica stand for the master, which becomes its replica."""
        eventually(lambda: self.asked.ask(*self.change) == b"+OK\r\n", 30)
        eventually(self.replica.is_master, 30)
        eventually(lambda: b"role:slave" in self.master.ask("INFO", "replication"), 30)

    def come_back(self) -> None:
        """Start the former master again, and wait until one of both is the other's replica, to which others see.

        Sentinels let it be a master with all that it had for some ten seconds; and where the machine is slow they may
        take the new one for gone by then.
        """
        self.master.start()
        eventually(lambda: self.replica.has_replica() or self.master.has_replica(), 60)

    def fail_over(self) -> None:
        """Kill the master, and wait until the replica stands for it."""
        self.master.kill()
        eventually(self.replica.is_master, 30)


@contextmanager
def watched(folder: Path) -> Iterator[Group]:
    """A master and its replica, watched by Sentinels that agree by two of three."""
    with ExitStack() as stack:
        master, replica = _pair(stack, folder)
        sentinels = [
            stack.enter_context(_sentinel(folder / f"sentinel-{number}", master)) for number in range(SENTINELS)
        ]
        for sentinel in sentinels:
            eventually(lambda asked=sentinel: _sees_all(asked), 30)
        named = ",".join(f"{LOOPBACK}:{sentinel.port}" for sentinel in sentinels)
        yield Group(
            f"redis+sentinel://{named}/{SERVICE}/0", master, replica, sentinels[0], ("SENTINEL", "FAILOVER", SERVICE)
        )


@contextmanager
def clustered(folder: Path) -> Iterator[Group]:
    """A cluster of which one master, the journal's, has a replica."""
    options = ("--cluster-enabled", "yes", "--cluster-node-timeout", str(GONE), *AT_ONCE)
    with ExitStack() as stack:
        ports = [free_port() for _ in range(MASTERS + 1)]  # on which they talk to one another
        servers = [
            stack.enter_context(_server(folder / f"node-{port}", *options, "--cluster-port", str(port)))
            for port in ports
        ]
        *masters, replica = servers
        each = -(-SLOTS // MASTERS)
        for number, server in enumerate(masters):
            server.ask("CLUSTER", "ADDSLOTSRANGE", str(number * each), str(min(SLOTS, (number + 1) * each) - 1))
        for number, server in enumerate(servers):
            server.ask("CLUSTER", "SET-CONFIG-EPOCH", str(number + 1))
        for server, bus_port in zip(servers[1:], ports[1:], strict=True):
            servers[0].ask("CLUSTER", "MEET", LOOPBACK, str(server.port), str(bus_port))
        for server in servers:
            eventually(lambda asked=server: asked.ask("CLUSTER", "NODES").count(b" connected") == len(servers), 30)
        master = masters[SLOT // each]
        name = master.ask("CLUSTER", "MYID").split(b"\r\n")[1].decode()
        eventually(lambda: replica.ask("CLUSTER", "REPLICATE", name) == b"+OK\r\n", 30)
        for server in servers:
            eventually(lambda asked=server: _is_whole(asked), 30)
        eventually(master.has_replica, 30)
        peers = [server for server in masters if server is not master]
        named = ",".join(f"{LOOPBACK}:{server.port}" for server in peers)
        yield Group(f"redis+cluster://{named}", master, replica, replica, ("CLUSTER", "FAILOVER"))


@dataclass(frozen=True, slots=True)
class Names:
    """A Sentinel that is told which of two masters to name, and how a journal names it."""

    url: str
    former: RedisServer
    present: RedisServer
    folder: Path  #: of the present one
    sentinel: RedisServer

    def copy(self) -> None:
        """Let the present master have what the former one has now, and start."""
        self.former.copy(self.folder)
        self.present.start()

    def name(self, master: RedisServer) -> None:
        """Name this one from now on, and let nobody stay with the other one."""
        self.sentinel.ask("SENTINEL", "REMOVE", SERVICE)
        self.sentinel.ask("SENTINEL", "MONITOR", SERVICE, LOOPBACK, str(master.port), "1")
        for server in (self.former, self.present):
            if server is not master:
                server.ask("CLIENT", "KILL", "TYPE", "normal")


@contextmanager
def renamed(folder: Path) -> Iterator[Names]:
    """A master, another one that does not run yet, and a Sentinel that names the first."""
    with ExitStack() as stack:
        former = stack.enter_context(_server(folder / "former"))
        kept = folder / "present"
        kept.mkdir()
        present = RedisServer(kept)
        stack.callback(present.kill)
        sentinel = stack.enter_context(_sentinel(folder / "sentinel", former, agree=1))
        yield Names(f"redis+sentinel://{LOOPBACK}:{sentinel.port}/{SERVICE}/0", former, present, kept, sentinel)


def _pair(stack: ExitStack, folder: Path) -> tuple[RedisServer, RedisServer]:
    """A master and a replica of it that has all it has."""
    master = stack.enter_context(_server(folder / "master", *AT_ONCE))
    replica = stack.enter_context(_server(folder / "replica", "--replicaof", f"{LOOPBACK} {master.port}", *AT_ONCE))
    eventually(master.has_replica, 30)
    return master, replica


def _is_whole(server: RedisServer) -> bool:
    return b"cluster_state:ok" in server.ask("CLUSTER", "INFO") and b"slave" in server.ask("CLUSTER", "NODES")


def _server(folder: Path, *options: str) -> RedisServer:
    folder.mkdir()
    return RedisServer(folder, *options)


def _sentinel(folder: Path, master: RedisServer, agree: int = 2) -> RedisServer:
    """A Sentinel, one of those of which so many have to agree, which keeps in its configuration what it knows."""
    folder.mkdir()
    lines = (
        f"sentinel monitor {SERVICE} {LOOPBACK} {master.port} {agree}",
        f"sentinel down-after-milliseconds {SERVICE} {GONE}",
        f"sentinel failover-timeout {SERVICE} 5000",
    )
    (folder / "sentinel.conf").write_text("\n".join(lines) + "\n")
    return RedisServer(folder, role=(str(folder / "sentinel.conf"), "--sentinel"))


def _sees_all(sentinel: RedisServer) -> bool:
    """Whether a Sentinel knows of the replica and of the other Sentinels."""
    reply = sentinel.ask("SENTINEL", "MASTER", SERVICE).split(b"\r\n")
    known = dict(zip(reply[2::4], reply[4::4], strict=False))
    return known.get(b"num-slaves") == b"1" and known.get(b"num-other-sentinels") == str(SENTINELS - 1).encode()
