"""The contract of a journal. Every implementation passes tests/contract/test_journal.py."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Protocol

from eventbus.core.journal_quota import SampledEvent
from eventbus.core.model import Checkpoint, DeadLetter, Event, LaneRecord, Message, Recovered, Retry

#: Seconds that an idempotency key is remembered.
IDEMPOTENCY_SECONDS = 86_400
#: Idempotency keys that are kept at most; past this the oldest go before their day is over.
MAX_IDEMPOTENCY_KEYS = 1_000_000
#: Bytes that an idempotency key takes beside itself and the ids that it stands for, about.
KEY_OVERHEAD = 120
#: Replays of dead letters that are known at most; past this the oldest is forgotten with each new one.
MAX_REDELIVERIES = 1_000

#: Called with each committed batch, in the journal's order, before its publishers are answered.
CommitListener = Callable[[Sequence[Event]], None]
#: Called with what each commit took in seconds, and the events in it and the bytes of their bodies; 0 for places alone.
CommitWatcher = Callable[[float, int, int], None]


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the journal in order; every event up to ``cursor`` has been looked at."""

    events: tuple[Event, ...]
    cursor: int


@dataclass(frozen=True, slots=True)
class Appended:
    """What became of a publish: the events' ids, and whether its idempotency key had been seen before."""

    ids: tuple[str, ...]
    duplicate: bool = False


@dataclass(frozen=True, slots=True)
class KeptDeadLetter:
    """A dead letter with its id, which counts upward."""

    id: int
    letter: DeadLetter
    event_id: str
    topic: str | None


@dataclass(frozen=True, slots=True)
class Redelivery:
    """Dead letters that were put back together at a moment (seconds since 1970), and what has become of them."""

    id: str
    at: float
    replayed: int
    delivered: int = 0
    dead: int = 0  # again
    discarded: int = 0

    @property
    def pending(self) -> int:
        """Those that are not settled."""
        return self.replayed - self.delivered - self.dead - self.discarded


@dataclass(frozen=True, slots=True)
class Usage:
    """How much a journal holds: bytes in use, and events; ``memory`` is the part of its server's that is in use."""

    bytes: int
    events: int
    memory: float = 0.0
    max_bytes: int | None = None  # that it may hold just now, because its disk is full


class Journal(Protocol):
    """Keeps events, lanes and what waits. Greenlets may call it at once; a call waits for its own work alone.

    Whatever returns has been made durable. Every call that writes raises JournalFull when there is no room
    and JournalUnavailable when the write failed; nothing of it is kept then.
    """

    def open(self) -> Recovered:
        """Open or create the journal, and read back what it holds. Raises JournalError or JournalLocked."""

    def listen(self, listener: CommitListener) -> None:
        """Call the listener with each batch of events from now on."""

    def watch(self, watcher: CommitWatcher) -> None:
        """Tell the watcher of each commit from now on."""

    def append(self, messages: Sequence[Message], idempotency_key: str | None = None) -> Appended:
        """Keep messages, all or none, and return when they are safe.

        A key that was given before (within 24 hours) keeps nothing and answers with the first publish's events.
        Raises KeyReused where that had other topics or bodies.
        """

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Save what has changed in the lanes."""

    def wait_durable(self) -> None:
        """Return when what was saved is wherever an event has to be, to count as accepted."""

    def probe(self) -> None:
        """Find out whether an event would be kept now, by writing what changes nothing. Raises JournalError."""

    def page(self, after: int, end: int, limit: int, max_bytes: int) -> Page:
        """Read up to ``limit`` events after ``after``, to ``end``; more than one only while they fit ``max_bytes``."""

    def topics(self, after: int, end: int, limit: int) -> list[tuple[int, str | None, float]]:
        """Numbers, topics and times of up to ``limit`` events after ``after``, without their bodies."""

    def find(self, seqs: Sequence[int]) -> list[Event]:
        """The events with these numbers that are still there."""

    def event(self, event_id: str) -> Event | None:
        """The newest event with this id."""

    def position_at(self, moment: float) -> int:
        """The number after which all events were accepted at or after ``moment``, seconds since 1970."""

    def retries(self, key: str, *, by_seq: bool, limit: int) -> list[Retry]:
        """The first deferred deliveries of a lane, by due time or by number."""

    def sample(self, seqs: Sequence[int]) -> list[SampledEvent]:
        """Of events with these numbers those that are there, and who needs them."""

    def give_up_bodies(self, letters: Sequence[KeptDeadLetter]) -> None:
        """Let dead letters go without the bodies of their events, which may be removed then."""

    def retries_of_event(self, seq: int) -> list[Retry]:
        """The deferred deliveries of an event."""

    def lane(self, key: str) -> LaneRecord | None:
        """What is kept of a lane, ended ones too."""

    def closed_lanes(self, before: float, limit: int) -> list[LaneRecord]:
        """Lanes that are settled and ended before a moment."""

    def closed_size(self) -> tuple[int, int]:
        """How many lanes are settled and ended, and the bytes that their records take, judged by the newest of them."""

    def newest_closed(self, skip: int, limit: int) -> list[LaneRecord]:
        """Lanes that are settled and ended, those that ended last first, but for so many of them."""

    def dead_letters(self, key: str | None, after: int, limit: int) -> list[KeptDeadLetter]:
        """Dead letters with ids above ``after``, of one subscriber or of all."""

    def dead_letter(self, letter_id: int) -> KeptDeadLetter | None:
        """One dead letter by its id."""

    def replay(self, replay_id: str) -> Redelivery | None:
        """A replay of dead letters, one of the newest ``MAX_REDELIVERIES``."""

    def failed_deliveries(self, seq: int) -> list[tuple[str, str]]:
        """Who did not get an event for good: (key, ``dead`` or ``discarded``)."""

    def last_dead_letter(self) -> int:
        """The highest id of a dead letter; 0 without any."""

    def dead_before(self, moment: float, limit: int) -> list[KeptDeadLetter]:
        """The oldest dead letters that were last attempted before ``moment``."""

    def trim(self, seqs: Sequence[int], forget_before: float, max_key_bytes: int | None = None) -> int:
        """Remove events, but for those that a deferred delivery or a dead letter refers to.

        Who discarded what before ``forget_before`` is forgotten too, and idempotency keys that have had their day; the
        oldest of those go before where all together take more than ``max_key_bytes``. Some go at a time.
        Answers how many events went.
        """

    def usage(self) -> Usage:
        """How much is held."""

    def close(self) -> None:
        """Finish what was begun, and close."""
