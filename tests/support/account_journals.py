"""The journals on which the account's state machine runs: how a bus begins on each, and what a kill leaves of it."""

import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any, Protocol
from unittest.mock import patch
from uuid import uuid4

import pytest
from hypothesis import HealthCheck, settings
from hypothesis.stateful import RuleBasedStateMachine, run_state_machine_as_test

from eventbus.cluster.ownership import Ownership
from eventbus.cluster.timing import ClusterTiming
from eventbus.core.clock import Clock
from eventbus.core.settings import Settings
from eventbus.delivery import changed_lanes
from eventbus.delivery.transport import Transport
from eventbus.journal.redis import RedisJournal, RedisTiming
from eventbus.journal.redis.cluster.process_location import this_process
from eventbus.journal.redis.store import keys
from eventbus.journal.sqlite import SqliteJournal
from eventbus.services.bus import Bus
from eventbus.services.dead_events import DeadEvents
from eventbus.services.timing import ServiceTiming
from tests.support.deadline import eventually
from tests.support.redis_server import NEEDS_REDIS, RedisServer


class AccountJournal(Protocol):
    """A journal that is empty at first, and one bus after another on it."""

    def start(self, settings: Settings, transport: Transport, clock: Clock, timing: ServiceTiming) -> Bus:
        """A bus that carries on with what is there."""

    def kill(self, bus: Bus) -> None:
        """End a bus of which nothing is kept from this moment on."""

    def remove(self) -> None:
        """Leave nothing, when the last bus has ended."""


#: No node counts as dead by itself, and a killed bus does not ask what became of its last commit.
TIMING = RedisTiming(alive_seconds=10_000_000.0, read_back_seconds=20.0, outcome_seconds=0.0)
#: What a node's file declares counts for a moment only.
CLUSTER_TIMING = ClusterTiming(declared_seconds=0.3, declared_grace_seconds=0.0)
#: Makes empty journals.
Journals = Callable[[], AccountJournal]


class Files:
    """A SQLite journal. A killed bus leaves the files as they are at that moment."""

    def __init__(self) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="account-"))
        self._kills = 0

    @property
    def _path(self) -> Path:
        return self._folder / f"{self._kills}.db"

    def start(self, settings: Settings, transport: Transport, clock: Clock, timing: ServiceTiming) -> Bus:
        """See AccountJournal.start."""
        bus = Bus(settings, SqliteJournal(str(self._path), clock), transport, clock, timing=timing)
        bus.start()
        return bus

    def kill(self, bus: Bus) -> None:
        """See AccountJournal.kill; the bus ends on files that nobody looks at any more."""
        left = self._path
        self._kills += 1
        for suffix in ("", "-wal"):
            shutil.copy(f"{left}{suffix}", f"{self._path}{suffix}")
        bus.stop()

    def remove(self) -> None:
        """See AccountJournal.remove."""
        shutil.rmtree(self._folder)


class Database:
    """A journal on Redis. Each bus is a user there, so that from one moment on nothing is taken from a killed one."""

    def __init__(self, server: RedisServer) -> None:
        self._server = server
        self._user = ""
        self._kills = 0
        self._dead = ""  # a killed node whose sign is still good

    def start(self, settings: Settings, transport: Transport, clock: Clock, timing: ServiceTiming) -> Bus:
        """See AccountJournal.start; where a killed bus still counts as alive, that ends once the next one has begun."""
        self._user = f"bus-{uuid4().hex}"
        self._tell("ACL SETUSER", self._user, "on nopass ~* +@all")
        journal = RedisJournal(self._server.url.replace("//", f"//{self._user}:any@"), clock, timing=TIMING)
        bus = Bus(settings, journal, transport, clock, Ownership(journal, CLUSTER_TIMING), timing)
        bus.start()
        if self._dead:
            assert not journal.members.owned()
            self._tell("ZADD", keys.NODES, "XX 1", self._dead)
            self._dead = ""
            journal.members.heartbeat()
            eventually(lambda: journal.members.owned() <= bus.dispatcher.lanes.keys(), 10)
        return bus

    def kill(self, bus: Bus) -> None:
        """See AccountJournal.kill; every other one ran on this machine, where the next bus finds that it has ended."""
        assert bus.cluster.nodes is not None
        node = bus.cluster.nodes.id
        self._tell("ACL DELUSER", self._user)
        bus.stop()
        self._kills += 1
        if self._kills % 2:
            boot, space, pid, _ = this_process().split(" ")
            self._tell("HSET", keys.LOCATIONS, node, f'"{boot} {space} {pid} 1"')
        else:
            self._dead = node

    def remove(self) -> None:
        """See AccountJournal.remove."""
        self._tell("FLUSHALL")

    def _tell(self, *command: str) -> None:
        reply = self._server.ask(*command)
        assert reply[:1] in (b"+", b":"), reply


@contextmanager
def in_files(_: Path) -> Iterator[Journals]:
    """Each journal is a folder of its own."""
    yield Files


@contextmanager
def on_redis(folder: Path) -> Iterator[Journals]:
    """One journal after another on a server, whose time is not the test's: no sign of life ends by itself."""
    with RedisServer(folder, durable=False) as server:
        yield lambda: Database(server)


#: A kind of journal: makes empty ones as long as its context lasts, with files in a folder.
KindOfJournal = Callable[[Path], AbstractContextManager[Journals]]
#: Each kind, as parameters of a test or a fixture.
EACH_JOURNAL = [pytest.param(in_files, id="sqlite"), pytest.param(on_redis, id="redis", marks=NEEDS_REDIS)]


def histories(sqlite: int, redis: int) -> Any:
    """Parametrize a test with the journals, and how many random histories run on each."""
    return pytest.mark.parametrize(
        ("journals", "examples"),
        [
            pytest.param(in_files, sqlite, id="sqlite"),
            pytest.param(on_redis, redis, id="redis", marks=NEEDS_REDIS),
            pytest.param(in_files, 400, id="sqlite-long", marks=pytest.mark.soak),
            pytest.param(on_redis, 150, id="redis-long", marks=[pytest.mark.soak, NEEDS_REDIS]),
        ],
    )


def run_histories(machine: Callable[[], RuleBasedStateMachine], examples: int) -> None:
    """Run so many random histories of a bus, in which dead letters are published by a step alone.

    Each part of what is saved is one lane, so that a kill comes between two of them.
    """
    small = patch.multiple(changed_lanes, PART_WEIGHT=1, PART_LANES=1)
    with small, patch.object(DeadEvents, "start"), patch.object(DeadEvents, "stop"):
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=examples,
                stateful_step_count=50,
                suppress_health_check=[HealthCheck.too_slow],
                print_blob=True,
            ),
        )
