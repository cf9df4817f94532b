"""The records that outlive the process: of lanes, retries and dead letters, and what one commit saves of them."""

from dataclasses import dataclass, field
from typing import NamedTuple, Self

from eventbus.core.model import Account, FormerFilter, Interest, State, Subscription

#: When a retry is due that waits for its order key: never by itself.
BLOCKED_UNTIL = 1e12


@dataclass(frozen=True, slots=True)
class Span:
    """A part of the journal that a lane still has to work through."""

    replay_id: int  # 0 for live events, n for the lane's nth replay
    cursor: int  # every event up to here is settled, under way or deferred
    end: int | None  # the last event of the part; None for live
    remaining: int  # matching events after the cursor
    topics: tuple[str, ...] = ()  # what a replay chooses by; the live part goes by the lane's interests
    skipped: tuple[int, ...] = ()  # events after the cursor that an operator has skipped: dead letters by now


@dataclass(frozen=True, slots=True)
class Past:
    """What a delivery has behind it that was a dead letter: the replay that put it back, and its attempts until then.

    ``replay`` is the replay's id; ``first_at`` is in seconds since 1970, None where it had not been attempted.
    ``expires`` is false where it was put back by its own id: it is attempted whether its event has expired or not.
    """

    replay: str
    attempts: int
    first_at: float | None
    expires: bool = True


class FailedDelivery(NamedTuple):
    """How one event failed for a lane: ``dead``, with its attempts and what the last one gave, or ``discarded``."""

    key: str
    state: str
    attempts: int = 0
    status: int | None = None
    error: str = ""

    @classmethod
    def of(cls, letter: "DeadLetter") -> Self:
        """Return how the event of a dead letter failed."""
        return cls(letter.key, "dead", letter.attempts, letter.status, letter.error)


@dataclass(frozen=True, slots=True)
class Retry:
    """One delivery that waits for its next attempt, or for its order key. Times are seconds since 1970.

    ``attempts`` counts all, ``first_at`` is of the first one after the last replay.
    """

    key: str
    seq: int
    replay_id: int
    attempts: int
    first_at: float
    due_at: float
    status: int | None
    error: str
    past: Past | None = None
    order_key: str | None = None  # the event's; "" without one, None where it is not known

    @property
    def blocked(self) -> bool:
        """Whether an earlier event with the same order key has to be settled first."""
        return self.due_at >= BLOCKED_UNTIL


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One delivery that will not be attempted again. Times are seconds since 1970."""

    key: str
    seq: int
    replay_id: int
    reason: str
    attempts: int
    first_at: float | None
    last_at: float
    status: int | None
    error: str
    answer: bytes  # the first KiB of the last answer's body
    event_id: str = ""  # the event's own id, topic and key, where its body was given up, and it is perhaps gone
    topic: str | None = None
    order_key: str = ""
    dead_to: str = ""  # the topic under which it has to be published yet


@dataclass(frozen=True, slots=True)
class Pause:
    """A pause by an operator, whose client had the address ``client``. Times are seconds since 1970."""

    client: str
    since: float
    until: float | None  # None where it lasts until somebody ends it


@dataclass(frozen=True, slots=True)
class LaneRecord:
    """All that a lane, or a member of a group, needs to carry on after a restart, but for its retries."""

    subscriber: Subscription
    registered_at: float
    renewed_at: float
    ended_at: float | None
    spans: tuple[Span, ...]  # the live one first
    in_flight: tuple[tuple[int, int], ...]  # (seq, run) of first attempts under way
    account: Account
    failed_attempts: int
    runs: int  # replays so far
    interests: tuple[Interest, ...]
    replayed: tuple[Interest, ...] = ()
    former_filters: tuple[FormerFilter, ...] = ()  # that it had, the oldest first
    scanned: int = 0  # every event up to here is in the account
    state: State = State.OK
    failures: int = 0  # times in a row that the subscriber was down
    not_before: float = 0  # seconds since 1970 of the next attempt, when down or paused
    wait_seconds: float | None = None  # from when this was saved until not_before; None in records of older versions
    down_since: float | None = None
    last_error: str = ""
    last_error_at: float | None = None  # seconds since 1970
    former_attempts: int = 0  # attempts of earlier registrations, successes included
    expired: bool = False  # its lease ended, and what was pending then has become dead letters
    members: "tuple[LaneRecord, ...]" = ()  # of a group, in the order they joined; theirs have no spans and interests
    waiting: tuple[tuple[int, int], ...] = ()  # (seq, run) before the cursors that wait for their first attempt
    pause: Pause | None = None  # an operator's
    skipping: tuple[DeadLetter, ...] = ()  # what is in flight, but skipped: dead letters unless it is delivered

    @property
    def open(self) -> bool:
        """Whether a bus has to carry on with this lane after a restart."""
        kept = self.subscriber.options.resume and self.interests[-1].until is None
        return self.ended_at is None or kept or self.account.pending > 0


@dataclass(frozen=True, slots=True)
class Discard:
    """A span of numbers that a lane will not deliver: all that were pending there. ``first`` may equal ``last``."""

    key: str
    first: int
    last: int


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What one commit saves of lanes, and of what was decided about them: all of it, or nothing."""

    at: float  # seconds since 1970
    scanned: int  # every event up to here is in the saved account of each lane that it is for
    lanes: tuple[LaneRecord, ...] = ()
    forgotten: tuple[str, ...] = ()  # lanes that are removed
    retries: tuple[Retry, ...] = ()
    settled_retries: tuple[tuple[str, int, int], ...] = ()  # (key, seq, run) that wait no more
    filtered_retries: tuple[
        tuple[str, int, int], ...
    ] = ()  # of these, dead letters that were put back, and did not match
    cleared: tuple[str, ...] = ()  # lanes for which all that was deferred is discarded
    dead: tuple[DeadLetter, ...] = ()
    replayed: tuple[int, ...] = ()  # ids of dead letters that wait for an attempt again
    replay: str = ""  # the id of the replay for which they do
    replay_expires: bool = True  # whether these may expire again; see Past
    dropped: tuple[int, ...] = ()  # ids of dead letters that are discarded
    discards: tuple[Discard, ...] = ()
    hastened: tuple[str, ...] = ()  # lanes whose retries are due now, but for those that wait for their order key
    registers: tuple[tuple[str, str], ...] = ()  # addresses that register, each with its lane: its own, or its group's

    @property
    def empty(self) -> bool:
        """Whether nothing has changed, but perhaps how far the journal has been offered."""
        rows = self.lanes or self.retries or self.settled_retries or self.dead or self.forgotten
        return not (rows or self.cleared or self.replayed or self.dropped or self.discards or self.hastened)


@dataclass(frozen=True, slots=True)
class Recovered:
    """What a journal held when it was opened."""

    last_seq: int
    scanned: int
    lanes: tuple[LaneRecord, ...]
    retries: dict[str, int] = field(default_factory=dict)  # how many wait, by lane
    remarks: tuple[str, ...] = ()  # what an operator should know, such as what was dropped
