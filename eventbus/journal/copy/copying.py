"""A journal is copied into another, of whichever kind, while no bus runs on either.

Rows go over in batches. With each batch the target keeps a mark that says how far it has come, so that a copy that
was broken off goes on where it stood, and no bus takes what is unfinished for a journal.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from enum import StrEnum
from typing import Any, Protocol, Self

from eventbus.core.errors import JournalError
from eventbus.journal.copy.fingerprints import MODULUS, Row, fingerprint

#: Rows in one batch, at most, and their bytes; a row that is larger is a batch of its own.
ROWS, BYTES = 1_000, 4 * 1_048_576


class Kind(StrEnum):
    """What a journal holds, in the order in which it is copied."""

    EVENTS = "events"
    LANES = "lanes"
    DEFERRED = "deferred"
    DEAD_LETTERS = "dead_letters"
    DISCARDS = "discards"
    KEYS = "idempotency_keys"


@dataclass(frozen=True, slots=True)
class Extent:
    """How much a journal holds, and how far it has counted."""

    last_seq: int  # of an event, which may be gone
    last_letter: int  # id of a dead letter, which may be gone
    scanned: int  # every event up to here has been offered to all lanes, or is in their own records
    counts: dict[Kind, int]

    @property
    def total(self) -> int:
        """Rows of all kinds."""
        return sum(self.counts.values())

    @property
    def empty(self) -> bool:
        """Whether nothing was ever kept."""
        return not (self.last_seq or self.last_letter or self.total)

    def same_content(self, other: Self) -> bool:
        """Whether both hold as much, and count on from the same numbers."""
        return replace(self, scanned=0) == replace(other, scanned=0)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one kind, and the place after the last, in the words of the journal that they are from."""

    rows: tuple[Row, ...]
    place: str


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a copy has come."""

    source: str  # what is copied, without what is secret in its name
    extent: Extent  # of the source, when it began
    kind: Kind = Kind.EVENTS
    place: str = ""  # among the rows of that kind
    done: int = 0  # rows of all kinds
    digest: int = field(default=0, repr=False)  # of all those rows

    def after(self, batch: Batch) -> "Mark":
        """The mark that goes with a batch."""
        digest = (self.digest + sum(map(fingerprint, batch.rows))) % MODULUS
        return replace(self, place=batch.place, done=self.done + len(batch.rows), digest=digest)

    def at(self, kind: Kind) -> "Mark":
        """Where a kind begins; the same where it has begun."""
        return self if kind is self.kind else replace(self, kind=kind, place="")

    def to_json(self) -> str:
        """As the target keeps it."""
        extent = self.extent
        told = {"source": self.source, "kind": self.kind, "place": self.place, "done": self.done}
        counted = {"last_seq": extent.last_seq, "last_letter": extent.last_letter, "scanned": extent.scanned}
        return json.dumps({**told, "digest": f"{self.digest:x}", "extent": {**counted, "counts": extent.counts}})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """A mark that a target has kept."""
        said: dict[str, Any] = json.loads(text)
        extent = said.pop("extent")
        counts = {Kind(kind): count for kind, count in extent.pop("counts").items()}
        kind, digest = Kind(said.pop("kind")), int(said.pop("digest"), 16)
        return cls(kind=kind, digest=digest, extent=Extent(counts=counts, **extent), **said)


class Copyable(Protocol):
    """A journal that can be copied, and be a copy. All of it raises JournalError."""

    @property
    def name(self) -> str:
        """What it is called, without what is secret in its URL."""

    def open(self, *, create: bool) -> tuple[str, ...]:
        """Open it, a new one only where ``create`` says so; what an operator should know of it.

        Raises JournalLocked for one in use.
        """

    def check_unused(self) -> None:
        """Raises JournalLocked where a bus runs on it."""

    def extent(self) -> Extent:
        """How much it holds."""

    def export(self, kind: Kind, after: str, limit: int, max_bytes: int) -> Batch:
        """The next rows of a kind after a place, where "" is the beginning; none where there are no more.

        The order is the journal's own, and always the same.
        """

    def mark(self) -> Mark | None:
        """How far it has come, where it is an unfinished copy."""

    def begin(self, mark: Mark) -> None:
        """Be a copy from now on, and count as the source does. No bus starts on it until ``finish``."""

    def take(self, rows: Sequence[Row], mark: Mark) -> None:
        """Keep rows, all of the mark's kind, and the mark: all of it or nothing."""

    def finish(self) -> None:
        """Be a journal."""

    def close(self) -> None:
        """Let go of it."""


#: Told how many rows are done.
Tell = Callable[[int], None]


class Copying:
    """One run of copying ``source`` into ``target``, which may go on with what an earlier one began."""

    def __init__(self, source: Copyable, target: Copyable, rows: int = ROWS) -> None:
        self._source = source
        self._target = target
        self._rows = rows

    def begin(self) -> Mark:
        """Look whether it can be done, and where it goes on. Raises JournalError."""
        for journal in (self._source, self._target):
            journal.check_unused()
        if (unfinished := self._source.mark()) is not None:
            raise refusal(self._source.name, unfinished)
        fresh = Mark(self._source.name, self._source.extent())
        found = self._target.mark()
        if found is None:
            if not self._target.extent().empty:
                raise JournalError(f"{self._target.name} holds a journal already; a copy needs an empty one.")
            self._target.begin(fresh)
        elif found.source != fresh.source:
            raise JournalError(
                f"{self._target.name} is an unfinished copy of {found.source}, not of {fresh.source};"
                " finish that, or begin with an empty one."
            )
        elif found.extent != fresh.extent:
            raise _changed(fresh.source)
        self.mark = found or fresh
        return self.mark

    def run(self, tell: Tell) -> None:
        """Copy what is not there yet. Raises JournalError."""
        kinds = list(Kind)
        for kind in kinds[kinds.index(self.mark.kind) :]:
            self.mark = self.mark.at(kind)
            for batch in self._batches(self._source, kind, self.mark.place):
                mark = self.mark.after(batch)
                self._target.take(batch.rows, mark)
                self.mark = mark
                tell(mark.done)

    def finish(self, tell: Tell) -> None:
        """Read back all that was copied, and where it is what was read make the target a journal.

        Raises JournalError where it is not; no bus starts on the target then.
        """
        self._source.check_unused()
        if self._source.extent() != self.mark.extent:
            raise _changed(self._source.name)
        done = digest = 0
        for kind in Kind:
            for batch in self._batches(self._target, kind, ""):
                digest = (digest + sum(map(fingerprint, batch.rows))) % MODULUS
                tell(done := done + len(batch.rows))
        if digest != self.mark.digest or not self._target.extent().same_content(self.mark.extent):
            raise JournalError(
                f"{self._target.name} does not hold what was copied ({done:,} rows of {self.mark.extent.total:,});"
                " empty it, and copy again."
            )
        self._target.finish()

    def _batches(self, journal: Copyable, kind: Kind, place: str) -> Iterator[Batch]:
        while (batch := journal.export(kind, place, self._rows, BYTES)).rows:
            yield batch
            place = batch.place


def refusal(name: str, mark: Mark) -> JournalError:
    """Why nothing starts on an unfinished copy."""
    return JournalError(
        f"The journal {name} is an unfinished copy of {mark.source}: finish it by 'eventbus journal copy',"
        " or begin with an empty one."
    )


def _changed(name: str) -> JournalError:
    return JournalError(f"{name} has changed since the copy began; copy it again, into an empty journal.")
