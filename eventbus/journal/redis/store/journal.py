"""The journal on a Redis server, which any number of buses on any number of machines share."""

import logging
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import ParamSpec, TypeVar

import redis

from eventbus.core.clock import Clock
from eventbus.core.errors import JournalError, JournalTimeout, JournalUnavailable
from eventbus.core.journal_quota import SampledEvent
from eventbus.core.model import Checkpoint, Event, LaneRecord, Recovered, Retry
from eventbus.journal.base import CommitListener, KeptDeadLetter, Page, Redelivery, Usage
from eventbus.journal.group_commit import GroupCommit, Publish, PublishResult
from eventbus.journal.redis.cluster.membership import SIGN_SECONDS, Membership
from eventbus.journal.redis.cluster.nodes import RedisNodes
from eventbus.journal.redis.store import keys, server
from eventbus.journal.redis.store.queries import Queries
from eventbus.journal.redis.store.replication import ReplicationPolicy
from eventbus.journal.redis.store.tail import Tail
from eventbus.journal.redis.store.writer import Writer

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


#: Seconds that a publish waits, once it is safe, until this node has heard of it too.
HEARD_SECONDS = 1.0


class RedisJournal:
    """``eventbus.journal.base.Journal`` on Redis at ``url``, shared by all nodes that name it."""

    def __init__(self, url: str, clock: Clock | None = None, wanted: ReplicationPolicy | None = None) -> None:
        self._url = url
        self._wanted = wanted or ReplicationPolicy()
        self._clock = clock or Clock()
        self.members = Membership(server.connect(url, "eventbus-node", SIGN_SECONDS), Clock())
        self._client = server.connect(url, "eventbus", history=self._history)
        self._writer = Writer(self._client, self.members, self._wanted)
        self.nodes = RedisNodes(url, self.members)
        self._queries = Queries(self._client)
        self._tail = Tail(server.connect(url, "eventbus-tail", history=self._history))
        self._group = GroupCommit(self._commit, self._clock)
        self.watch = self._group.watch
        self.append = self._group.append
        self.checkpoint = self._group.checkpoint

    def _history(self) -> str:
        """The history of the journal that this node goes by."""
        return self.members.history

    def open(self) -> Recovered:
        """See Journal.open."""
        with server.translate_errors("cannot be opened"):
            info, remarks = server.examine(self._client, self._url)
            remarks = (*remarks, *self._wanted.check(info))
            try:
                self.members.join()
            except JournalError:  # an unfinished copy
                self._client.close()
                self.members.disconnect()
                raise
            recovered = self._queries.recovered(remarks)
        self._tail.start(recovered.last_seq)
        self._group.start()
        return recovered

    def wait_durable(self) -> None:
        """See Journal.confirm: an append of nothing waits for all that was written before it."""
        if self._wanted.anything:
            self._group.append(())

    def probe(self) -> None:
        """See Journal.probe. Memory is asked about: what is written here needs none that a full server refuses."""
        self.checkpoint(Checkpoint(self._clock.wall(), 0))
        self.wait_durable()
        if self.usage().memory > 1:
            raise server.is_out_of_memory("could not keep an event just now")

    def on_taken(self, listener: Callable[[Sequence[str]], object]) -> None:
        """Tell the listener of lanes that others have taken."""
        self._writer.lost = listener

    def listen(self, listener: CommitListener) -> None:
        """See Journal.listen: other nodes' events are told too."""
        self._tail.listen(listener)

    def _commit(
        self, publishes: Sequence[Publish], checkpoints: Sequence[Checkpoint]
    ) -> tuple[list[Event], Sequence[PublishResult]]:
        try:
            events, answers = self._writer.commit(publishes, checkpoints)
        except JournalTimeout:  # who waits for the next commit has waited as long, and would wait that long again
            self._group.give_up("The journal is in trouble; nothing of this was kept.")
            raise
        if events:
            self._tail.wait_for(events[-1].seq, HEARD_SECONDS)
        return events, answers

    def read_again(self) -> int:
        """Go on from the journal's end as it is now, which is answered. Raises JournalError.

        What waits to be written is refused: it is of lanes that this node had under its former name.
        """
        self._group.give_up("This bus was not heard for too long, and begins anew; nothing of this was kept.")
        newest = self._read(self._queries.newest)
        self._tail.move(newest)
        return newest

    def wait_for(self, seq: int) -> None:
        """Return when this node has heard of an event. Raises JournalUnavailable where it does not soon."""
        if not self._tail.wait_for(seq, HEARD_SECONDS):
            raise JournalUnavailable(f"This bus has not heard of event {seq} yet, which others have delivered.")

    def kept(self, lanes: Sequence[str]) -> list[tuple[LaneRecord, int]]:
        """The records of these lanes, and how many deliveries are deferred in each."""
        return self._read(self._queries.kept, lanes)

    def wanted(self) -> dict[str, tuple[str, ...]]:
        """The topics that each subscriber gets, whichever node has it."""
        return self._read(self._queries.wanted)

    def open_lanes(self) -> list[str]:
        """The lanes that some node has to carry on with."""
        return self._read(self._queries.open_lanes)

    def page(self, after: int, end: int, limit: int, max_bytes: int) -> Page:
        """See Journal.page."""
        return self._read(self._queries.page, after, end, limit, max_bytes)

    def topics(self, after: int, end: int, limit: int) -> list[tuple[int, str | None, float]]:
        """See Journal.topics."""
        return self._read(self._queries.topics, after, end, limit)

    def find(self, seqs: Sequence[int]) -> list[Event]:
        """See Journal.find."""
        return self._read(self._queries.find, seqs)

    def event(self, event_id: str) -> Event | None:
        """See Journal.event."""
        return self._read(self._queries.event, event_id)

    def position_at(self, moment: float) -> int:
        """See Journal.position_at."""
        return self._read(self._queries.position_at, moment)

    def retries(self, key: str, *, by_seq: bool, limit: int) -> list[Retry]:
        """See Journal.deferred."""
        return self._read(self._queries.retries, key, by_seq=by_seq, limit=limit)

    def sample(self, seqs: Sequence[int]) -> list[SampledEvent]:
        """See Journal.sample."""
        return self._read(self._queries.sample, seqs)

    def give_up_bodies(self, letters: Sequence[KeptDeadLetter]) -> None:
        """See Journal.give_up_bodies."""
        self._writer.give_up_bodies(letters)

    def retries_of_event(self, seq: int) -> list[Retry]:
        """See Journal.retries_of_event."""
        return self._read(self._queries.retries_of_event, seq)

    def lane(self, key: str) -> LaneRecord | None:
        """See Journal.lane."""
        return self._read(self._queries.lane, key)

    def closed_lanes(self, before: float, limit: int) -> list[LaneRecord]:
        """See Journal.closed_lanes."""
        return self._read(self._queries.closed_lanes, before, limit)

    def closed_size(self) -> tuple[int, int]:
        """See Journal.closed_size."""
        return self._read(self._queries.closed_size)

    def newest_closed(self, skip: int, limit: int) -> list[LaneRecord]:
        """See Journal.newest_closed."""
        return self._read(self._queries.newest_closed, skip, limit)

    def dead_letters(self, key: str | None, after: int, limit: int) -> list[KeptDeadLetter]:
        """See Journal.dead_letters."""
        return self._read(self._queries.dead_letters, key, after, limit)

    def dead_letter(self, letter_id: int) -> KeptDeadLetter | None:
        """See Journal.dead_letter."""
        return self._read(self._queries.dead_letter, letter_id)

    def last_dead_letter(self) -> int:
        """See Journal.last_dead_letter."""
        return self._read(self._queries.last_dead_letter)

    def dead_before(self, moment: float, limit: int) -> list[KeptDeadLetter]:
        """See Journal.dead_before."""
        return self._read(self._queries.dead_before, moment, limit)

    def replay(self, replay_id: str) -> Redelivery | None:
        """See Journal.replay."""
        return self._read(self._queries.replay, replay_id)

    def failed_deliveries(self, seq: int) -> list[tuple[str, str]]:
        """See Journal.failed_deliveries."""
        return self._read(self._queries.failed_deliveries, seq)

    def try_acquire_trimmer(self) -> bool:
        """Whether it is this node that removes settled events for all. Raises JournalUnavailable."""
        return self.members.claim(keys.RETENTION) is None

    def trim(self, seqs: Sequence[int], forget_before: float, max_key_bytes: int | None = None) -> int:
        """See Journal.trim; nothing goes where another node does so for all."""
        history = self.members.history  # in which these are settled; asking may take longer than it lasts
        if not self.try_acquire_trimmer():
            return 0
        return self._writer.trim(history, seqs, forget_before, max_key_bytes, self._clock.wall())

    def usage(self) -> Usage:
        """See Journal.usage."""
        return self._read(self._queries.usage)

    def close(self) -> None:
        """See Journal.close."""
        if self._group.closed:
            return
        self._group.close()
        self._tail.stop()
        with suppress(redis.RedisError, OSError):  # then it counts as gone by itself
            self.members.leave()
        self.nodes.stop()
        self._client.close()

    def _read(self, query: Callable[P, T], *values: P.args, **named: P.kwargs) -> T:
        with server.translate_errors("cannot be read"):
            return query(*values, **named)
