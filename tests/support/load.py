"""A steady load of numbers, whose handling can be counted."""

import threading
import time
from typing import Self

from eventbus.client import Bus

#: Seconds of events that are published at once.
BATCH_SECONDS = 0.05


class Load:
    """Publishes numbers at a steady rate, all that are due at once; ``published`` are how many the bus has."""

    def __init__(self, port: int, rate: int) -> None:
        self.published = 0
        self._bus = Bus(f"http://127.0.0.1:{port}")
        self._rate = rate
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run)

    def _run(self) -> None:
        began = time.monotonic()
        while not self._over.wait(BATCH_SECONDS):
            due = int((time.monotonic() - began) * self._rate)
            self._bus.publish_many("load.numbers", range(self.published, due))
            self.published = due

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()
        self._bus.close()
