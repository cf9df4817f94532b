"""How long to wait between two tries: exponential, with full jitter.

https://aws.amazon.com/blogs/architecture/exponential-backoff-and-jitter/
"""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Backoff:
    """Waits up to ``first`` seconds, doubling up to ``longest``, until ``max_elapsed`` seconds have passed in all."""

    first: float = 0.1
    longest: float = 5.0
    max_elapsed: float = 60.0

    def wait(self, tries: int, rng: float, retry_after: float | None = None) -> float:
        """Seconds to wait after so many tries; ``rng`` is from 0 to 1, ``retry_after`` what the bus asked for."""
        cap = min(self.longest, self.first * 2.0 ** min(tries - 1, 64))
        return (retry_after or 0.0) + cap * rng


#: Tries once.
NO_RETRY = Backoff(max_elapsed=0.0)
