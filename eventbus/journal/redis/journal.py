"""The journal on a Redis server: one bus owns it, and any machine's bus may be the next."""

import logging
from collections.abc import Callable, Sequence
from typing import ParamSpec, TypeVar

import redis

from eventbus.clock import Clock
from eventbus.journal.base import KeptDeadLetter, Page, Usage
from eventbus.journal.group_commit import GroupCommit
from eventbus.journal.redis import server
from eventbus.journal.redis.ownership import Ownership
from eventbus.journal.redis.queries import Queries
from eventbus.journal.redis.writer import Writer
from eventbus.model import Deferral, Event, LaneRecord, Recovered

P = ParamSpec("P")
T = TypeVar("T")

log = logging.getLogger(__name__)


class RedisJournal:
    """``eventbus.journal.base.Journal`` on Redis at ``url``; ``lost`` is called when another bus has taken it over."""

    def __init__(self, url: str, clock: Clock | None = None, lost: Callable[[], object] = lambda: None) -> None:
        self._clock = clock or Clock()
        self._client = server.connect(url, "eventbus")
        self._owner = Ownership(url, Clock(), lost)
        self._writer = Writer(self._client)
        self._queries = Queries(self._client)
        self._group = GroupCommit(self._writer.commit, self._clock)
        self.listen = self._group.listen
        self.watch = self._group.watch
        self.append = self._group.append
        self.checkpoint = self._group.checkpoint

    def open(self) -> Recovered:
        """See Journal.open."""
        with server.told("cannot be opened"):
            remarks = server.check(self._client.info(), self._appendfsync())
            self._owner.take()
            self._writer.begin(self._owner.epoch, self._queries.last_commit())
            recovered = self._queries.recovered(remarks)
        self._group.start()
        return recovered

    def _appendfsync(self) -> str | None:
        try:
            return self._client.config_get("appendfsync").get("appendfsync")
        except redis.ResponseError:  # some hosts do not let it be asked
            return None

    def page(self, after: int, upto: int, limit: int, max_bytes: int) -> Page:
        """See Journal.page."""
        return self._read(self._queries.page, after, upto, limit, max_bytes)

    def topics(self, after: int, upto: int, limit: int) -> list[tuple[int, str | None, float]]:
        """See Journal.topics."""
        return self._read(self._queries.topics, after, upto, limit)

    def find(self, seqs: Sequence[int]) -> list[Event]:
        """See Journal.find."""
        return self._read(self._queries.find, seqs)

    def event(self, event_id: str) -> Event | None:
        """See Journal.event."""
        return self._read(self._queries.event, event_id)

    def place_of(self, moment: float) -> int:
        """See Journal.place_of."""
        return self._read(self._queries.place_of, moment)

    def deferred(self, key: str, *, by_seq: bool, limit: int) -> list[Deferral]:
        """See Journal.deferred."""
        return self._read(self._queries.deferred, key, by_seq=by_seq, limit=limit)

    def is_deferred(self, seq: int) -> list[Deferral]:
        """See Journal.is_deferred."""
        return self._read(self._queries.is_deferred, seq)

    def lane(self, key: str) -> LaneRecord | None:
        """See Journal.lane."""
        return self._read(self._queries.lane, key)

    def closed_lanes(self, before: float, limit: int) -> list[LaneRecord]:
        """See Journal.closed_lanes."""
        return self._read(self._queries.closed_lanes, before, limit)

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

    def settled_badly(self, seq: int) -> list[tuple[str, str]]:
        """See Journal.settled_badly."""
        return self._read(self._queries.settled_badly, seq)

    def trim(self, seqs: Sequence[int], forget_before: float) -> int:
        """See Journal.trim."""
        return self._writer.trim(seqs, forget_before, self._clock.wall())

    def usage(self) -> Usage:
        """See Journal.usage."""
        return self._read(self._queries.usage)

    def close(self) -> None:
        """See Journal.close."""
        if self._group.closed:
            return
        self._group.close()
        self._owner.give_up()
        self._client.close()

    def _read(self, query: Callable[P, T], *values: P.args, **named: P.kwargs) -> T:
        with server.told("cannot be read"):
            return query(*values, **named)
