"""Copies a journal into another one, of the same or another kind, while no bus runs on either.

Rows are copied in batches. With each batch the target saves a mark that says how far the copy has come. So an
interrupted copy continues there, and no bus starts on an unfinished one.
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


class RecordKind(StrEnum):
    """The kinds of rows of a journal, in the order in which they are copied."""

    EVENTS = "events"
    LANES = "lanes"
    RETRIES = "deferred"
    DEAD_LETTERS = "dead_letters"
    DISCARDS = "discards"
    KEYS = "idempotency_keys"
    SCHEDULED = "scheduled"
    CANCELLED = "cancelled"


@dataclass(frozen=True, slots=True)
class Extent:
    """How many rows a journal has, and its newest numbers."""

    last_seq: int  # of an event, which may be trimmed
    last_letter: int  # id of a dead letter, which may be removed
    scanned: int  # every event up to here has been offered to all lanes, or is in their own records
    counts: dict[RecordKind, int]

    @property
    def total(self) -> int:
        """Rows of all kinds."""
        return sum(self.counts.values())

    @property
    def empty(self) -> bool:
        """Whether the journal was never used."""
        return not (self.last_seq or self.last_letter or self.total)

    def same_content(self, other: Self) -> bool:
        """Return whether both have as many rows, and the same newest numbers."""
        return replace(self, scanned=0) == replace(other, scanned=0)


@dataclass(frozen=True, slots=True)
class Batch:
    """Rows of one kind, and the position after the last, as the journal that they are from writes it."""

    rows: tuple[Row, ...]
    position: str


@dataclass(frozen=True, slots=True)
class Mark:
    """How far a copy has come."""

    source: str  # what is copied, without what is secret in its name
    extent: Extent  # of the source, when it began
    kind: RecordKind = RecordKind.EVENTS
    position: str = ""  # among the rows of that kind
    done: int = 0  # rows of all kinds
    digest: int = field(default=0, repr=False)  # of all those rows

    def after(self, batch: Batch) -> "Mark":
        """Return the mark to save with a batch."""
        digest = (self.digest + sum(map(fingerprint, batch.rows))) % MODULUS
        return replace(self, position=batch.position, done=self.done + len(batch.rows), digest=digest)

    def at(self, kind: RecordKind) -> "Mark":
        """Return the mark at the beginning of a kind, or this one if that kind has begun."""
        return self if kind is self.kind else replace(self, kind=kind, position="")

    def to_json(self) -> str:
        """Write the mark as the target saves it."""
        extent = self.extent
        progress = {"source": self.source, "kind": self.kind, "place": self.position, "done": self.done}
        counted = {"last_seq": extent.last_seq, "last_letter": extent.last_letter, "scanned": extent.scanned}
        return json.dumps({**progress, "digest": f"{self.digest:x}", "extent": {**counted, "counts": extent.counts}})

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Parse a mark that a target has saved."""
        fields: dict[str, Any] = json.loads(text)
        extent = fields.pop("extent")
        counts = {RecordKind(kind): count for kind, count in extent.pop("counts").items()}
        kind, position, digest = RecordKind(fields.pop("kind")), fields.pop("place"), int(fields.pop("digest"), 16)
        return cls(kind=kind, position=position, digest=digest, extent=Extent(counts=counts, **extent), **fields)


class Copyable(Protocol):
    """A journal that can be the source or the target of a copy. All methods raise JournalError."""

    @property
    def name(self) -> str:
        """The journal's URL without secrets."""

    def open(self, *, create: bool) -> tuple[str, ...]:
        """Open the journal, or create it with ``create``; return warnings for the operator.

        Raises JournalLocked if it is in use.
        """

    def check_unused(self) -> None:
        """Raise JournalLocked if a bus runs on the journal."""

    def extent(self) -> Extent:
        """Return how many rows the journal has."""

    def export(self, kind: RecordKind, after: str, limit: int, max_bytes: int) -> Batch:
        """Return the next rows of a kind after a position, where "" is the beginning; none at the end.

        The order is the journal's own, and always the same.
        """

    def mark(self) -> Mark | None:
        """Return the mark of an unfinished copy; None for a journal."""

    def begin(self, mark: Mark) -> None:
        """Begin a copy, with the source's newest numbers. No bus starts on it until ``finish``."""

    def write(self, rows: Sequence[Row], mark: Mark) -> None:
        """Write rows, all of the mark's kind, and the mark: all of it or nothing."""

    def finish(self) -> None:
        """Remove the mark, so that a bus can start on the journal."""

    def close(self) -> None:
        """Close the journal."""


#: Called with how many rows are done.
OnProgress = Callable[[int], None]


class Copying:
    """Copies ``source`` into ``target``, which may continue an interrupted copy."""

    def __init__(self, source: Copyable, target: Copyable, rows: int = ROWS) -> None:
        self._source = source
        self._target = target
        self._rows = rows

    def begin(self) -> Mark:
        """Check that the copy is possible, and return where it continues. Raises JournalError."""
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

    def run(self, on_progress: OnProgress) -> None:
        """Copy the remaining rows. Raises JournalError."""
        kinds = list(RecordKind)
        for kind in kinds[kinds.index(self.mark.kind) :]:
            self.mark = self.mark.at(kind)
            for batch in self._batches(self._source, kind, self.mark.position):
                mark = self.mark.after(batch)
                self._target.write(batch.rows, mark)
                self.mark = mark
                on_progress(mark.done)

    def finish(self, on_progress: OnProgress) -> None:
        """Read the copy back, compare it with what was read from the source, and finish it.

        Raises JournalError if they differ; no bus starts on the target then.
        """
        self._source.check_unused()
        if self._source.extent() != self.mark.extent:
            raise _changed(self._source.name)
        done = digest = 0
        for kind in RecordKind:
            for batch in self._batches(self._target, kind, ""):
                digest = (digest + sum(map(fingerprint, batch.rows))) % MODULUS
                on_progress(done := done + len(batch.rows))
        if digest != self.mark.digest or not self._target.extent().same_content(self.mark.extent):
            raise JournalError(
                f"{self._target.name} does not hold what was copied ({done:,} rows of {self.mark.extent.total:,});"
                " empty it, and copy again."
            )
        self._target.finish()

    def _batches(self, journal: Copyable, kind: RecordKind, position: str) -> Iterator[Batch]:
        while (batch := journal.export(kind, position, self._rows, BYTES)).rows:
            yield batch
            position = batch.position


def refusal(name: str, mark: Mark) -> JournalError:
    """Return the error for a bus that starts on an unfinished copy."""
    return JournalError(
        f"The journal {name} is an unfinished copy of {mark.source}: finish it by 'eventbus journal copy',"
        " or begin with an empty one."
    )


def _changed(name: str) -> JournalError:
    return JournalError(f"{name} has changed since the copy began; copy it again, into an empty journal.")
