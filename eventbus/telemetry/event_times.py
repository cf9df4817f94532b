"""When events were accepted, by number, from samples: good to a second for new ones, and bounded. Pure."""

import math
from bisect import bisect_right

#: Samples of new events, and of older ones, that are kept.
MAX_SAMPLES = 2_048
#: Seconds between two samples of new events, at least.
SAMPLE_SPACING_SECONDS = 1.0


class EventTimes:
    """Numbers and times, both rising: the newest close together, older ones further apart the longer it runs."""

    def __init__(self) -> None:
        self._new = _Samples(SAMPLE_SPACING_SECONDS)
        self._old = _Samples(SAMPLE_SPACING_SECONDS)

    def note(self, seq: int, at: float) -> None:
        """Take a sample, unless the last one is close."""
        self._new.take(seq, at)
        if len(self._new.seqs) > MAX_SAMPLES:
            for sample in self._new.give(MAX_SAMPLES // 2):
                self._old.take(*sample)
            if len(self._old.seqs) > MAX_SAMPLES:
                self._old.thin()

    def cut(self, newest: int) -> None:
        """Forget the times of events after this one: there are none yet."""
        self._new.cut(newest)
        self._old.cut(newest)

    def at(self, seq: int) -> float | None:
        """When the event with this number was accepted, seconds since 1970; None before any sample."""
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

    def give(self, count: int) -> list[tuple[int, float]]:
        """Take out the oldest."""
        given = list(zip(self.seqs[:count], self._times[:count], strict=True))
        del self.seqs[:count], self._times[:count]
        return given

    def cut(self, newest: int) -> None:
        """Take out those after this number."""
        count = bisect_right(self.seqs, newest)
        del self.seqs[count:], self._times[count:]

    def thin(self) -> None:
        """Every other one goes, and new ones come half as often."""
        del self.seqs[1::2], self._times[1::2]
        self._spacing *= 2

    def at(self, seq: int) -> float | None:
        place = bisect_right(self.seqs, seq)
        return self._times[max(0, place - 1)] if self._times else None
