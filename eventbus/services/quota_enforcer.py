"""Keeps one subscription from filling the journal: beyond its quota, its oldest events are given up when it is full.

Pending events become dead letters without bodies; dead letters lose their bodies first. Where there are too many dead
letters, what is given up is discarded instead. All of it stays in the account.
"""

import logging
from collections import Counter
from collections.abc import Mapping, Sequence

import gevent

from eventbus.core.journal_quota import cuts, max_letters
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.over_quota import (
    LetterRoom,
    give_up_buffered,
    give_up_page,
    give_up_retries,
    unread_part,
)
from eventbus.delivery.lane.retry_rows import deliveries_of
from eventbus.journal.base import KeptDeadLetter
from eventbus.services.dead_letters import DeadLetters
from eventbus.services.expired import ExpiredSubscribers
from eventbus.services.node import Node
from eventbus.services.quota_sample import Sampler
from eventbus.services.topic_pages import TopicPages

#: Events, deliveries and dead letters that are read in one step.
PAGE_ROWS = 1_000
#: Lanes that give something up in one commit.
COMMIT_LANES = 200
#: Seconds between two lines of the log.
LOG_INTERVAL_SECONDS = 10.0

log = logging.getLogger(__name__)


class QuotaEnforcer:
    """Gives up the oldest events of the subscriptions that are over their quota."""

    def __init__(self, node: Node, quota: int, limit: int, letters: DeadLetters, expired: ExpiredSubscribers) -> None:
        self.quota = quota  #: bytes that a subscription may hold back
        self.max_letters = max_letters(limit)  #: of all subscriptions: beyond, what is given up is discarded
        self._expired = expired
        self._dispatcher = node.dispatcher
        self._journal = node.journal
        self._clock = node.clock
        self._cluster = node.cluster
        self._letters = letters
        self._sampler = Sampler(node.dispatcher, node.journal)
        self._after: dict[str, int] = {}  # by key: all dead letters up to this one have given up their bodies
        self._given_up: Counter[str] = Counter()  # by key, since that was logged
        self._discarded = 0  # of these
        self._logged_at = -LOG_INTERVAL_SECONDS

    def relieve(self, journal_bytes: int, need: int) -> bool:
        """Give up enough for about so many bytes, or as much as quotas allow; return whether any was.

        Raises JournalError.
        """
        self._dispatcher.checkpointer.save()
        sample = self._sampler.take()
        found = cuts(sample.held, journal_bytes, self.quota, need)
        each = {key: cut for first, cut in found.items() for key in sample.same.get(first, [first])}
        room = LetterRoom(self.max_letters - self._expired.dead_letters - sum(lane.dead for lane in self._lanes()))
        dead = self._give_up_pending({key: cut.pending for key, cut in each.items() if cut.pending}, room)
        for key, cut in each.items():
            if (cut.dead or dead[key]) and self._may_change(key):
                bodies = self._give_up_bodies(key, max(cut.dead, cut.pending), room) - dead[key]
                self._given_up[key] += max(0, bodies)
                self._dispatcher.counters.quota["bodies"] += max(0, bodies)
                self._discard_oldest(key, room)
        self.log_given_up()
        return bool(found)

    def _lanes(self) -> Sequence[Lane]:
        return list(self._dispatcher.lanes.values())

    def _may_change(self, key: str) -> bool:
        """Return whether dead letters of this subscription are this node's to change."""
        if key in self._dispatcher.lanes:
            return True
        return self._cluster.try_acquire_trimmer() and not self._cluster.owned_by_peer(key)

    # Pending deliveries

    def _give_up_pending(self, ends: Mapping[str, int], room: LetterRoom) -> Counter[str]:
        """Give up what is pending up to a number, but for what is in flight; return how many are dead now, by key."""
        lanes = [(lane, ends[key]) for key in ends if (lane := self._dispatcher.lanes.get(key)) is not None]
        pages = TopicPages(self._journal, PAGE_ROWS, max(ends.values(), default=0))
        dead: Counter[str] = Counter()
        for start in range(0, len(lanes), COMMIT_LANES):
            some = lanes[start : start + COMMIT_LANES]
            while some:
                some = self._give_up_parts(some, pages, room, dead)
                gevent.sleep(0)
        return dead

    def _give_up_parts(
        self, lanes: Sequence[tuple[Lane, int]], pages: TopicPages, room: LetterRoom, dead: Counter[str]
    ) -> list[tuple[Lane, int]]:
        """Give up a part of each lane, in one commit; return those that may have more. Raises JournalError."""
        reader, load, quota = self._dispatcher.reader, self._dispatcher.load, self._dispatcher.counters.quota
        more = []
        with self._dispatcher.checkpointer.transaction():
            for lane, end in sorted(lanes, key=lambda each: each[0].live.cursor):
                if not lane.renewable or reader.is_reading(lane):
                    continue
                before = lane.dead, lane.discarded
                with reader.reading(lane):
                    self._give_up_part(lane, end, pages, room)
                made, discarded = lane.dead - before[0], lane.discarded - before[1]
                quota["pending"] += made
                quota["discarded"] += discarded
                self._discarded += discarded
                dead[lane.subscriber.key] += made
                if made + discarded:
                    self._given_up[lane.subscriber.key] += made + discarded
                    more.append((lane, end))
                    self._dispatcher.schedule(lane)
                load.give_way_urgently()
            self._dispatcher.checkpointer.save_lanes([lane for lane, _ in lanes])
        return more

    def _give_up_part(self, lane: Lane, end: int, pages: TopicPages, room: LetterRoom) -> None:
        lane.retries.unload(lane.in_flight)
        give_up_buffered(lane, end, room, self._clock.wall())
        if lane.retries.count:
            self._give_up_retries(lane, end, room)
        while (part := unread_part(lane, end)) is not None:
            began = part.cursor
            seqs, cursor = pages.next_of(lane, part, end if part.end is None else min(end, part.end))
            if part.cursor != began or lane.closed:
                return
            give_up_page(lane, part, seqs, cursor, room, self._clock.wall())
            if seqs:
                return

    def _give_up_retries(self, lane: Lane, end: int, room: LetterRoom) -> None:
        now, wall = self._clock.monotonic(), self._clock.wall()
        if lane.retries.spilled:
            self._dispatcher.checkpointer.save_lanes([lane])  # so that all that wait for a retry have rows
            lane.retries.begin_load()
            try:
                rows = self._journal.retries(lane.subscriber.key, by_seq=True, limit=PAGE_ROWS)
            except BaseException:
                lane.retries.expect_rows()
                raise
            old = deliveries_of([row for row in rows if row.seq <= end], now, wall)
        else:
            lane.retries.begin_load()
            old = [delivery for delivery in lane.retries.in_memory() if delivery.seq <= end]
        give_up_retries(lane, lane.retries.take_rows(old, lane.in_flight), room, now, wall)

    # Dead letters

    def _give_up_bodies(self, key: str, end: int, room: LetterRoom) -> int:
        """Remove the bodies of dead letters up to an event's number; return how many there were.

        The letters are discarded where there are too many.
        """
        after, count, passed = self._after.get(key, 0), 0, False
        while letters := self._journal.dead_letters(key, after, PAGE_ROWS):
            old = [one for one in letters if one.letter.seq <= end and one.event_id and not one.letter.event_id]
            if old:
                count += len(old)
                over = min(len(old), room.lacking)
                self._drop(old[:over], room)
                self._journal.give_up_bodies(old[over:])
            after = letters[-1].id
            passed = passed or any(one.letter.seq > end for one in letters)
            if not passed:
                self._after[key] = after
            if len(letters) < PAGE_ROWS:
                break
            gevent.sleep(0)
        if len(self._after) > PAGE_ROWS:
            self._after.clear()
        return count

    def _discard_oldest(self, key: str, room: LetterRoom) -> None:
        """Discard the oldest of the dead letters without bodies where a subscription has too many."""
        lane = self._dispatcher.lanes.get(key)
        record = self._journal.lane(key) if lane is None else None
        dead = lane.dead if lane is not None else record.account.dead if record is not None else 0
        over = dead - max_letters(self.quota)
        while over > 0:
            page = self._journal.dead_letters(key, 0, min(over, PAGE_ROWS))
            gone = [letter for letter in page if letter.letter.event_id]
            if not gone or not (discarded := self._drop(gone, room)):
                return
            over -= discarded

    def _drop(self, letters: Sequence[KeptDeadLetter], room: LetterRoom) -> int:
        """Discard dead letters; return how many."""
        discarded = self._letters.drop(letters) if letters else 0
        room.left += discarded
        self._dispatcher.counters.quota["discarded"] += discarded
        return discarded

    def log_given_up(self) -> None:
        """Log, every few seconds at most, how much was given up, and by whom most."""
        now = self._clock.monotonic()
        if not self._given_up.total() or now < self._logged_at + LOG_INTERVAL_SECONDS:
            return
        key, count = self._given_up.most_common(1)[0]
        log.warning(
            "the journal is full: %d deliveries were given up over the journal quota, %d of them for %s;"
            " %d were discarded, the others are dead letters without bodies",
            self._given_up.total(), count, key, self._discarded, extra={"address": key},
        )  # fmt: skip
        self._given_up.clear()
        self._discarded = 0
        self._logged_at = now
