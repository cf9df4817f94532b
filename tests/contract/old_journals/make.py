"""Makes the journals in this folder. Run it in a checkout of the version that is to write them.

    PYTHONPATH=. python /path/to/tests/contract/old_journals/make.py FOLDER

It starts that version's bus on SQLite and then on Redis, and brings each to the same state by HTTP. Then it writes
``sqlite.db.gz``, the database as the bus left it; ``redis.json``, the commands that bring back what was in Redis; and
``state.json``, what each bus said about its subscribers, events and dead letters before it stopped.
"""

from gevent import monkey

monkey.patch_all()  # before anything else is imported

# ruff: noqa: E402
import gzip
import json
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import redis

from tests.support.caller import JSON, Caller
from tests.support.deadline import eventually
from tests.support.redis_server import RedisServer
from tests.support.server import BusServer
from tests.support.subscriber import Answer, Received, RecordingSubscriber

#: One subscriber for each way in which a delivery may end. The port says which.
TAKES_ALL, FAILS, REFUSES, KEEPS_POSITION, EXPIRES, ORDERED, DEREGISTERED = range(8_101, 8_108)
#: What each subscriber answers; there is none where nothing listens.
ANSWERS: dict[int, Answer] = {
    TAKES_ALL: (200, (), b""),
    FAILS: (500, (), b"no room"),
    REFUSES: (400, (), b"no such order"),
    ORDERED: (500, (), b""),
    EXPIRES: (500, (), b"soon"),
}
#: Seconds: the shortest lease, and one that outlasts the run.
SHORT, LONG = 5, 80_000


def address(port: int) -> str:
    """A subscriber's address."""
    return f"127.0.0.1:{port}"


def bring_about(caller: Caller) -> None:
    """Publish events until some are delivered, some wait, some are dead, and some are discarded."""
    caller.register(address(KEEPS_POSITION), lease=SHORT, resume=True, topic="orders.>")
    caller.register(address(EXPIRES), lease=SHORT, topic="late.*")
    caller.publish(b'{"late":1}', topic="late.one")
    eventually(lambda: not caller.listed(address(KEEPS_POSITION)) and not caller.listed(address(EXPIRES)), 30)
    caller.register(address(TAKES_ALL), lease=LONG, max_in_flight=7, timeout=3.5, topic=["orders.>", "late.*"])
    caller.register(address(FAILS), lease=LONG, topic="orders.*")
    caller.register(address(REFUSES), lease=LONG, topic="orders.created")
    caller.register(address(ORDERED), lease=LONG, ordered=True)
    caller.register(address(DEREGISTERED), lease=LONG)
    head = [("Content-Type", "application/json"), ("traceparent", f"00-{'1' * 32}-{'2' * 16}-01")]
    caller.publish(b'{"order":1}', *head, ("Idempotency-Key", "order-1"), topic="orders.created")
    caller.publish('{"order":"\u00e9"}'.encode(), topic="orders.created")
    caller.publish(b'{"order":3}', topic="orders.paid")
    caller.publish(b"\x00\xff no topic")
    eventually(lambda: caller.subscriber(address(TAKES_ALL))["delivered"] == 3, 10)
    eventually(lambda: caller.subscriber(address(REFUSES))["dead"] == 2, 10)
    eventually(lambda: caller.subscriber(address(FAILS))["failed_attempts"] >= 3, 10)
    eventually(lambda: caller.subscriber(address(DEREGISTERED))["failed_attempts"] >= 1, 10)
    caller.deregister(address(DEREGISTERED))


def redeliver_one(caller: Caller, refuses: RecordingSubscriber) -> str:
    """Redeliver the first dead letter of ``REFUSES``, which fails then; the redelivery's id."""
    refuses.respond = lambda _: (500, (), b"")
    first = next(letter for letter in dead_letters(caller) if letter["subscriber"] == address(REFUSES))
    replay: str = caller.call("POST", f"/deadLetters/replay?id={first['id']}", [JSON]).json()["replay"]
    eventually(lambda: caller.subscriber(address(REFUSES))["failed_attempts"] >= 3, 10)
    caller.call("POST", f"/replay?address={address(ORDERED)}&from=earliest", [JSON])
    return replay


def dead_letters(caller: Caller) -> list[dict[str, Any]]:
    """All dead letters."""
    found: list[dict[str, Any]] = caller.call("GET", "/deadLetters", [JSON]).json()["dead_letters"]
    return found


def state(caller: Caller, replay: str) -> dict[str, Any]:
    """What the bus says of all that it has."""
    events = caller.call("GET", "/events?after=earliest", [JSON]).json()["events"]
    return {
        "moment": time.time(),
        "subscribers": caller.subscribers(),
        "expired": caller.call("GET", "/listSubscribers?expired=true", [JSON]).json()["subscribers"],
        "events": [caller.call("GET", f"/events/{event['id']}", [JSON]).json() for event in events],
        "dead_letters": dead_letters(caller),
        "redelivery": caller.call("GET", f"/deadLetters/replays/{replay}", [JSON]).json(),
    }


def run(folder: Path, journal: str) -> dict[str, Any]:
    """Run a bus on a journal from its beginning to a clean stop; what it said before that."""
    environment = {"EVENTBUS_JOURNAL": journal, "EVENTBUS_SWEEP_SECONDS": "1", "EVENTBUS_DRAIN_SECONDS": "1"}
    with ExitStack() as stack:
        subscribers = {port: RecordingSubscriber(answers(said)) for port, said in ANSWERS.items()}
        for port, subscriber in subscribers.items():
            subscriber.port = port
            stack.enter_context(subscriber)
        bus = stack.enter_context(BusServer(folder, environment))
        caller = Caller(bus.port)
        bring_about(caller)
        replay = redeliver_one(caller, subscribers[REFUSES])
        for subscriber in subscribers.values():
            subscriber.down()
        caller.publish(b'{"order":5}', topic="orders.paid")
        eventually(lambda: caller.subscriber(address(TAKES_ALL))["state"] == "down", 10)
        said = state(caller, replay)
        bus.terminate()
    return said


def answers(said: Answer) -> Callable[[Received], Answer]:
    """A subscriber that always answers the same."""
    return lambda _: said


def commands(client: Any) -> Iterator[list[str]]:
    """The commands that bring back all keys that last; text is latin-1, so that each byte is a character."""
    for key in sorted(client.scan_iter()):
        if client.ttl(key) != -1:
            continue
        kind = client.type(key)
        if kind == "string":
            yield ["SET", key, client.get(key)]
        elif kind == "hash":
            yield ["HSET", key, *(part for pair in sorted(client.hgetall(key).items()) for part in pair)]
        elif kind == "set":
            yield ["SADD", key, *sorted(client.smembers(key))]
        elif kind == "zset":
            found = client.zrange(key, 0, -1, withscores=True)
            yield ["ZADD", key, *(part for name, score in found for part in (repr(score), name))]
        elif kind == "stream":
            for entry_id, fields in client.xrange(key):
                yield ["XADD", key, entry_id, *(part for pair in fields.items() for part in pair)]
        else:
            raise ValueError(f"{key} is a {kind}")


def main(out: Path) -> None:
    """Make all files."""
    said = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        said["sqlite"] = run(folder, f"sqlite:///{folder / 'bus.db'}")
        (out / "sqlite.db.gz").write_bytes(gzip.compress((folder / "bus.db").read_bytes(), 9, mtime=0))
    with tempfile.TemporaryDirectory() as name, RedisServer(Path(name)) as server:
        said["redis"] = run(Path(name), server.url)
        client = redis.Redis.from_url(server.url, encoding="latin-1", decode_responses=True)
        lines = ",\n".join(json.dumps(command) for command in commands(client))
        (out / "redis.json").write_text(f"[{lines}]\n", "utf-8")
    (out / "state.json").write_text(json.dumps(said, indent=1) + "\n", "utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
