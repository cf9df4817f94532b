"""Sends the requests of one event loop iteration together, at its end.

A request wakes the subscriber's process, and waking a sleeping processor costs more than sending. When requests follow
each other closely, only the first one pays for it. Measured at a fan-out of 100 on two cores, a delivery costs a third
less than with requests sent one by one.
"""

from collections.abc import Callable

from gevent.hub import get_hub


class SendQueue:
    """The requests to send before the event loop waits again; at most one for each delivery in flight."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def put(self, send: Callable[[], None]) -> None:
        """Call ``send`` at the end of this iteration, in the hub; it must not raise or block."""
        if not self._waiting:
            get_hub().loop.run_callback(self._send)
        self._waiting.append(send)

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for send in waiting:
            send()
