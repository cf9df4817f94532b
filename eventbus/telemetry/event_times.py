"""Acceptance times of events, from samples: accurate to a second for new events, and bounded in memory. Pure."""

import math
from bisect import bisect_right

#: Samples of new events, and of older ones, at most.
MAX_SAMPLES = 2_048
#: Seconds between two samples of new events, at least.
SAMPLE_SPACING_SECONDS = 1.0


class EventTimes:
    """Samples of sequence numbers and times, dense for new events, and ever sparser for older ones."""

    def __init__(self) -> None:
        self._new = _Samples(SAMPLE_SPACING_SECONDS)
        self._old = _Samples(SAMPLE_SPACING_SECONDS)

    def note(self, seq: int, at: float) -> None:
        """Take a sample, unless the last one is too recent."""
        self._new.take(seq, at)
        if len(self._new.seqs) > MAX_SAMPLES:
            for sample in self._new.pop_oldest(MAX_SAMPLES // 2):
                self._old.take(*sample)
            if len(self._old.seqs) > MAX_SAMPLES:
                self._old.thin()

    def cut(self, newest: int) -> None:
        """Forget the samples after an event, which were of removed events."""
        self._new.cut(newest)
        self._old.cut(newest)

    def at(self, seq: int) -> float | None:
        """Return when an event was accepted, in seconds since 1970; None without samples."""
        among = self._new if not self._old.seqs or seq >= next(iter(self._new.seqs), math.inf) else self._old
        return among.at(seq)

    def __len__(self) -> int:
        return len(self._new.seqs) + len(self._old.seqs)


class _Samples:
    def __init__(self, spacing: float) -> None:
        self.seqs: list[int] = []
        self._times: list[float] = []
        self._spacing = spacing

    def take(self, seq: int, at: float) -> None:
        if not self._times or at - self._times[-1] >= self._spacing:
            self.seqs.append(seq)
            self._times.append(at)

    def pop_oldest(self, count: int) -> list[tuple[int, float]]:
        """Remove and return the oldest samples."""
        oldest = list(zip(self.seqs[:count], self._times[:count], strict=True))
        del self.seqs[:count], self._times[:count]
        return oldest

    def cut(self, newest: int) -> None:
        """Remove the samples after a sequence number."""
        count = bisect_right(self.seqs, newest)
        del self.seqs[count:], self._times[count:]

    def thin(self) -> None:
        """Remove every other sample, and take new ones half as often."""
        del self.seqs[1::2], self._times[1::2]
        self._spacing *= 2

    def at(self, seq: int) -> float | None:
        index = bisect_right(self.seqs, seq)
        return self._times[max(0, index - 1)] if self._times else None
