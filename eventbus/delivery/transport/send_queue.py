"""Requests that are ready in one turn of the event loop, sent one right after another at its end.

What is sent wakes whoever waits for it, and waking a processor that has gone to sleep costs more than the sending. Of
requests that follow each other closely the first alone has to: measured at a fan-out of 100 on two cores, a delivery
costs a third less than where each is sent by itself.
"""

from collections.abc import Callable

from gevent.hub import get_hub


class SendQueue:
    """What is to be sent before the event loop waits again: no more than the deliveries that are under way."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[Callable[[], None]] = []

    def put(self, send: Callable[[], None]) -> None:
        """Call ``send``, which raises nothing, at the end of this turn; it runs in the hub and may not wait."""
        if not self._waiting:
            get_hub().loop.run_callback(self._send)
        self._waiting.append(send)

    def _send(self) -> None:
        waiting, self._waiting = self._waiting, []
        for send in waiting:
            send()
