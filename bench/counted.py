"""The bus in a process that is counted (see bench.instructions): PUBLISHES BATCH DELIVERED JSON GROUP ADDRESS..."""

from bench.endless import NEVER  # isort: skip - it sets the timing with which the next import starts the bus
from eventbus.wsgi import app  # isort: skip - it patches before anything else is imported

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gevent
from gevent.hub import get_hub
from werkzeug.test import create_environ

from bench.sink import JSON_START
from eventbus.delivery import checkpointer, loop_load, slots
from eventbus.delivery.transport import watchdog
from eventbus.journal.sqlite import journal

#: Publishes of a round before the counting begins, and publishers at once.
WARM_UP, PUBLISHERS = 16, 8
#: A port of a subscriber to which nothing is delivered.
NOBODY = 9
SIZE = 1_024
#: Bodies begin with a number and a time, as the sink wants it; the second is JSON.
BODY, JSON_BODY = b"0" * SIZE, JSON_START + b"0" * (SIZE - 9) + b'"}'
#: A filter of nearly 4 KiB that reads the second, and never matches.
FILTER = json.dumps(
    {"any": [{"suffix": {"data.of": f"{number:032}"}} for number in range(1, 70)]}, separators=(",", ":")
)
#: What would depend on the time that the counter takes: intervals, the loop's load, and turns of it that take long.
QUIET = (
    (checkpointer, "INTERVAL_SECONDS", NEVER),
    (watchdog, "POLL_INTERVAL_SECONDS", NEVER),
    (slots, "CHECK_INTERVAL_SECONDS", NEVER),
    (journal, "INSPECT_INTERVAL_SECONDS", NEVER),
    (loop_load, "MIN_IDLE_SHARE", 1.0),  # the loop counts as saturated, as it is under load
    (loop_load, "TURN_SECONDS", NEVER),
    (loop_load, "URGENT_TURN_SECONDS", NEVER),
)


def call(path: str, query: str, body: bytes = b"") -> None:
    """One request. Raises RuntimeError where it is not answered with success."""
    statuses: list[str] = []
    environ = create_environ(path, query_string=query, method="POST", data=body)

    def start(status: str, _headers: list[tuple[str, str]], _error: Any = None) -> Any:
        statuses.append(status)

    answer = b"".join(app(environ, start))
    if not statuses[0].startswith("2"):
        raise RuntimeError(f"{path} was answered {statuses[0]}: {answer!r}")


def _publish(count: int, query: str, body: bytes) -> None:
    for _ in range(count):
        call("/sendMessage", query, body)


def publish(count: int, batch: int, body: bytes) -> None:
    """Publish so often, and wait until all of it is delivered."""
    body = b"\n".join([body] * batch)
    query = "batch=lines" if batch > 1 else ""
    shares = [count // PUBLISHERS + (number < count % PUBLISHERS) for number in range(PUBLISHERS)]
    gevent.joinall([gevent.spawn(_publish, share, query, body) for share in shares], raise_error=True)
    lanes = app.bus.dispatcher.lanes
    while any(lane.backlog for lane in lanes.values()):
        gevent.sleep(1)


def warm_up(batch: int, body: bytes) -> None:
    """Publish until no more connections are opened, so that kept ones alone are counted."""
    before, files = 0, _open_files()
    while files > before:
        publish(WARM_UP, batch, body)
        before, files = files, _open_files()


def _open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


def count_instructions(*, on: bool) -> None:
    """Have the counter begin or stop, where there is one."""
    command = f"callgrind_control -i {'on' if on else 'off'} {os.getpid()} >/dev/null"
    if get_hub().threadpool.apply(os.system, (command,)):  # it waits for this process, which must go on
        raise RuntimeError(f"{command} failed")


def main(publishes: int, batch: int, delivered: int, json_bodies: int, group: str, addresses: Sequence[str]) -> None:
    """Register, all in one group unless its name is empty, warm up, and have the rest counted.

    With ``json_bodies`` bodies are JSON; if it is 2, one more subscriber has a filter that reads them.
    """
    for module, name, value in QUIET:
        if not hasattr(module, name):
            raise AttributeError(f"{module.__name__} has no {name}: what is counted would depend on the time it takes")
        setattr(module, name, value)
    for address in addresses:
        membership = f"&group={group}" if group else ""
        call("/registerAndKeepAlive", f"address={address}&lease=3600&timeout=60&batch={delivered}{membership}")
    body = JSON_BODY if json_bodies else BODY
    if json_bodies > 1:
        call("/registerAndKeepAlive", f"address=127.0.0.1:{NOBODY}&lease=3600&filter={quote(FILTER)}")
    warm_up(batch, body)
    count_instructions(on=True)
    publish(publishes, batch, body)
    count_instructions(on=False)
    app.bus.stop()


if __name__ == "__main__":
    main(*map(int, sys.argv[1:5]), sys.argv[5], sys.argv[6:])
