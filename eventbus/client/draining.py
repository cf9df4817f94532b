"""Drain: renew so that the bus starts nothing new here, until nothing is in flight."""

import time
from collections.abc import Callable

from eventbus.client.subscribers import Subscriber

#: Seconds between two renewals: at first, and at most.
FIRST_POLL_SECONDS, LONGEST_POLL_SECONDS = 0.05, 0.5


def drain(renew: Callable[[], Subscriber], seconds: float) -> bool:
    """Renew until nothing is in flight, for so many seconds at most; return whether that is so.

    ``renew`` is a renewal with ``drain``, and what it raises is raised.
    """
    ends, wait = time.monotonic() + seconds, FIRST_POLL_SECONDS
    while renew().in_flight:
        left = ends - time.monotonic()
        if left <= 0:
            return False
        time.sleep(min(wait, left))
        wait = min(2 * wait, LONGEST_POLL_SECONDS)
    return True
