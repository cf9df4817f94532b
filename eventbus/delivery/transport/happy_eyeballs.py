"""Connects to the first of a name's addresses that accepts (RFC 8305, happy eyeballs)."""

import socket
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from typing import Any

import gevent
from gevent.event import Event

from eventbus.core.networks import Ip

#: Seconds after which a connection to the next address is tried in parallel.
ATTEMPT_DELAY_SECONDS = 0.25
#: Connections that are tried in parallel; the oldest is cancelled for the next one.
MAX_PARALLEL_CONNECTS = 4

Connect = Callable[[Ip], socket.socket]


def connect_first(addresses: Sequence[Ip], connect: Connect, seconds: float) -> socket.socket:
    """Return a socket connected to the first address that accepts.

    Spread the attempts over ``seconds``; the caller enforces that time. Raise the last OSError if all attempts fail.
    """
    if len(addresses) == 1:
        return connect(addresses[0])
    if not addresses:
        raise OSError("the name has no address")
    return _ParallelConnect(connect).run(
        interleaved(addresses), min(ATTEMPT_DELAY_SECONDS, seconds / 2 / len(addresses))
    )


def interleaved(addresses: Sequence[Ip]) -> list[Ip]:
    """Return the addresses alternating between IPv6 and IPv4, beginning with the first one's family (RFC 8305, 4)."""
    first = [ip for ip in addresses if ip.version == addresses[0].version]
    second = [ip for ip in addresses if ip.version != addresses[0].version]
    return [ip for ip in chain.from_iterable(zip_longest(first, second)) if ip is not None]


class _ParallelConnect:
    """One greenlet per connection attempt; an attempt that succeeds after another one closes its socket."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._running: dict[Any, None] = {}  # greenlets, the oldest first
        self._changed = Event()
        self._finished = False
        self._peer: socket.socket | None = None
        self._error = OSError("the name has no address")

    def run(self, addresses: Sequence[Ip], delay: float) -> socket.socket:
        """Start attempts ``delay`` seconds apart, or as soon as one fails, until one connects; return its socket."""
        waiting = deque(addresses)
        try:
            while self._peer is None and (waiting or self._running):
                self._changed.clear()
                if waiting:
                    if len(self._running) == MAX_PARALLEL_CONNECTS:
                        self._cancel(next(iter(self._running)))
                    self._running[gevent.spawn(self._connect_socket, waiting.popleft())] = None
                self._changed.wait(delay if waiting else None)
        except BaseException:
            if self._peer is not None:
                self._peer.close()
            raise
        finally:
            self._finished = True
            for connecting in list(self._running):
                self._cancel(connecting)
        if self._peer is None:
            raise self._error
        return self._peer

    def _connect_socket(self, ip: Ip) -> None:
        try:
            peer = self._connect(ip)
        except OSError as error:
            self._error = error
        else:
            if self._finished or self._peer is not None:
                peer.close()
            else:
                self._peer = peer
        self._running.pop(gevent.getcurrent(), None)
        self._changed.set()

    def _cancel(self, connecting: Any) -> None:
        del self._running[connecting]
        connecting.kill(block=False)
