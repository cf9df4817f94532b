"""The journal on a Redis server, which any number of buses on any number of machines share."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import replace
from typing import ParamSpec, TypeVar

import redis

from eventbus.core.clock import Clock
from eventbus.core.errors import JournalError, JournalTimeout, JournalUnavailable
from eventbus.core.journal_quota import SampledEvent
from eventbus.core.model import Checkpoint, Event, LaneRecord, Message, Recovered, Retry
from eventbus.core.override import override
from eventbus.journal.base import (
    Appended,
    CommitListener,
    CommitWatcher,
    Journal,
    KeptDeadLetter,
    Page,
    Redelivery,
    Usage,
)
from eventbus.journal.cluster_journal import ClusterJournal
from eventbus.journal.group_commit import CommitResult, GroupCommit, Publish
from eventbus.journal.redis.cluster.membership import Membership
from eventbus.journal.redis.cluster.nodes import RedisNodes
from eventbus.journal.redis.store import keys, server
from eventbus.journal.redis.store.queries import Queries
from eventbus.journal.redis.store.replication import ReplicationPolicy
from eventbus.journal.redis.store.tail import Tail
from eventbus.journal.redis.store.writer import Writer
from eventbus.journal.redis.timing import DEFAULT_TIMING, RedisTiming

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


class RedisJournal(Journal, ClusterJournal):
    """``eventbus.journal.base.Journal`` on Redis at ``url``, shared by all nodes that name it."""

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
        self._nodes = RedisNodes(url, self._members, timing)
        self._queries = Queries(self._client)
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
            recovered = self._queries.recovered(remarks)
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
            raise server.is_out_of_memory("could not keep an event just now")

    @override
    def listen(self, listener: CommitListener) -> None:
        # The tail hears of the peers' events, too.
        self._tail.listen(listener)

    @override
    def watch(self, watcher: CommitWatcher) -> None:
        self._group.watch(watcher)

    @override
    def append(self, messages: Sequence[Message], idempotency_key: str | None = None) -> Appended:
        return self._group.append(messages, idempotency_key)

    @override
    def checkpoint(self, checkpoint: Checkpoint) -> None:
        self._group.checkpoint(checkpoint)

    def _commit(self, publishes: Sequence[Publish], checkpoints: Sequence[Checkpoint]) -> CommitResult:
        try:
            events, answers = self._writer.commit(publishes, checkpoints)
        except JournalTimeout:  # who waits for the next commit has waited as long, and would wait that long again
            self._group.give_up("The journal is in trouble; nothing of this was kept.")
            raise
        if events:
            self._tail.wait_for(events[-1].seq, self._timing.read_back_seconds)
        return events, answers

    @override
    def skip_to_end(self) -> int:
        # What waits to be written is of lanes that this node owned under its former name.
        self._group.give_up("This node lost its subscriptions and starts again; nothing of this was kept.")
        newest = self._read(self._queries.newest)
        self._tail.move(newest)
        return newest

    @override
    def wait_until_read(self, seq: int) -> None:
        if not self._tail.wait_for(seq, self._timing.read_back_seconds):
            raise JournalUnavailable(f"This node has not read event {seq} yet, which a peer has delivered.")

    @override
    def lane_records(self, lanes: Sequence[str]) -> list[tuple[LaneRecord, int]]:
        return self._read(self._queries.lane_records, lanes)

    @override
    def topics_by_lane(self) -> dict[str, tuple[str, ...]]:
        return self._read(self._queries.topics_by_lane)

    @override
    def open_lanes(self) -> list[str]:
        return self._read(self._queries.open_lanes)

    @override
    def page(self, after: int, end: int, limit: int, max_bytes: int) -> Page:
        return self._read(self._queries.page, after, end, limit, max_bytes)

    @override
    def topics(self, after: int, end: int, limit: int) -> list[tuple[int, str | None, float]]:
        return self._read(self._queries.topics, after, end, limit)

    @override
    def find(self, seqs: Sequence[int]) -> list[Event]:
        return self._read(self._queries.find, seqs)

    @override
    def event(self, event_id: str) -> Event | None:
        return self._read(self._queries.event, event_id)

    @override
    def position_at(self, moment: float) -> int:
        return self._read(self._queries.position_at, moment)

    @override
    def retries(self, key: str, *, by_seq: bool, limit: int) -> list[Retry]:
        return self._read(self._queries.retries, key, by_seq=by_seq, limit=limit)

    @override
    def sample(self, seqs: Sequence[int]) -> list[SampledEvent]:
        return self._read(self._queries.sample, seqs)

    @override
    def give_up_bodies(self, letters: Sequence[KeptDeadLetter]) -> None:
        self._writer.give_up_bodies(letters)

    @override
    def retries_of_event(self, seq: int) -> list[Retry]:
        return self._read(self._queries.retries_of_event, seq)

    @override
    def lane(self, key: str) -> LaneRecord | None:
        return self._read(self._queries.lane, key)

    @override
    def closed_lanes(self, before: float, limit: int) -> list[LaneRecord]:
        return self._read(self._queries.closed_lanes, before, limit)

    @override
    def closed_size(self) -> tuple[int, int]:
        return self._read(self._queries.closed_size)

    @override
    def newest_closed(self, skip: int, limit: int) -> list[LaneRecord]:
        return self._read(self._queries.newest_closed, skip, limit)

    @override
    def dead_letters(self, key: str | None, after: int, limit: int) -> list[KeptDeadLetter]:
        return self._read(self._queries.dead_letters, key, after, limit)

    @override
    def dead_letter(self, letter_id: int) -> KeptDeadLetter | None:
        return self._read(self._queries.dead_letter, letter_id)

    @override
    def last_dead_letter(self) -> int:
        return self._read(self._queries.last_dead_letter)

    @override
    def dead_before(self, moment: float, limit: int) -> list[KeptDeadLetter]:
        return self._read(self._queries.dead_before, moment, limit)

    @override
    def replay(self, replay_id: str) -> Redelivery | None:
        return self._read(self._queries.replay, replay_id)

    @override
    def failed_deliveries(self, seq: int) -> list[tuple[str, str]]:
        return self._read(self._queries.failed_deliveries, seq)

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
        return self._read(self._queries.usage)

    @override
    def close(self) -> None:
        if self._group.closed:
            return
        self._group.close()
        self._tail.stop()
        with suppress(redis.RedisError, OSError):  # then it counts as gone by itself
            self._members.leave()
        self._nodes.stop()
        self._client.close()

    def _read(self, query: Callable[P, T], *values: P.args, **named: P.kwargs) -> T:
        with server.translate_errors("cannot be read"):
            return query(*values, **named)
