"""Lets others have their turns during long work on the event loop, such as what is done for each lane and event."""

import time

import gevent

#: Seconds of work after which others have a turn.
TURN_SECONDS = 0.003


class Turn:
    """Measures how long the work has held the loop. State that others see has to be sound whenever it gives way."""

    def __init__(self) -> None:
        self._began = time.monotonic()

    def give_way(self) -> None:
        """Let others have a turn if this one has been long enough."""
        if time.monotonic() - self._began >= TURN_SECONDS:
            gevent.sleep(0)
            self._began = time.monotonic()
