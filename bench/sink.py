"""Many subscribers in one process: each answers 200 at once, or late, or never; together they count and time.

    python -m bench.sink COUNT [--slow N] [--dead N] [--delay SECONDS] [--tls FOLDER]

The first line that it prints is a JSON array of its ports. The last one is for questions by http; with ``--tls``, a
folder with a certificate (bench.certificate), the others speak TLS. A body begins with 16 hex digits of a number and 16
of the wall clock in nanoseconds, as that of each event of a batch does; before them there may be what makes it JSON.
``GET /stats`` answers what has arrived since ``GET /reset``.
"""

import argparse
import asyncio
import json
import time
from base64 import b64decode
from collections import defaultdict
from functools import partial
from typing import Any

from bench.certificate import server_context
from bench.loop import run

ANSWER = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"
#: How a batch begins, and how many characters of an event's Base64 hold its number and time.
BATCH, START_CHARACTERS = b"[", 44
#: What stands before the number and the time in a body that is JSON.
JSON_START = b'{"of":"'
#: A latency is counted in buckets of a twentieth of its size.
PRECISION = 1.05


class Tally:
    """What has arrived, over all subscribers."""

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Forget everything."""
        self.events = 0
        self.seen: dict[int, set[int]] = defaultdict(set)
        self.latencies: dict[int, int] = defaultdict(int)
        self.last = 0.0

    def take(self, subscriber: int, body: bytes, *, timed: bool) -> None:
        """Count what one request delivers: an event, or each of a batch."""
        if body.startswith(BATCH):
            for start in _starts_in(body):
                self._take_event(subscriber, b64decode(start), timed=timed)
        else:
            self._take_event(subscriber, body, timed=timed)

    def _take_event(self, subscriber: int, body: bytes, *, timed: bool) -> None:
        self.events += 1
        body = body.removeprefix(JSON_START)
        self.seen[subscriber].add(int(body[:16], 16))
        self.last = time.time()
        if timed:
            ms = max(1e-3, (time.time_ns() - int(body[16:32], 16)) / 1e6)
            self.latencies[bucket_of(ms)] += 1

    def stats(self) -> dict[str, Any]:
        """The counts, and the latencies in milliseconds."""
        distinct = sum(len(numbers) for numbers in self.seen.values())
        return {
            "events": self.events,
            "distinct": distinct,
            "last": self.last,
            "ms": {name: self._quantile(part) for name, part in (("p50", 0.5), ("p99", 0.99), ("p99.9", 0.999))},
        }

    def _quantile(self, part: float) -> float:
        left = part * sum(self.latencies.values())
        for bucket in sorted(self.latencies):
            left -= self.latencies[bucket]
            if left <= 0:
                return float(PRECISION**bucket)
        return 0.0


def _starts_in(body: bytes) -> list[bytes]:
    """The Base64 of the first bytes of each event of a batch: a parser would cost more than the bus."""
    return [part[:START_CHARACTERS] for part in body.split(b'"data_base64":"')[1:]]


def bucket_of(ms: float) -> int:
    """The bucket of a latency."""
    bucket = 0
    while PRECISION**bucket < ms:
        bucket += 1 if ms < PRECISION ** (bucket + 16) else 16
    return bucket


class Subscriber(asyncio.Protocol):
    """One connection."""

    def __init__(self, tally: Tally, number: int, delay: float | None, *, timed: bool) -> None:
        self._tally, self._number, self._delay, self._timed = tally, number, delay, timed
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A connection begins."""
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Take every request that is complete."""
        self._buffer += data
        while (end := self._buffer.find(b"\r\n\r\n")) >= 0:
            head, start = self._buffer[:end], end + 4
            if head.startswith(b"GET"):
                self._buffer = self._buffer[start:]
                self._tell(head)
                continue
            length_at = head.rindex(b"Content-Length: ") + 16
            length = int(head[length_at:].split(b"\r\n", 1)[0])
            if len(self._buffer) < start + length:
                return
            body, self._buffer = self._buffer[start : start + length], self._buffer[start + length :]
            self._tally.take(self._number, body, timed=self._timed)
            self._answer()

    def _answer(self) -> None:
        write = self._transport.write  # type: ignore[attr-defined]
        if self._delay is None:
            write(ANSWER)
        elif self._delay >= 0:
            asyncio.get_running_loop().call_later(self._delay, write, ANSWER)

    def _tell(self, head: bytes) -> None:
        if head.startswith(b"GET /reset"):
            self._tally.reset()
        body = json.dumps(self._tally.stats()).encode()
        self._transport.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body))  # type: ignore[attr-defined]


async def serve(arguments: argparse.Namespace) -> None:
    """Listen on all ports; the last ones are the slow and the dead, and one for questions."""
    loop, tally = asyncio.get_running_loop(), Tally()
    healthy = arguments.count - arguments.slow - arguments.dead
    tls = server_context(arguments.tls) if arguments.tls else None
    ports = []
    for number in range(arguments.count + 1):
        delay = None if number < healthy else arguments.delay if number < healthy + arguments.slow else -1.0
        made = partial(Subscriber, tally, number, delay, timed=delay is None)
        spoken = tls if number < arguments.count else None
        server = await loop.create_server(made, "127.0.0.1", 0, backlog=1_024, ssl=spoken)
        ports.append(server.sockets[0].getsockname()[1])
    print(json.dumps(ports), flush=True)
    await asyncio.Event().wait()


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("count", type=int)
    ask.add_argument("--slow", type=int, default=0)
    ask.add_argument("--dead", type=int, default=0)
    ask.add_argument("--delay", type=float, default=0.5)
    ask.add_argument("--tls", default="", help="a folder with a certificate")
    run(serve(ask.parse_args()))
