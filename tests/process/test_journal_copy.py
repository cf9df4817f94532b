"""A bus moves from SQLite to Redis and back, as people do it from a terminal."""

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.support.accounts import account, settled
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.server import ROOT, BusServer
from tests.support.subscriber import Answer, Received, RecordingSubscriber

pytestmark = NEEDS_REDIS
EVENTS = 30


def copy(source: str, target: str) -> "subprocess.CompletedProcess[str]":
    """Copy a journal; the target is in the environment."""
    environment = {**os.environ, "TARGET": target, "PYTHONWARNINGS": "error", "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-m", "eventbus", "journal", "copy", source, "env:TARGET", "--json"]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)


def unwanted(_: Received) -> Answer:
    """Take nothing, now and for ever."""
    return 400, (), b"no"


def test_a_bus_moves_to_redis_and_back_with_what_is_pending(tmp_path: Path) -> None:
    """What is pending in the source is delivered by a bus on the copy, each event once, and the account holds."""
    with RedisServer(tmp_path) as redis, RecordingSubscriber(unwanted) as subscriber:
        with BusServer(tmp_path, {"EVENTBUS_JOURNAL": f"sqlite:///{tmp_path / 'bus.db'}"}) as bus:
            file = f"sqlite:///{bus.journal}"
            caller = Caller(bus.port)
            caller.register(subscriber.address, lease=3_600)
            first = caller.publish(b"dead", ("Idempotency-Key", "first"))
            eventually(settled(caller, subscriber.address, dead=1), 30)
            subscriber.down()
            ids = [caller.publish(b"%d" % number) for number in range(EVENTS)]
            refused = copy(file, redis.url)
            assert (refused.returncode, refused.stdout) == (1, "")
            assert "is in use by another process" in refused.stderr
            assert bus.terminate() == 0
        moved = copy(file, redis.url)
        assert moved.returncode == 0, moved.stderr
        assert json.loads(moved.stdout)["events"] == EVENTS + 1
        subscriber.respond = lambda _: (200, (), b"")
        subscriber.counts.clear()
        subscriber.up()
        with BusServer(tmp_path, {"EVENTBUS_JOURNAL": redis.url}) as bus:
            caller = Caller(bus.port)
            subscriber.wait_for_ids(ids)
            eventually(settled(caller, subscriber.address, accepted=EVENTS + 1, delivered=EVENTS, dead=1), 30)
            assert caller.publish(b"dead", ("Idempotency-Key", "first")) == first
            assert subscriber.counts == dict.fromkeys(ids, 1)
            assert bus.terminate() == 0
        back = copy(redis.url, f"sqlite:///{tmp_path / 'back.db'}")
        assert back.returncode == 0, back.stderr
        with BusServer(tmp_path, {"EVENTBUS_JOURNAL": f"sqlite:///{tmp_path / 'back.db'}"}) as bus:
            caller = Caller(bus.port)
            last = caller.publish(b"last")
            subscriber.wait_for_ids([last])
            eventually(settled(caller, subscriber.address, delivered=EVENTS + 1), 30)
            assert account(caller, subscriber.address)["accepted"] == EVENTS + 2
            assert subscriber.counts == dict.fromkeys([*ids, last], 1)
