"""The retry schedule: the delay before the next attempt is an exponential backoff with full jitter.

Why full jitter: https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from collections.abc import Callable

#: Seconds before the first retry, at most.
FIRST_DELAY_SECONDS = 0.5
#: Seconds before any retry, at most.
MAX_DELAY_SECONDS = 60.0
#: Both.
DEFAULT_BOUNDS = FIRST_DELAY_SECONDS, MAX_DELAY_SECONDS
#: Doublings beyond which any longest delay is reached; it keeps the power within a float.
_MAX_DOUBLINGS = 64


def full_jitter(tries: int, rng: float, first: float, longest: float) -> float:
    """Return the seconds to wait after ``tries`` attempts (from 1): up to ``first``, doubled each time to ``longest``.

    ``rng`` is from 0 to 1.
    """
    return rng * min(longest, first * 2.0 ** min(tries - 1, _MAX_DOUBLINGS))


def delay(failures: int, rng: Callable[[], float], bounds: tuple[float, float] = DEFAULT_BOUNDS) -> float:
    """Return the seconds to wait after consecutive failures (from 1); ``rng`` returns 0 to 1.

    ``bounds`` are the longest delay before the first retry, and before any.
    """
    return full_jitter(failures, rng(), *bounds)
