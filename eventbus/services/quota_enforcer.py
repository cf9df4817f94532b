"""Keeps one subscription from filling the journal: beyond its quota, its oldest events are given up when it is full.

Pending events become dead letters without bodies; dead letters lose their bodies first. All stay in the account.
"""

import logging
import random
from collections import Counter
from collections.abc import Sequence

import gevent

from eventbus.core.journal_quota import Held, SampledEvent, cuts
from eventbus.delivery.lane.closing import JOURNAL_QUOTA, dead_letter_buffered, dead_letter_page, unread_part
from eventbus.delivery.lane.lane import Lane
from eventbus.delivery.lane.lane_record import deliveries_of
from eventbus.services.dead_letters import DeadLetters
from eventbus.services.node import Node

#: Events in the sample at most, and the sequence numbers that are tried for that.
MAX_SAMPLE, MAX_TRIES = 2_000, 20_000
#: How often, in all, a lane is asked whether it holds an event of the sample.
MAX_LOOKUPS = 200_000
#: Events, deliveries and dead letters that are read in one step.
PAGE_ROWS = 1_000
#: Lanes that are asked without letting other greenlets run.
YIELD_EVERY_LANES = 100
#: Bytes of its quota for each dead letter that a subscription may keep without its body: beyond, the oldest go.
QUOTA_BYTES_PER_LETTER = 4_096
#: Seconds between two lines of the log.
LOG_INTERVAL_SECONDS = 10.0

log = logging.getLogger(__name__)


class QuotaEnforcer:
    """Gives up the oldest events of the subscriptions that are over their quota."""

    def __init__(self, node: Node, quota: int, letters: DeadLetters) -> None:
        self.quota = quota  #: bytes that a subscription may hold back
        self._dispatcher = node.dispatcher
        self._journal = node.journal
        self._clock = node.clock
        self._cluster = node.cluster
        self._letters = letters
        self._rng = random.Random()  # noqa: S311 - which events are looked at is no secret
        self._after: dict[str, int] = {}  # by key: all dead letters up to this one have given up their bodies
        self._given_up: Counter[str] = Counter()  # by key, since that was logged
        self._logged_at = -LOG_INTERVAL_SECONDS

    def relieve(self, journal_bytes: int, need: int) -> bool:
        """Give up enough for about so many bytes, or as much as quotas allow; return whether any was.

        Raises JournalError.
        """
        self._dispatcher.checkpointer.save()
        found = cuts(self._sample(), journal_bytes, self.quota, need)
        for key, cut in found.items():
            lane = self._dispatcher.lanes.get(key)
            if lane is None and (not self._cluster.try_acquire_trimmer() or self._cluster.owned_by_peer(key)):
                continue
            pending = self._give_up_pending(lane, cut.pending) if lane is not None and cut.pending else 0
            bodies = self._give_up_bodies(key, max(cut.dead, cut.pending))
            self._given_up[key] += max(pending, bodies)
            self._dispatcher.counters.quota["pending"] += pending
            self._dispatcher.counters.quota["bodies"] += max(0, bodies - pending)
            self._discard_oldest(key)
        self.log_given_up()
        return bool(found)

    # Who holds which events

    def _sample(self) -> list[Held]:
        """Return a random sample of the events, and who holds each; all of them where they are few."""
        first = self._journal.topics(0, self._dispatcher.recent.newest, 1)
        numbers = range(first[0][0] if first else 1, self._dispatcher.recent.newest + 1)
        tries = self._rng.sample(numbers, min(MAX_TRIES, len(numbers)))
        lanes = [lane for lane in self._dispatcher.lanes.values() if lane.backlog and lane.renewable]
        most = max(64, min(MAX_SAMPLE, MAX_LOOKUPS // max(1, len(lanes))))
        sampled: list[SampledEvent] = []
        for start in range(0, len(tries), PAGE_ROWS):
            sampled += self._journal.sample(sorted(tries[start : start + PAGE_ROWS]))
            if len(sampled) >= most:
                break
        chosen = sampled if len(sampled) <= most else self._rng.sample(sampled, most)
        return [Held(event, self._pending(event, lanes)) for event in chosen]

    def _pending(self, event: SampledEvent, lanes: Sequence[Lane]) -> frozenset[str]:
        holders = {key for key in event.waiting if key in self._dispatcher.lanes}
        for number, lane in enumerate(lanes):
            if number % YIELD_EVERY_LANES == 0:
                gevent.sleep(0)
            if lane.holds(event.seq, event.topic):
                holders.add(lane.subscriber.key)
        return frozenset(holders)

    # What is given up

    def _give_up_pending(self, lane: Lane, end: int) -> int:
        """Dead-letter what is pending up to a number, but for what is in flight; return how many deliveries."""
        began = lane.dead
        reader = self._dispatcher.reader
        while lane.renewable and not reader.is_reading(lane):
            before = lane.dead
            with self._dispatcher.checkpointer.transaction():
                with reader.reading(lane):
                    self._give_up_part(lane, end)
                self._dispatcher.checkpointer.save()
            if lane.dead == before:
                break
            gevent.sleep(0)
        self._dispatcher.schedule(lane)
        return lane.dead - began

    def _give_up_part(self, lane: Lane, end: int) -> None:
        now, wall = self._clock.monotonic(), self._clock.wall()
        dead_letter_buffered(lane, end, now, wall)
        if lane.retries.count:
            self._dispatcher.checkpointer.save()  # so that all that are deferred have rows
            lane.retries.begin_load()
            try:
                rows = self._journal.retries(lane.subscriber.key, by_seq=True, limit=PAGE_ROWS)
            except BaseException:
                lane.retries.expect_rows()
                raise
            old = deliveries_of([row for row in rows if row.seq <= end], now, wall)
            for delivery in lane.retries.take_rows(old, lane.in_flight):
                lane.dead_letter(delivery, JOURNAL_QUOTA, b"", now, wall)
        self._give_up_page(lane, end)

    def _give_up_page(self, lane: Lane, end: int) -> None:
        """Dead-letter the next page of what is only in the journal."""
        while (part := unread_part(lane, end)) is not None:
            began, last = part.cursor, end if part.end is None else min(end, part.end)
            page = self._journal.topics(began, last, PAGE_ROWS)
            if part.cursor != began or lane.closed:
                return
            dead = lane.dead
            rows, cursor = [row[:2] for row in page], page[-1][0] if page else end
            dead_letter_page(lane, part, rows, cursor, self._clock.wall(), JOURNAL_QUOTA)
            if lane.dead > dead:
                return

    def _give_up_bodies(self, key: str, end: int) -> int:
        """Remove the bodies of dead letters up to an event's number; return how many there were."""
        after, count, passed = self._after.get(key, 0), 0, False
        while letters := self._journal.dead_letters(key, after, PAGE_ROWS):
            old = [one for one in letters if one.letter.seq <= end and one.event_id and not one.letter.event_id]
            if old:
                self._journal.give_up_bodies(old)
                count += len(old)
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

    def _discard_oldest(self, key: str) -> None:
        """Discard the oldest of the dead letters without bodies where they are too many."""
        lane = self._dispatcher.lanes.get(key)
        record = self._journal.lane(key) if lane is None else None
        dead = lane.dead if lane is not None else record.account.dead if record is not None else 0
        over = dead - max(100, self.quota // QUOTA_BYTES_PER_LETTER)
        while over > 0:
            page = self._journal.dead_letters(key, 0, min(over, PAGE_ROWS))
            gone = [letter for letter in page if letter.letter.event_id]
            if not gone or not (discarded := self._letters.drop(gone)):
                return
            self._dispatcher.counters.quota["discarded"] += discarded
            over -= discarded

    def log_given_up(self) -> None:
        """Log, every few seconds at most, how much was given up, and by whom most."""
        now = self._clock.monotonic()
        if not self._given_up.total() or now < self._logged_at + LOG_INTERVAL_SECONDS:
            return
        key, count = self._given_up.most_common(1)[0]
        log.warning(
            "the journal is full: %d deliveries were given up over the journal quota, %d of them for %s;"
            " they are dead letters without bodies",
            self._given_up.total(), count, key, extra={"address": key},
        )  # fmt: skip
        self._given_up.clear()
        self._logged_at = now
