"""Connects to whichever of a name's addresses answers first (RFC 8305, happy eyeballs)."""

import socket
from collections import deque
from collections.abc import Callable, Sequence
from itertools import chain, zip_longest
from typing import Any

import gevent
from gevent.event import Event

from eventbus.core.networks import Ip

#: Seconds after which the next address is dialled beside those that have not answered.
ATTEMPT_DELAY_SECONDS = 0.25
#: Addresses that are dialled at the same time; the longest under way is given up for the next one.
MAX_AT_ONCE = 4

Connect = Callable[[Ip], socket.socket]


def connect_first(addresses: Sequence[Ip], connect: Connect, seconds: float) -> socket.socket:
    """Return a socket that is connected to the first address that answers; ``seconds`` is the time there is for all.

    Raises OSError, the last one, where all have failed. The caller bounds the time.
    """
    if len(addresses) == 1:
        return connect(addresses[0])
    if not addresses:
        raise OSError("the name has no address")
    return _Race(connect).run(interleaved(addresses), min(ATTEMPT_DELAY_SECONDS, seconds / 2 / len(addresses)))


def interleaved(addresses: Sequence[Ip]) -> list[Ip]:
    """Return the addresses by turns of IPv6 and IPv4, the first one's kind first (RFC 8305, section 4)."""
    first = [ip for ip in addresses if ip.version == addresses[0].version]
    second = [ip for ip in addresses if ip.version != addresses[0].version]
    return [ip for ip in chain.from_iterable(zip_longest(first, second)) if ip is not None]


class _Race:
    """Greenlets that each dial an address; one that connects when it is over closes its socket."""

    def __init__(self, connect: Connect) -> None:
        self._connect = connect
        self._running: dict[Any, None] = {}  # greenlets, the longest under way first
        self._changed = Event()
        self._over = False
        self._peer: socket.socket | None = None
        self._error = OSError("the name has no address")

    def run(self, addresses: Sequence[Ip], delay: float) -> socket.socket:
        """Start one after another, a delay apart or as soon as one has failed, until one has connected."""
        waiting = deque(addresses)
        try:
            while self._peer is None and (waiting or self._running):
                self._changed.clear()
                if waiting:
                    if len(self._running) == MAX_AT_ONCE:
                        self._give_up(next(iter(self._running)))
                    self._running[gevent.spawn(self._dial, waiting.popleft())] = None
                self._changed.wait(delay if waiting else None)
        except BaseException:
            if self._peer is not None:
                self._peer.close()
            raise
        finally:
            self._over = True
            for dialling in list(self._running):
                self._give_up(dialling)
        if self._peer is None:
            raise self._error
        return self._peer

    def _dial(self, ip: Ip) -> None:
        try:
            peer = self._connect(ip)
        except OSError as error:
            self._error = error
        else:
            if self._over or self._peer is not None:
                peer.close()
            else:
                self._peer = peer
        self._running.pop(gevent.getcurrent(), None)
        self._changed.set()

    def _give_up(self, dialling: Any) -> None:
        del self._running[dialling]
        dialling.kill(block=False)
