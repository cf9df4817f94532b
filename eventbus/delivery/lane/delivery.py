"""A delivery: one event for one subscription, from its first attempt on. Pure."""

from dataclasses import dataclass
from typing import Self

from eventbus.core.records import DeadLetter, Past


@dataclass(slots=True, eq=False)
class Delivery:
    """One event for one subscription. Times are seconds on the monotonic clock."""

    seq: int
    replay_id: int = 0
    attempts: int = 0
    first: float = 0.0  # when it was first attempted
    began: float = 0.0  # when its last attempt began
    due: float = 0.0
    status: int | None = None
    error: str = ""
    kept: bool = False  # the journal has, or is about to get, a row for it
    past: Past | None = None
    max_batch: int = 1_000  # events that it may be sent with in one request, itself included
    failed_at: tuple[str, ...] = ()  # members of the group at which it failed since its last pause, by address
    skipped: DeadLetter | None = None  # what it becomes unless the attempt in flight succeeds: an operator says so
    order_key: str | None = None  # empty without one; None where it is not known, or nobody asks for it

    @property
    def tries(self) -> int:
        """Return the attempts since the delivery was redelivered, or all of them."""
        return self.attempts if self.past is None else self.attempts - self.past.attempts

    @property
    def expires(self) -> bool:
        """Return whether it is not attempted once its event has expired."""
        return self.past is None or self.past.expires

    def begin(self, now: float) -> Self:
        """Begin an attempt; return the delivery."""
        if not self.tries:
            self.first = now
        self.began = now
        self.attempts += 1
        return self

    def first_at(self, now: float, wall: float) -> float | None:
        """Return when the first attempt began, in seconds since 1970; None if there was none."""
        if self.past is not None and self.past.first_at is not None:
            return self.past.first_at
        return wall - (now - self.first) if self.attempts else None
