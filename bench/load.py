"""Publishes over kept connections, closed-loop or at a rate, and prints what became of it as JSON.

python -m bench.load PORT --seconds S [--connections N] [--size BYTES] [--rate PER_SECOND] [--batch N]
"""

import argparse
import asyncio
import json
import time

from bench.loop import run


class Publisher(asyncio.Protocol):
    """One connection: sends a request, waits for its answer, sends the next."""

    def __init__(self, work: "Work") -> None:
        self._work = work
        self._buffer = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self._transport = transport
        self._work.next(self)

    def send(self, request: bytes, due: float) -> None:
        """Send one request; its latency counts from when it was due."""
        self._due = due
        self._transport.write(request)  # type: ignore[attr-defined]

    def close(self) -> None:
        """No more is to be published."""
        self._transport.close()

    def data_received(self, data: bytes) -> None:
        """Take an answer, and go on."""
        self._buffer += data
        end = self._buffer.find(b"\r\n\r\n")
        if end < 0 or len(self._buffer) < end + 4 + _length(self._buffer[:end]):
            return
        accepted = self._buffer.startswith(b"HTTP/1.1 200")
        self._buffer = b""
        self._work.answered(accepted=accepted, seconds=time.monotonic() - self._due)
        self._work.next(self)

    def connection_lost(self, _: Exception | None) -> None:
        """The end, foreseen or not."""
        self._work.lost(self)


def _length(head: bytes) -> int:
    return int(head.split(b"Content-Length: ", 1)[1].split(b"\r\n", 1)[0])


class Work:
    """What is to be published, and what became of it."""

    def __init__(self, arguments: argparse.Namespace) -> None:
        self._arguments = arguments
        self._start = time.monotonic()
        self._number = 0
        self._open = arguments.connections
        self._done = asyncio.Event()
        self._accepted = self._refused = 0
        self._latencies: list[float] = []
        path = "/sendMessage?batch=lines" if arguments.batch > 1 else "/sendMessage"
        length = (arguments.size + 1) * arguments.batch - 1
        self._head = f"POST {path} HTTP/1.1\r\nHost: bus\r\nContent-Length: {length}\r\n\r\n".encode()

    def next(self, publisher: Publisher) -> None:
        """Let a connection publish when its next request is due."""
        number, self._number = self._number, self._number + self._arguments.batch
        now = time.monotonic()
        due = self._start + number / self._arguments.rate if self._arguments.rate else now
        if due - self._start >= self._arguments.seconds:
            publisher.close()
        elif due <= now:
            publisher.send(self._request(number), due)
        else:
            asyncio.get_running_loop().call_later(due - now, self._send_later, publisher, number, due)

    def answered(self, *, accepted: bool, seconds: float) -> None:
        """Count an answer."""
        if accepted:
            self._accepted += self._arguments.batch
            self._latencies.append(seconds * 1e3)
        else:
            self._refused += self._arguments.batch

    def lost(self, _: Publisher) -> None:
        """A connection has ended."""
        self._open -= 1
        if not self._open:
            self._done.set()

    async def result(self) -> dict[str, float]:
        """What became of it, once all connections have ended."""
        await self._done.wait()
        ranked = sorted(self._latencies) or [0.0]
        return {
            "accepted": self._accepted,
            "refused": self._refused,
            "seconds": time.monotonic() - self._start,
            "p50": ranked[len(ranked) // 2],
            "p99": ranked[int(len(ranked) * 0.99)],
        }

    def _send_later(self, publisher: Publisher, number: int, due: float) -> None:
        publisher.send(self._request(number), due)

    def _request(self, first: int) -> bytes:
        bodies = (b"%016x%016x" % (first + n, time.time_ns()) for n in range(self._arguments.batch))
        return self._head + b"\n".join(body.ljust(self._arguments.size, b"x") for body in bodies)


async def publish(arguments: argparse.Namespace) -> None:
    """Open the connections, and wait until all is published."""
    loop, work = asyncio.get_running_loop(), Work(arguments)
    for _ in range(arguments.connections):
        await loop.create_connection(lambda: Publisher(work), "127.0.0.1", arguments.port)
    print(json.dumps(await work.result()))


if __name__ == "__main__":
    ask = argparse.ArgumentParser(description=__doc__)
    ask.add_argument("port", type=int)
    ask.add_argument("--seconds", type=float, default=4)
    ask.add_argument("--connections", type=int, default=32)
    ask.add_argument("--size", type=int, default=1_024, help="bytes in a body, at least 32")
    ask.add_argument("--rate", type=float, default=0, help="events a second; 0 publishes as fast as answers come")
    ask.add_argument("--batch", type=int, default=1, help="events in one request, a line each")
    run(publish(ask.parse_args()))
