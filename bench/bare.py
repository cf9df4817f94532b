"""The least that a POST costs under gevent: a loop over kept sockets, below gevent's own.

    python -m bench.bare DELIVERIES PORT [PORT ...]

One send, one wait, one receive, and a parser in C for each; no deadline, no queue, no outcome, no account. Prints
processor microseconds for one.
"""

from gevent import monkey

monkey.patch_all()

import resource  # noqa: E402 - nothing may be imported before the patch
import socket  # noqa: E402
import sys  # noqa: E402
import time  # noqa: E402
from typing import Any  # noqa: E402

import gevent  # noqa: E402
import httptools  # noqa: E402
from gevent.hub import get_hub  # noqa: E402

GREENLETS = 64
HEAD = (
    b"POST /event HTTP/1.1\r\nHost: 127.0.0.1:19100\r\nUser-Agent: eventbus/1.0.0\r\nAccept-Encoding: identity\r\n"
    b"Webhook-Id: 0198f2c0-0000-7000-8000-000000000000\r\nContent-Length: 1024\r\n"
    b"Webhook-Timestamp: 1790000000\r\nEventbus-Attempt: 1\r\n\r\n"
)
READ = 1


class ResponseEvents:
    """Told by the parser that an answer is complete."""

    complete = False

    def on_message_complete(self) -> None:
        """It is."""
        self.complete = True


def post(port: int, first: int, count: int) -> None:
    """Send so many on one connection."""
    peer = socket.create_connection(("127.0.0.1", port))
    raw: socket.socket = peer._sock  # type: ignore[attr-defined] # noqa: SLF001 - the socket below gevent's
    hub: Any = get_hub()
    readable = hub.loop.io(peer.fileno(), READ)
    for number in range(first, first + count):
        raw.send(HEAD + b"%016x%016x" % (number, time.time_ns()) + b"x" * 992)
        events = ResponseEvents()
        parser = httptools.HttpResponseParser(events)
        while not events.complete:
            hub.wait(readable)
            parser.feed_data(raw.recv(65_536))
        if parser.get_status_code() != 200:
            raise SystemExit("the sink did not answer 200")
    peer.close()


def main(deliveries: int, *ports: int) -> None:
    """Measure."""
    each = deliveries // GREENLETS
    before = resource.getrusage(resource.RUSAGE_SELF)
    greenlets = [gevent.spawn(post, ports[number % len(ports)], number * each, each) for number in range(GREENLETS)]
    gevent.joinall(greenlets, raise_error=True)
    after = resource.getrusage(resource.RUSAGE_SELF)
    spent = after.ru_utime - before.ru_utime + after.ru_stime - before.ru_stime
    print(spent / (each * GREENLETS) * 1e6)


if __name__ == "__main__":
    main(*(int(argument) for argument in sys.argv[1:]))
