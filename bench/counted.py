"""The bus in a process that is counted (see bench.instructions), which names the options."""

from bench.endless import NEVER  # isort: skip - it sets the timing with which the next import starts the bus
from eventbus.wsgi import app  # isort: skip - it patches before anything else is imported

import argparse
from pathlib import Path
from typing import Any
from urllib.parse import quote

import gevent
from werkzeug.test import create_environ

from bench.counter import count_instructions
from bench.filters import FILTERS, JSON_BODY, SIZE
from eventbus.delivery import attempts, changed_lanes, loop_load, slots
from eventbus.delivery.transport import watchdog
from eventbus.journal.sqlite import journal

#: Publishes of a round before the counting begins, and publishers at once.
WARM_UP, PUBLISHERS = 16, 8
#: A port of a subscriber to which nothing is delivered.
NOBODY = 9
#: Bodies begin with a number and a time, as the sink wants it.
BODIES = {"bytes": b"0" * SIZE, "json": JSON_BODY}
#: What would depend on the time that the counter takes: intervals, the loop's load, and turns of it that take long.
QUIET = (
    (changed_lanes, "INTERVAL_SECONDS", NEVER),
    (attempts, "SLOW_SECONDS", NEVER),  # no subscriber counts as slow, be the machine as busy as it may
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


def main() -> None:
    """Register, warm up, and have the rest counted."""
    arguments = _arguments()
    for module, name, value in QUIET:
        if not hasattr(module, name):
            raise AttributeError(f"{module.__name__} has no {name}: what is counted would depend on the time it takes")
        setattr(module, name, value)
    membership = f"&group={arguments.group}" if arguments.group else ""
    usual = f"lease=3600&timeout=60&batch={arguments.delivered}{membership}"
    for address in arguments.addresses:
        call("/registerAndKeepAlive", f"address={address}&{usual}")
    if arguments.filter:
        query = f"address=127.0.0.1:{NOBODY}&lease=3600&filter={quote(FILTERS[arguments.filter])}"
        call("/registerAndKeepAlive", query)
    body = BODIES[arguments.bodies]
    warm_up(arguments.batch, body)
    count_instructions(on=True)
    publish(arguments.publishes, arguments.batch, body)
    count_instructions(on=False)
    app.bus.stop()


def _arguments() -> argparse.Namespace:
    ask = argparse.ArgumentParser(prog="bench.counted")
    for name in ("--publishes", "--batch", "--delivered"):
        ask.add_argument(name, type=int)
    ask.add_argument("--bodies", choices=BODIES)
    ask.add_argument("--filter", help="of one more subscriber, which gets nothing: a name in bench.filters", default="")
    ask.add_argument("--group", help="that all are members of", default="")
    ask.add_argument("addresses", nargs="+")
    return ask.parse_args()


if __name__ == "__main__":
    main()
