"""The journal on a Redis server, which any number of nodes on any number of machines share."""

import logging
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import ParamSpec, TypeVar

import redis

from eventbus.core.clock import Clock
from eventbus.core.errors import Conflict, JournalError, JournalTimeout, JournalUnavailable
from eventbus.core.override import override
from eventbus.core.records import Checkpoint, LaneRecord, Recovered
from eventbus.core.schedule import ScheduleState
from eventbus.journal.backup import JournalBackup
from eventbus.journal.base import (
    CommitListener,
    KeptDeadLetter,
    Usage,
)
from eventbus.journal.cluster_journal import ClusterJournal
from eventbus.journal.group_commit import CommitResult, GroupCommit, Publish
from eventbus.journal.queried import QueriedJournal
from eventbus.journal.redis.cluster.declared import DeclaredOfNodes
from eventbus.journal.redis.cluster.membership import Membership
from eventbus.journal.redis.cluster.nodes import RedisNodes
from eventbus.journal.redis.store import keys, server
from eventbus.journal.redis.store.queries import RedisQueries
from eventbus.journal.redis.store.replication import ReplicationPolicy
from eventbus.journal.redis.store.tail import Tail
from eventbus.journal.redis.store.writer import Writer
from eventbus.journal.redis.timing import DEFAULT_TIMING, RedisTiming
from eventbus.journal.schedule import ScheduleChange

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


class RedisJournal(QueriedJournal, ClusterJournal):
    """The journal on Redis at ``url``, shared by all nodes that name it."""

    def __init__(
        self,
        url: str,
        clock: Clock | None = None,
        replication: ReplicationPolicy | None = None,
        timing: RedisTiming = DEFAULT_TIMING,
    ) -> None:
        self._url = url
        self._replication = replication or ReplicationPolicy()
        self._timing = timing
        self._clock = clock or Clock()
        heartbeats = replace(timing, answer_seconds=timing.heartbeat_answer_seconds)
        self._members = Membership(server.connect(url, "eventbus-node", heartbeats), Clock(), timing)
        self._client = server.connect(url, "eventbus", timing, self._replication_id)
        self._writer = Writer(self._client, self._members, self._replication, timing)
        self._reader = RedisQueries(self._client)
        self._declared = DeclaredOfNodes(self._client)
        self._nodes = RedisNodes(url, self._members, self._reader, timing)
        self._tail = Tail(server.connect(url, "eventbus-tail", timing, self._replication_id), timing)
        self._group = GroupCommit(self._commit, self._clock)

    @property
    @override
    def members(self) -> Membership:
        return self._members

    @property
    @override
    def nodes(self) -> RedisNodes:
        return self._nodes

    def _replication_id(self) -> str:
        """Return the replication id that this node has read the journal under."""
        return self._members.replication_id

    @override
    def open(self) -> Recovered:
        with server.translate_errors("cannot be opened"):
            info, remarks = server.examine(self._client, self._url)
            remarks = (*remarks, *self._replication.check(info))
            try:
                self._members.join()
            except JournalError:  # an unfinished copy
                self._client.close()
                self._members.disconnect()
                raise
            recovered = self._reader.recovered(remarks)
        self._tail.start(recovered.last_seq)
        self._group.start()
        return recovered

    @override
    def wait_durable(self) -> None:
        # An append of nothing waits for all that was written before it.
        if self._replication.waits:
            self._group.append(())

    @override
    def probe(self) -> None:
        # The checkpoint needs no memory that a full server refuses, so memory is asked about, too.
        self.checkpoint(Checkpoint(self._clock.wall(), 0))
        self.wait_durable()
        if self.usage().memory > 1:
            raise server.out_of_memory_error("could not keep an event just now")

    @override
    def listen(self, listener: CommitListener) -> None:
        # The tail hears of the peers' events, too.
        self._tail.listen(listener)

    @override
    def schedule_state(self) -> ScheduleState:
        return self._read(self._reader.schedule_state)

    def _commit(
        self, publishes: Sequence[Publish], checkpoints: Sequence[Checkpoint], changes: Sequence[ScheduleChange]
    ) -> CommitResult:
        try:
            kept = self._writer.commit(publishes, checkpoints)
        except JournalTimeout:  # whoever waits for the next commit would wait as long again
            self._group.refuse_waiting("The journal does not answer; nothing of this was kept.")
            raise
        if kept.events:
            self._tail.wait_for(kept.events[-1].seq, self._timing.read_back_seconds)
        return kept._replace(changed=[self._reader.change(change) for change in changes]) if changes else kept

    @override
    def skip_to_end(self) -> int:
        # What waits to be written is of lanes that this node owned under its former name.
        self._group.refuse_waiting("This node lost its subscriptions and starts again; nothing of this was kept.")
        newest = self._read(self._reader.newest)
        self._tail.move(newest)
        return newest

    @override
    def wait_until_read(self, seq: int) -> None:
        if not self._tail.wait_for(seq, self._timing.read_back_seconds):
            raise JournalUnavailable(f"This node has not read event {seq} yet, which a peer has delivered.")

    @override
    def lane_records(self, lanes: Sequence[str]) -> list[tuple[LaneRecord, int]]:
        return self._read(self._reader.lane_records, lanes)

    @override
    def topics_by_lane(self) -> dict[str, tuple[str, ...]]:
        return self._read(self._reader.topics_by_lane)

    @override
    def subscription_of(self, address: str) -> str | None:
        return self._read(self._reader.subscription_of, address)

    @override
    def declare(self, names: Collection[str], seconds: float) -> frozenset[str]:
        return self._declared.share(names, seconds)

    @override
    def open_lanes(self) -> list[str]:
        return self._read(self._reader.open_lanes)

    @override
    def give_up_bodies(self, letters: Sequence[KeptDeadLetter]) -> None:
        self._writer.give_up_bodies(letters)

    @override
    def try_acquire_trimmer(self) -> bool:
        return self._members.claim(keys.RETENTION) is None

    @override
    def trim(self, seqs: Sequence[int], forget_before: float, max_key_bytes: int | None = None) -> int:
        # These are settled by the server with this id, which may have another one before the trimmer is asked for.
        replication_id = self._members.replication_id
        if not self.try_acquire_trimmer():
            return 0
        return self._writer.trim(replication_id, seqs, forget_before, max_key_bytes, self._clock.wall())

    @override
    def usage(self) -> Usage:
        return self._read(self._reader.usage)

    @override
    def backup(self, wanted: Callable[[], bool]) -> JournalBackup:
        raise Conflict(
            "This journal is on Redis: stop the nodes and run 'eventbus journal copy', or let Redis save its own file."
        )

    @override
    def close(self) -> None:
        if self._group.closed:
            return
        self._group.close()
        self._tail.stop()
        with suppress(redis.RedisError, OSError):  # then it counts as dead after a while
            self._members.leave()
        self._nodes.stop()
        self._client.close()

    @property
    @override
    def _queries(self) -> RedisQueries:
        return self._reader

    @override
    def _read(self, query: Callable[P, T], *values: P.args, **options: P.kwargs) -> T:
        with server.translate_errors("cannot be read"):
            return query(*values, **options)
