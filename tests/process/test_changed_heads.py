"""Whoever can write to the journal cannot make the bus send a subscriber a second request within a delivery."""

import sqlite3
from collections.abc import Callable
from pathlib import Path

import redis as redis_py

from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.repair import RepairClient
from tests.support.responders import Switch
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber

HEAD = b"Content-Type: a\r\nContent-Length: 0\r\n\r\nPOST /admin HTTP/1.1\r\nHost: a\r\nX: b\r\n"


def in_sqlite(folder: Path) -> None:
    """Change the first event's headers."""
    with sqlite3.connect(folder / "eventbus.db") as journal:
        journal.execute("UPDATE events SET head = ? WHERE seq = 1", (HEAD,))
    journal.close()


def in_redis(server: RedisServer) -> None:
    """The same: an entry cannot be changed, but all of them written again."""
    with redis_py.from_url(server.url) as client:
        entries = client.xrange("{eventbus}:events")
        client.delete("{eventbus}:events")
        for entry_id, fields in entries:
            client.xadd("{eventbus}:events", fields | ({b"h": HEAD} if entry_id == b"1-0" else {}), id=entry_id)


def check(bus: BusServer, change: Callable[[], None]) -> None:
    """Change what waits, and see what is delivered of it."""
    switch = Switch()
    switch.status = 500
    with RecordingSubscriber(switch) as subscriber:
        caller = Caller(bus.port)
        caller.register(subscriber.address, lease=3_600, resume=True)
        first, second = caller.publish(b"first"), caller.publish(b"second")
        subscriber.wait_for_ids([first, second])
        assert bus.terminate() == 0
        received = len(subscriber.received)
        change()
        switch.status = 200
        bus.start()
        eventually(lambda: any(request.id == second for request in subscriber.received[received:]), 60)
        letters = eventually(lambda: RepairClient(bus.port).dead_letters(), 60)
        assert [(letter["event"], letter["reason"]) for letter in letters] == [(first, "rejected")]
        assert "may not be sent" in letters[0]["last_error"]
        assert {(request.id, request.path) for request in subscriber.received[received:]} == {(second, "/event")}
        assert RepairClient(bus.port).event(first)["headers"] == {}
    assert "Traceback" not in bus.log_text()


def test_headers_that_were_changed_in_a_file_are_not_sent(tmp_path: Path) -> None:
    """The event is a dead letter that says why; the others are delivered."""
    with BusServer(tmp_path, {"EVENTBUS_JOURNAL": f"sqlite:///{tmp_path}/eventbus.db"}) as bus:
        check(bus, lambda: in_sqlite(tmp_path))


@NEEDS_REDIS
def test_headers_that_were_changed_in_redis_are_not_sent(tmp_path: Path) -> None:
    """Just so."""
    with RedisServer(tmp_path) as server, BusServer(tmp_path, {"EVENTBUS_JOURNAL": server.url}) as bus:
        check(bus, lambda: in_redis(server))
