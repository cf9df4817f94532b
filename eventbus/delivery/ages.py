"""When events were accepted, by number, from samples: good to a second or so, and bounded. Pure."""

from bisect import bisect_right

#: Samples that are kept; past this every other one goes.
MAX_SAMPLES = 4_096
#: Seconds between two samples, at least.
SPACING = 1.0


class Ages:
    """Numbers and times, both rising."""

    def __init__(self) -> None:
        self._seqs: list[int] = []
        self._times: list[float] = []

    def note(self, seq: int, at: float) -> None:
        """Take a sample, unless the last one is close."""
        if self._times and at - self._times[-1] < SPACING:
            return
        self._seqs.append(seq)
        self._times.append(at)
        if len(self._seqs) > MAX_SAMPLES:
            del self._seqs[1::2], self._times[1::2]

    def at(self, seq: int) -> float | None:
        """When the event with this number was accepted, seconds since 1970; None before any sample."""
        place = bisect_right(self._seqs, seq)
        return self._times[max(0, place - 1)] if self._times else None
