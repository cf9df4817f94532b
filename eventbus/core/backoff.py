"""How long to wait before the next attempt: exponential with full jitter.

Why full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from collections.abc import Callable

#: Seconds before the first retry, at most.
FIRST_DELAY = 0.5
#: Seconds before any retry, at most.
LONGEST_DELAY = 60.0
#: Beyond this many doublings the longest delay is reached.
_DOUBLINGS = 7


def delay(failures: int, rng: Callable[[], float]) -> float:
    """Seconds to wait after so many failures in a row (from 1); ``rng`` gives 0 to 1."""
    return rng() * min(LONGEST_DELAY, FIRST_DELAY * 2.0 ** min(failures - 1, _DOUBLINGS))
