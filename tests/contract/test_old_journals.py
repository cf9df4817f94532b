"""What the version before wrote, today's code reads. See ``old_journals/make.py`` for how the journals were made."""

import gzip
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from eventbus.cluster.ownership import Ownership
from eventbus.core.addresses import parse_address
from eventbus.core.clock import Clock
from eventbus.core.model import Message, Terms
from eventbus.core.settings import Settings
from eventbus.journal.redis import RedisJournal
from eventbus.journal.sqlite import SqliteJournal
from eventbus.services.bus import Bus
from eventbus.web.app import create_app
from tests.support.deadline import eventually
from tests.support.lanes import TAKEN
from tests.support.redis_server import COMMAND, RedisServer
from tests.support.scripted import ScriptedTransport

FOLDER = Path(__file__).parent / "old_journals"
STATE: dict[str, dict[str, Any]] = json.loads((FOLDER / "state.json").read_text("utf-8"))
TAKES_ALL, FAILS, REFUSES, KEEPS_POSITION, EXPIRES, ORDERED, DEREGISTERED = (
    f"127.0.0.1:{port}" for port in range(8_101, 8_108)
)
#: What a bus knows only while it runs, what an attempt before the stop may have changed, and what is rounded.
PASSING = frozenset({
    "state", "expires_at", "backlog", "in_flight", "failed_attempts", "oldest_pending_seconds", "last_error",
    "last_error_at", "error_rate", "recent_successes", "recent_failures", "attempts", "next_attempt_at", "last_status",
})  # fmt: skip
#: What the version before did not say.
ADDED = frozenset({"batch", "batch_wait", "path", "declared", "filter", "filtered", "dead_to", "pause", "rate",
    "key", "held_keys", "oldest_held_key", "group", "group_mode", "draining", "retry_for", "max_attempts", "backoff",
    "credentials", "owner", "publisher", "timeline", "delivered_at",
})  # fmt: skip
#: More rows than there are.
ALL = 1_000


class OldBus:
    """Today's bus on a journal of the version before, at the moment at which that one stopped."""

    def __init__(self, journal: SqliteJournal | RedisJournal, state: dict[str, Any], clock: Clock) -> None:
        self.journal = journal
        self.state = state
        self.transport = ScriptedTransport()
        cluster = Ownership(journal) if isinstance(journal, RedisJournal) else None
        self.bus = Bus(Settings(), journal, self.transport, clock, cluster)

    def start(self) -> None:
        """Open the journal; on Redis, until all lanes are this bus's."""
        self.bus.start()
        if isinstance(self.journal, RedisJournal):
            eventually(lambda: self.journal.open_lanes() == sorted(self.bus.dispatcher.lanes), 20)
        eventually(lambda: len(self.expired()) == len(self.state["expired"]), 10)  # read on a greenlet of its own

    def expired(self) -> Any:
        """Those whose lease has ended."""
        return lasting(self.ask("/listSubscribers?expired=true")["subscribers"])

    def ask(self, path: str) -> Any:
        """What it answers to a GET."""
        response = create_app(self.bus).test_client().get(path, headers={"Accept": "application/json"})
        assert response.status_code == 200, response.text
        return response.json


@pytest.fixture(params=["sqlite", "redis"])
def old(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[OldBus]:
    """The bus on each journal."""
    state, began = STATE[request.param], time.monotonic()
    clock = Clock(wall=lambda: float(state["moment"]) + time.monotonic() - began)
    if request.param == "sqlite":
        (tmp_path / "bus.db").write_bytes(gzip.decompress((FOLDER / "sqlite.db.gz").read_bytes()))
        yield from running(OldBus(SqliteJournal(str(tmp_path / "bus.db"), clock), state, clock))
    elif COMMAND is None:
        pytest.skip("there is no redis-server here")
    else:
        with RedisServer(tmp_path) as server:
            client: Any = redis.Redis.from_url(server.url)
            for command in json.loads((FOLDER / "redis.json").read_text("utf-8")):
                client.execute_command(*(part.encode("latin-1") for part in command))
            client.close()
            yield from running(OldBus(RedisJournal(server.url, clock), state, clock))


def running(old: OldBus) -> Iterator[OldBus]:
    """Start it, and stop it in the end."""
    old.start()
    yield old
    old.transport.always = TAKEN
    old.transport.answer(list(old.transport.held), TAKEN)
    old.bus.stop()


def lasting(shown: Any) -> Any:
    """What stays of an answer when the bus starts again."""
    if isinstance(shown, list):
        return [lasting(one) for one in shown]
    return {name: value for name, value in shown.items() if name not in PASSING | ADDED}


def test_all_that_the_old_bus_said_holds_on_the_new_one(old: OldBus) -> None:
    """Lanes with their options and accounts, events, fates and dead letters are what they were before the upgrade."""
    assert lasting(old.ask("/listSubscribers")["subscribers"]) == lasting(old.state["subscribers"])
    assert old.expired() == lasting(old.state["expired"])
    assert lasting(old.ask("/deadLetters")["dead_letters"]) == lasting(old.state["dead_letters"])
    assert lasting(old.ask(f"/deadLetters/replays/{old.state['redelivery']['replay']}")) == old.state["redelivery"]
    for event in old.state["events"]:
        now = old.ask(f"/events/{event['id']}")
        assert lasting(now.pop("deliveries")) == lasting(event["deliveries"])
        assert {now.pop(name) for name in ("key", "publisher", "expires_at")} == {None}
        assert now == {name: value for name, value in event.items() if name != "deliveries"}


def test_retries_keep_their_attempts_and_what_they_had_before(old: OldBus) -> None:
    """Each retry has its counted attempts, and a redelivered dead letter its attempts until then."""
    rows = [(row.key, row.seq) for row in old.journal.retries(FAILS, by_seq=True, limit=ALL)]
    assert rows == [(FAILS, 2), (FAILS, 3), (FAILS, 4), (FAILS, 6)]
    (again,) = old.journal.retries(REFUSES, by_seq=False, limit=ALL)
    assert again.past is not None
    assert (again.past.replay, again.past.attempts) == (old.state["redelivery"]["replay"], 1)
    assert again.attempts >= 2
    assert again.first_at > (again.past.first_at or 0)


def test_positions_are_where_they_were(old: OldBus) -> None:
    """A kept position has its backlog, and a replay that was under way its rest."""
    kept, ordered = old.journal.lane(KEEPS_POSITION), old.journal.lane(ORDERED)
    assert kept is not None
    assert (kept.spans[0].cursor < 2, kept.spans[0].remaining, kept.account.pending) == (True, 4, 4)
    assert ordered is not None
    assert [(span.replay_id, span.end) for span in ordered.spans] == [(0, None), (1, 5)]
    assert ordered.account.pending == 10


def test_an_idempotency_key_of_before_still_counts(old: OldBus) -> None:
    """The same publish again is the same event."""
    event = old.journal.event(old.state["events"][1]["id"])
    assert event is not None
    again = Message("new", event.topic, event.head, event.body, old.state["moment"])
    assert old.bus.publish([again], "order-1") == old.journal.append([again], "order-1")
    assert old.bus.publish([again], "order-1").ids == (event.id,)


def test_all_that_was_pending_is_delivered(old: OldBus) -> None:
    """Once the subscribers take events, each lane settles what it had, and no account loses a delivery."""
    old.transport.always = TAKEN
    old.transport.answer(list(old.transport.held), TAKEN)
    old.bus.register(parse_address(KEEPS_POSITION), Terms())
    for key in (TAKES_ALL, FAILS, REFUSES, ORDERED):
        old.bus.register(parse_address(key), Terms())

    def settled() -> bool:
        return not any(lane.backlog or lane.in_flight for lane in old.bus.dispatcher.lanes.values())

    eventually(settled, 20, "everything was delivered")
    accounts = {lane.subscriber.key: (lane.accepted, lane.delivered, lane.dead) for lane in old.bus.subscribers()}
    assert accounts == {
        TAKES_ALL: (4, 4, 0), FAILS: (4, 4, 0), REFUSES: (2, 1, 1), KEEPS_POSITION: (4, 4, 0), ORDERED: (10, 10, 0),
    }  # fmt: skip
    assert (EXPIRES in old.bus.dispatcher.lanes, DEREGISTERED in old.bus.dispatcher.lanes) == (False, False)
