"""A replica of a service that is quick: the client's inbox under asyncio.

Usage: ``replica.py URL GROUP NOTES [ordered]``. It writes the body of each event that it handles to NOTES, a line each,
before it answers.
"""

import asyncio
import os
import signal
import sys

from eventbus.client import Bus, Inbox, Terms

#: Seconds of a lease, the shortest there are: what is not renewed is missed soon.
LEASE_SECONDS = 5
_END_OF_HEAD = b"\r\n\r\n"


class Connection(asyncio.Protocol):
    """One connection of the bus: it sends a request when it has got the answer to the one before."""

    def __init__(self, inbox: Inbox) -> None:
        self._inbox = inbox
        self._received = b""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep what is answered on."""
        assert isinstance(transport, asyncio.Transport)
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        """Answer a request that is whole."""
        self._received += data
        head, end, body = self._received.partition(_END_OF_HEAD)
        headers = [line.partition(": ")[::2] for line in head.decode("latin-1").split("\r\n")[1:]]
        if not end or len(body) < int(dict(headers)["Content-Length"]):
            return
        self._received = b""
        answer = self._inbox.dispatch("POST", headers, body)
        self._transport.write(b"HTTP/1.1 %d -\r\nContent-Length: 0\r\n\r\n" % answer.status)


async def main(url: str, group: str, notes: str, *options: str) -> None:
    """Serve until SIGTERM, and leave the group then."""
    loop, stopped = asyncio.get_running_loop(), asyncio.Event()
    file = os.open(notes, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
    inbox = Inbox(Bus(url), group=group, terms=Terms(lease=LEASE_SECONDS, ordered="ordered" in options))
    inbox.on()(lambda event: os.write(file, event.body + b"\n"))
    server = await loop.create_server(lambda: Connection(inbox), "127.0.0.1", 0)
    inbox.use_address(f"127.0.0.1:{server.sockets[0].getsockname()[1]}")
    loop.add_signal_handler(signal.SIGTERM, stopped.set)
    inbox.start()
    await stopped.wait()
    await asyncio.to_thread(inbox.close)
    server.close()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))
