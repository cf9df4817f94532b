"""The contract of a journal. Every implementation passes tests/contract/test_journal.py."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple, Protocol

from eventbus.core.journal_quota import SampledEvent
from eventbus.core.model import Event, Message
from eventbus.core.records import Checkpoint, DeadLetter, FailedDelivery, LaneRecord, Recovered, Retry
from eventbus.journal.backup import JournalBackup
from eventbus.journal.schedule import JournalSchedule, ScheduleQueries

#: Seconds that an idempotency key is remembered.
IDEMPOTENCY_SECONDS = 86_400
#: Idempotency keys that are kept at most; beyond, the oldest are removed before their day is over.
MAX_IDEMPOTENCY_KEYS = 1_000_000
#: Bytes that an idempotency key takes beside itself and the ids that it stands for, about.
KEY_OVERHEAD = 120
#: Redeliveries of dead letters whose outcome is kept; beyond, the oldest is forgotten with each new one.
MAX_REDELIVERIES = 1_000

#: Called with each committed batch, in the journal's order, before its publishers are answered.
CommitListener = Callable[[Sequence[Event]], None]
#: Called with the seconds that each commit took, its events and the bytes of their bodies (0 for checkpoints alone).
CommitWatcher = Callable[[float, int, int], None]


@dataclass(frozen=True, slots=True)
class Page:
    """A part of the journal in order; the next one begins after ``cursor``."""

    events: tuple[Event, ...]
    cursor: int


#: A retry of a lane, by sequence number and replay id.
Row = tuple[int, int]
#: What is before the first retry.
FIRST_ROW: Row = (-1, 0)


class EventName(NamedTuple):
    """What names an event, and its order key, which is empty without one."""

    id: str
    order_key: str


@dataclass(frozen=True, slots=True)
class Appended:
    """The ids of a publish's events, and whether its idempotency key had been used before.

    ``due_at`` is when they are due, in seconds since 1970, where they were scheduled; None where they were not.
    """

    ids: tuple[str, ...]
    duplicate: bool = False
    due_at: float | None = None


@dataclass(frozen=True, slots=True)
class KeptDeadLetter:
    """A dead letter with its id, which counts upward."""

    id: int
    letter: DeadLetter
    event_id: str
    topic: str | None
    order_key: str = ""


@dataclass(frozen=True, slots=True)
class Redelivery:
    """Dead letters that were put back together at a moment (seconds since 1970), and their outcome."""

    id: str
    at: float
    replayed: int
    delivered: int = 0
    dead: int = 0  # again
    discarded: int = 0
    filtered: int = 0

    @property
    def pending(self) -> int:
        """Those that are not settled."""
        return self.replayed - self.delivered - self.dead - self.discarded - self.filtered


@dataclass(frozen=True, slots=True)
class Usage:
    """How much a journal holds: bytes in use, and events; ``memory`` is the part of its server's memory in use."""

    bytes: int
    events: int
    memory: float = 0.0
    max_bytes: int | None = None  # that it may hold at the moment, because its disk is full


class JournalQueries(ScheduleQueries, Protocol):
    """What can be read from a journal. All methods raise JournalUnavailable."""

    def page(self, after: int, end: int, limit: int, max_bytes: int) -> Page:
        """Return up to ``limit`` events after ``after`` to ``end``; more than one only while they fit ``max_bytes``."""

    def topics(self, after: int, end: int, limit: int) -> list[tuple[int, str | None, float]]:
        """Return sequence numbers, topics and times of up to ``limit`` events after ``after``, to ``end``."""

    def sizes(self, after: int, end: int, limit: int) -> list[tuple[int, int]]:
        """Return sequence numbers of up to ``limit`` events after ``after``, to ``end``, and the bytes of each."""

    def find(self, seqs: Sequence[int]) -> list[Event]:
        """Return the events with these sequence numbers that still exist, in order."""

    def event(self, event_id: str) -> Event | None:
        """Return the newest event with this id."""

    def position_at(self, moment: float) -> int:
        """Return the sequence number after which all events were accepted at or after a moment (seconds since 1970)."""

    def sample(self, seqs: Sequence[int]) -> list[SampledEvent]:
        """Return, of the events with these sequence numbers that exist, their bytes and who holds them back."""

    def names(self, seqs: Sequence[int]) -> dict[int, EventName]:
        """Return ids and order keys of the events with these sequence numbers that still exist, without bodies."""

    def retries(self, key: str, *, by_seq: bool, limit: int, after: Row = FIRST_ROW) -> list[Retry]:
        """Return the first retries of a lane by due time, or those after one by sequence number and replay."""

    def retries_of_key(self, key: str, order_key: str, limit: int) -> list[Retry]:
        """Return the first retries of a lane and an order key, which is not empty, by sequence number."""

    def retries_of_event(self, seq: int) -> list[Retry]:
        """Return the retries of an event, in all lanes."""

    def lane(self, key: str) -> LaneRecord | None:
        """Return the record of a lane, open or closed."""

    def closed_lanes(self, before: float, limit: int) -> list[LaneRecord]:
        """Return closed lanes that ended before a moment (seconds since 1970), oldest first."""

    def closed_size(self) -> tuple[int, int]:
        """Return how many lanes are closed, and about how many bytes their records take."""

    def newest_closed(self, skip: int, limit: int) -> list[LaneRecord]:
        """Return closed lanes, those that ended last first, without the first ``skip``."""

    def dead_letters(self, key: str | None, after: int, limit: int) -> list[KeptDeadLetter]:
        """Return dead letters with ids above ``after``, of one subscription or of all."""

    def dead_letter(self, letter_id: int) -> KeptDeadLetter | None:
        """Return one dead letter by its id."""

    def last_dead_letter(self) -> int:
        """Return the highest id of a dead letter; 0 if there is none."""

    def dead_before(self, moment: float, limit: int) -> list[KeptDeadLetter]:
        """Return dead letters that were last attempted before a moment (seconds since 1970), oldest first."""

    def replay(self, replay_id: str) -> Redelivery | None:
        """Return a redelivery of dead letters, one of the newest ``MAX_REDELIVERIES``."""

    def unpublished_letters(self, limit: int) -> list[KeptDeadLetter]:
        """Return dead letters that have to be published yet under a topic, of one topic in order of their ids."""

    def failed_deliveries(self, seq: int) -> list[FailedDelivery]:
        """Return how an event failed in each lane in which it was not delivered for good."""


class Journal(JournalQueries, JournalSchedule, Protocol):
    """Keeps events, lanes and retries. Greenlets may call it at once; each call waits only for its own work.

    What a method has written when it returns is durable. Every method that writes raises JournalFull if there is no
    room, and JournalUnavailable if the write failed; then nothing of it is kept.
    """

    def open(self) -> Recovered:
        """Open or create the journal, and read what a bus starts from. Raises JournalError or JournalLocked."""

    def listen(self, listener: CommitListener) -> None:
        """Call the listener with each batch of events from now on."""

    def watch(self, watcher: CommitWatcher) -> None:
        """Call the watcher with the time and size of each commit from now on."""

    def append(
        self,
        messages: Sequence[Message],
        idempotency_key: str | None = None,
        letters: Sequence[int] = (),
        due_at: float | None = None,
        terms: str = "",
    ) -> Appended:
        """Keep messages, all or none, and return when they are durable.

        With ``due_at`` (seconds since 1970) they are scheduled: they wait apart, until ``move_due`` makes them events.

        ``letters`` are the ids of dead letters for which they are published, which is noted in the same commit. If one
        of them is not to be published any more, nothing is kept, and the result is a duplicate without ids.

        A key that was used within 24 hours keeps nothing: the result is that of its first publish. Raises KeyReused if
        that had other topics, order keys, bodies or ``terms``: what was asked for that these do not say.
        """

    def checkpoint(self, checkpoint: Checkpoint) -> None:
        """Save what has changed in the lanes: all of it or nothing.

        Raises Conflict, and keeps nothing, if a peer has registered one of its addresses for another subscription.
        """

    def wait_durable(self) -> None:
        """Return when what was saved is wherever an event has to be, to count as accepted."""

    def probe(self) -> None:
        """Check that an event would be kept now, by writing what changes nothing. Raises JournalError."""

    def give_up_bodies(self, letters: Sequence[KeptDeadLetter]) -> None:
        """Detach dead letters from the bodies of their events, which may be trimmed then."""

    def trim(self, seqs: Sequence[int], forget_before: float, max_key_bytes: int | None = None) -> int:
        """Remove settled events, and return how many. Events of a retry or a dead letter stay.

        Some of the discards before ``forget_before`` (seconds since 1970), and of events that are gone, are removed
        too, and idempotency keys after their day; the oldest of those earlier, if all together take more than
        ``max_key_bytes``.
        """

    def usage(self) -> Usage:
        """Return how much the journal holds."""

    def backup(self, wanted: Callable[[], bool]) -> JournalBackup:
        """Copy the journal while it is read and written; one copy at a time.

        ``wanted`` is asked between two steps, on any thread, and ends the copy when it returns false. Raises Conflict
        for a journal that cannot be copied like this, NoRoom without room on the disk, and JournalError.
        """

    def close(self) -> None:
        """Finish what was begun, and close."""
