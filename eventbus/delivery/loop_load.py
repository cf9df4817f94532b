"""Whether the event loop has time left: more attempts in flight are of use only where it has.

Here is also what waits for the loop's next turn: work whose length a peer decides, once it has taken long in one turn.
"""

import math
import time
from collections import deque
from typing import Any

from gevent import getcurrent
from gevent.hub import Waiter, get_hub

from eventbus.delivery.fair_queue import FairQueue

#: Seconds over which the loop's load is measured.
SATURATION_SPAN_SECONDS = 0.02
#: With less than this part of the time spent waiting, the loop is saturated.
MIN_IDLE_SHARE = 0.1
#: Seconds for which the longest turn is remembered, at least; at most twice as long.
LAG_SPAN_SECONDS = 15.0
#: Seconds that a turn of the loop has taken when work that may be long waits for the turn's end, and that what waits
#: for it takes there.
TURN_SECONDS = 0.001
#: The same for work that others wait for.
URGENT_TURN_SECONDS = 0.01
#: Seconds for which it counts that several peers have had requests, at least; at most twice as long.
PEERS_SPAN_SECONDS = 1.0
#: Runs after gevent's own callbacks of the same kind.
_LAST = -2


class LoopLoad:
    """Measures how long the loop waits for something to happen (libev's ``prepare`` and ``check`` watchers)."""

    def __init__(self) -> None:
        self.saturated = False
        self._waiting_since = self._span_began = self._lag_began = time.monotonic()
        self.turn_began = math.inf  #: when a turn of the loop, or its end, began; never, while nothing is measured
        self._looked = time.monotonic()  # when the loop last looked for what had arrived
        self._next_turn: FairQueue[Waiter[None]] = FairQueue()  # by the peer for which it works
        self._peers: set[str] = set()  # whose requests have begun lately
        self._several_peers = False  # in the span before
        self._peers_began = time.monotonic()
        self._urgent: deque[Waiter[None]] = deque()  # wait for the next turn, too, and go on before the others
        self._waited = 0.0
        self._longest = self._longest_before = 0.0  # seconds of a turn, in this span and in the one before

    def start(self) -> None:
        """Begin to measure."""
        loop: Any = get_hub().loop
        self._prepare = loop.prepare(ref=False, priority=_LAST)
        self._check = loop.check(ref=False)
        self._idle = loop.idle(ref=False)
        self.turn_began = self._looked = time.monotonic()
        self._prepare.start(self._begin_wait)
        self._check.start(self._end_wait)

    def stop(self) -> None:
        """Stop measuring."""
        self.turn_began = math.inf
        waiters = [*self._urgent, *(self._next_turn.pop() for _ in range(len(self._next_turn)))]
        self._urgent.clear()
        for waiter in waiters:
            get_hub().loop.run_callback(waiter.switch, None)
        for watcher in (self._prepare, self._check, self._idle):
            watcher.stop()
            watcher.close()
        self.saturated = False

    def give_way(self) -> None:
        """Wait for the end of the loop's turn, or of a later one, if this one has taken long.

        Call it between two steps of work whose length a peer decides. However many such works there are, a turn takes
        at most twice TURN_SECONDS and a step. State that others see has to be consistent meanwhile. Of several peers
        each has a turn before one has another.
        """
        if time.monotonic() - self.turn_began > TURN_SECONDS:
            self._wait_for_turn()

    def begin_request(self, peer: str) -> None:
        """Give way before a request is handled, where the turn has taken long, and other peers have had some lately.

        What this greenlet does from now on is for this ``peer``. One alone waits for nobody.
        """
        getcurrent().peer = peer  # type: ignore[attr-defined]
        self._peers.add(peer)
        if self._several_peers or len(self._peers) > 1:
            self.give_way()

    def give_way_urgently(self) -> None:
        """Give way in work that others wait for, such as all publishers: it gets more of a turn, and goes on first."""
        if self.urgent_turn_is_over():
            waiter: Waiter[None] = Waiter()
            self._urgent.append(waiter)
            self._wait(waiter)

    def urgent_turn_is_over(self) -> bool:
        """Return whether the turn has taken long for work that others wait for."""
        return time.monotonic() - self.turn_began > URGENT_TURN_SECONDS

    def _wait_for_turn(self) -> None:
        waiter: Waiter[None] = Waiter()
        self._next_turn.put(getattr(getcurrent(), "peer", ""), waiter)
        self._wait(waiter)

    def _wait(self, waiter: "Waiter[None]") -> None:
        if not self._idle.active:
            self._idle.start(_nothing)  # so that the loop looks at what has come, and does not wait for it
        waiter.get()

    def _release(self) -> None:
        """Resume what waits for a turn, peer by peer, at least one, until that has taken long, too."""
        self.turn_began = time.monotonic()
        if self._urgent:
            self._urgent.popleft().switch(None)
        for _ in range(len(self._next_turn)):
            self._next_turn.pop().switch(None)
            if time.monotonic() - self.turn_began > TURN_SECONDS:
                break

    def lag(self) -> float:
        """Return the seconds of the longest recent turn: how long what arrived waited until it was looked at."""
        return max(self._longest, self._longest_before)

    def _begin_wait(self) -> None:
        """Resume what waits for the end of the turn; then the loop looks for what has arrived.

        So what arrives waits for long work once, not twice: it has its turn before this.
        """
        if self._next_turn or self._urgent:
            self._release()
        elif self._idle.active:
            self._idle.stop()
        now = self._waiting_since = time.monotonic()
        self._longest = max(self._longest, now - self._looked)

    def _end_wait(self) -> None:
        now = self.turn_began = self._looked = time.monotonic()
        self._waited += now - self._waiting_since
        span = now - self._span_began
        if span >= SATURATION_SPAN_SECONDS:
            self.saturated = self._waited < MIN_IDLE_SHARE * span
            self._span_began, self._waited = now, 0.0
            if now - self._peers_began >= PEERS_SPAN_SECONDS:
                self._several_peers, self._peers_began = len(self._peers) > 1, now
                self._peers.clear()
            if now - self._lag_began >= LAG_SPAN_SECONDS:
                self._longest_before, self._longest, self._lag_began = self._longest, 0.0, now


def _nothing() -> None:
    """Keep the loop awake."""
