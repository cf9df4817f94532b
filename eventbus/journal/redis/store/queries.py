"""The queries of a journal on Redis. Each is bounded: Redis does one thing at a time."""

from collections.abc import Sequence
from typing import Any

import redis

from eventbus.core.journal_quota import SampledEvent
from eventbus.core.model import Event
from eventbus.core.override import override
from eventbus.core.records import FailedDelivery, LaneRecord, Recovered, Retry
from eventbus.journal import lane_json
from eventbus.journal.base import FIRST_ROW, EventName, JournalQueries, KeptDeadLetter, Page, Redelivery, Row, Usage
from eventbus.journal.redis.lua import script
from eventbus.journal.redis.store import keys
from eventbus.journal.redis.store.commit_plan import EVENT_OVERHEAD
from eventbus.journal.redis.store.rows import (
    delivery_name,
    events_of,
    letter_of,
    member_delivery,
    number_of,
    patterns_of,
    retry_of,
    topic_of,
)
from eventbus.journal.redis.store.schedule import RedisSchedule
from eventbus.journal.redis.store.server import memory_in_use

_SCRIPTS = ("page", "topics", "sizes", "event_names", "sample", "subscription_of", "position_at")
#: Deliveries of one event that are returned at most.
MAX_DELIVERIES = 20_000


class RedisQueries(RedisSchedule, JournalQueries):
    """Reads through a client. Raises RedisError."""

    def __init__(self, client: redis.Redis) -> None:
        super().__init__(client)
        self._scripts = {name: client.register_script(script(name)) for name in _SCRIPTS}

    def recovered(self, remarks: tuple[str, ...]) -> Recovered:
        """Return what a bus starts from: the journal's end. Its lanes come later, as this node acquires them."""
        newest = self.newest()
        return Recovered(newest, newest, (), {}, remarks)

    def topics_by_lane(self) -> dict[str, tuple[str, ...]]:
        """Return the topics of each subscription that gets new events."""
        answer: dict[bytes, bytes] = self._ask("HGETALL", keys.TOPICS)
        return {lane.decode(): patterns_of(topics.decode()) for lane, topics in answer.items()}

    def newest(self) -> int:
        """Return the sequence number of the newest event, even if it was trimmed."""
        return int(self._ask("GET", keys.SEQ) or 0)

    def lane_records(self, lanes: Sequence[str]) -> list[tuple[LaneRecord, int]]:
        """Return the records of these lanes, each with how many retries wait."""
        if not lanes:
            return []
        texts, *counts = self.pipelined(("HMGET", keys.LANES, *lanes), *(("HLEN", keys.waits(lane)) for lane in lanes))
        return [
            (lane_json.from_json(text.decode()), count)
            for text, count in zip(texts, counts, strict=True)
            if text is not None
        ]

    def open_lanes(self) -> list[str]:
        """Return the lanes that some node has to continue."""
        return sorted(lane.decode() for lane in self._ask("SMEMBERS", keys.OPEN))

    def group_of(self, address: str) -> str | None:
        """Return the key of the group that an address is a member of."""
        found = self._ask("HGET", keys.GROUPS, address)
        return None if found is None else str(found.decode())

    def subscription_of(self, address: str) -> str | None:
        """Return the key of the subscription that an address is registered for: its own, or its group's."""
        found = self._scripts["subscription_of"](keys=[keys.NODES], args=[address])
        return None if found is None else str(found.decode())

    @override
    def page(self, after: int, end: int, limit: int, max_bytes: int) -> Page:
        entries, more = self._scripts["page"](keys=[keys.EVENTS], args=[max(0, after), end, limit, max_bytes])
        return Page(tuple(events_of(entries)), number_of(entries[-1][0]) if more == b"more" else end)

    @override
    def topics(self, after: int, end: int, limit: int) -> list[tuple[int, str | None, float]]:
        rows = self._scripts["topics"](keys=[keys.EVENTS], args=[max(0, after), end, limit])
        return [(int(seq), topic_of(topic), float(at)) for seq, topic, at in rows]

    @override
    def sizes(self, after: int, end: int, limit: int) -> list[tuple[int, int]]:
        found = self._scripts["sizes"](keys=[keys.EVENTS], args=[max(0, after), end, limit, EVENT_OVERHEAD])
        return [(int(seq), int(size)) for seq, size in zip(found[::2], found[1::2], strict=True)]

    @override
    def find(self, seqs: Sequence[int]) -> list[Event]:
        ordered = sorted(set(seqs))
        found = self.pipelined(*(("XRANGE", keys.EVENTS, f"{seq}-0", f"{seq}-0") for seq in ordered))
        return events_of(_flat(entries[0]) for entries in found if entries)

    @override
    def event(self, event_id: str) -> Event | None:
        seq = self._ask("HGET", keys.IDS, event_id)
        found = [] if seq is None else self.find([int(seq)])
        return next((event for event in found if event.id == event_id), None)  # the journal may have changed in between

    @override
    def position_at(self, moment: float) -> int:
        return int(self._scripts["position_at"](keys=[keys.EVENTS], args=[repr(moment)]))

    @override
    def sample(self, seqs: Sequence[int]) -> list[SampledEvent]:
        rows = self._scripts["sample"](keys=[keys.NODES], args=[EVENT_OVERHEAD, *seqs])
        return [
            SampledEvent(
                int(seq), topic_of(topic), size, tuple(key.decode() for key in waiting),
                tuple((key.decode(), int(used)) for key, used in zip(dead[::2], dead[1::2], strict=True)),
            )
            for seq, topic, size, waiting, dead in rows
        ]  # fmt: skip

    @override
    def names(self, seqs: Sequence[int]) -> dict[int, EventName]:
        names = zip(seqs, self._scripts["event_names"](keys=[keys.EVENTS], args=seqs), strict=True)
        return {seq: EventName(name[0].decode(), name[2].decode()) for seq, name in names if name}

    @override
    def retries(self, key: str, *, by_seq: bool, limit: int, after: Row = FIRST_ROW) -> list[Retry]:
        if not by_seq:
            names = self._ask("ZRANGE", keys.due(key), 0, limit - 1)
            return self._retries([(key, name.decode()) for name in names])
        # One event may have several retries, of several replays: those of the one after which to go on come again.
        first = ("ZRANGEBYSCORE", keys.line(key), after[0], f"({after[0] + 1}")
        same, rest = self.pipelined(first, ("ZRANGEBYSCORE", keys.line(key), f"({after[0]}", "+inf", "LIMIT", 0, limit))
        again = [name for name in same if name.decode() > delivery_name(*after)]
        return self._retries([(key, name.decode()) for name in [*again, *rest][:limit]])

    @override
    def retries_of_key(self, key: str, order_key: str, limit: int) -> list[Retry]:
        first, end = f"[{order_key}\0", f"({order_key}\1"
        members = self._ask("ZRANGEBYLEX", keys.keyed(key), first, end, "LIMIT", 0, limit)
        return self._retries([(key, member_delivery(member)) for member in members])

    @override
    def retries_of_event(self, seq: int) -> list[Retry]:
        members = self._ask("ZRANGEBYSCORE", keys.WAITING, seq, seq, "LIMIT", 0, MAX_DELIVERIES)
        parts = [member.decode().split(":", 2) for member in members]
        return self._retries([(key, f"{number}:{replay_id}") for number, replay_id, key in parts])

    def _retries(self, names: Sequence[tuple[str, str]]) -> list[Retry]:
        texts = self.pipelined(*(("HGET", keys.waits(key), name) for key, name in names))
        return [retry_of(key, name, text) for (key, name), text in zip(names, texts, strict=True) if text is not None]

    @override
    def lane(self, key: str) -> LaneRecord | None:
        text = self._ask("HGET", keys.LANES, key)
        return None if text is None else lane_json.from_json(text.decode())

    @override
    def closed_lanes(self, before: float, limit: int) -> list[LaneRecord]:
        names = self._ask("ZRANGEBYSCORE", keys.ENDED, "-inf", f"({before!r}", "LIMIT", 0, limit)
        return self._records(names)

    @override
    def closed_size(self) -> tuple[int, int]:
        count, names = self.pipelined(("ZCARD", keys.ENDED), ("ZREVRANGE", keys.ENDED, 0, 99))
        sizes = self.pipelined(*(("HSTRLEN", keys.LANES, name) for name in names)) if names else [0]
        return count, count * sum(sizes) // len(sizes)

    @override
    def newest_closed(self, skip: int, limit: int) -> list[LaneRecord]:
        return self._records(self._ask("ZREVRANGE", keys.ENDED, skip, skip + limit - 1))

    def _records(self, names: Sequence[bytes]) -> list[LaneRecord]:
        texts = self._ask("HMGET", keys.LANES, *names) if names else []
        return [lane_json.from_json(text.decode()) for text in texts if text is not None]

    @override
    def dead_letters(self, key: str | None, after: int, limit: int) -> list[KeptDeadLetter]:
        where = keys.DEAD_IDS if key is None else keys.dead_of(key)
        return self._letters(self._ask("ZRANGEBYSCORE", where, f"({after}", "+inf", "LIMIT", 0, limit))

    @override
    def dead_letter(self, letter_id: int) -> KeptDeadLetter | None:
        return next(iter(self._letters([b"%d" % letter_id])), None)

    @override
    def last_dead_letter(self) -> int:
        last = self._ask("ZRANGE", keys.DEAD_IDS, -1, -1)
        return int(last[0]) if last else 0

    @override
    def unpublished_letters(self, limit: int) -> list[KeptDeadLetter]:
        return self._letters(self._ask("ZRANGE", keys.DEAD_TO, 0, limit - 1))

    @override
    def dead_before(self, moment: float, limit: int) -> list[KeptDeadLetter]:
        return self._letters(self._ask("ZRANGEBYSCORE", keys.DEAD_AT, "-inf", f"({moment!r}", "LIMIT", 0, limit))

    @override
    def replay(self, replay_id: str) -> Redelivery | None:
        at, *counts = self._ask("HMGET", keys.replay(replay_id), "at", *keys.REPLAY_COUNTS)
        return None if at is None else Redelivery(replay_id, float(at), *(int(count or 0) for count in counts))

    @override
    def failed_deliveries(self, seq: int) -> list[FailedDelivery]:
        letters, without_body, spans = self.pipelined(
            ("ZRANGEBYSCORE", keys.DEAD_SEQ, seq, seq, "LIMIT", 0, MAX_DELIVERIES),
            ("ZRANGEBYSCORE", keys.DEAD_GONE, seq, seq, "LIMIT", 0, MAX_DELIVERIES),
            ("ZRANGEBYSCORE", keys.DISCARDS, seq, "+inf", "LIMIT", 0, MAX_DELIVERIES),
        )
        dead = [FailedDelivery.of(kept.letter) for kept in self._letters([*letters, *without_body])]
        parts = [span.decode().split(":", 3) for span in spans]
        discarded = dict.fromkeys(lane for first, _, _, lane in parts if int(first) <= seq)
        return dead + [FailedDelivery(lane, "discarded") for lane in discarded]

    def usage(self) -> Usage:
        """Return how much the journal holds."""
        size, events, info = self.pipelined(("GET", keys.BYTES), ("XLEN", keys.EVENTS), ("INFO", "memory"))
        return Usage(int(size or 0), events, memory_in_use(info))

    def _letters(self, ids: Sequence[bytes]) -> list[KeptDeadLetter]:
        if not ids:
            return []
        texts = self._ask("HMGET", keys.DEAD, *ids)
        found = [(int(number), text) for number, text in zip(ids, texts, strict=True) if text is not None]
        seqs = [letter_of(number, text, ()).letter.seq for number, text in found]
        names = self._scripts["event_names"](keys=[keys.EVENTS], args=seqs) if seqs else []
        return [letter_of(number, text, name) for (number, text), name in zip(found, names, strict=True)]

    def _ask(self, *command: Any) -> Any:
        return self.pipelined(command)[0]

    def pipelined(self, *commands: tuple[Any, ...]) -> list[Any]:
        """Return the answers to commands that are sent together."""
        pipeline: Any = self._redis.pipeline(transaction=False)
        for command in commands:
            pipeline.execute_command(*command)
        answers: list[Any] = pipeline.execute()
        return answers


def _flat(entry: tuple[bytes, dict[bytes, bytes]]) -> tuple[bytes, list[bytes]]:
    """Return an entry as Redis sends it, from how the client parses it."""
    entry_id, answer = entry
    return entry_id, [part for pair in answer.items() for part in pair]
