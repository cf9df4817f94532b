"""Journals of both kinds as what is copied, and as the copy."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from eventbus.journal.copy.copying import BYTES, Copyable, Copying, Mark, RecordKind
from eventbus.journal.copy.fingerprints import Row
from eventbus.journal.redis.store.copy_adapter import RedisCopying
from eventbus.journal.sqlite.copy_adapter import SqliteCopying

#: More rows than any of these tests keeps.
ALL = 1_000


@dataclass(frozen=True, slots=True)
class JournalFolder:
    """A journal of a kind, in a folder; where it is on Redis, its URL stands there in a file called ``url``."""

    kind: str
    folder: Path

    @contextmanager
    def opened(self, *, create: bool = True) -> Iterator[Copyable]:
        """As what can be copied."""
        url = self.folder / "url"
        made: Copyable = (
            RedisCopying(url.read_text(), url.read_text())
            if self.kind == "redis"
            else SqliteCopying(str(self.folder / "events.db"))
        )
        made.open(create=create)
        try:
            yield made
        finally:
            made.close()

    def content(self) -> dict[RecordKind, list[Any]]:
        """All rows, and at the end of each kind's what the journal counts."""
        with self.opened() as journal:
            rows = {kind: journal.export(kind, "", ALL, BYTES).rows for kind in RecordKind}
            extent = journal.extent()
        return {kind: [*sorted(map(repr, found)), extent.last_seq, extent.last_letter] for kind, found in rows.items()}


@contextmanager
def open_both(source: JournalFolder, target: JournalFolder) -> Iterator[tuple[Copyable, Copyable]]:
    """Two journals, open."""
    with source.opened(create=False) as first, target.opened() as second:
        yield first, second


def copy_all(source: JournalFolder, target: JournalFolder, rows: int = ALL) -> None:
    """Copy all of it."""
    with open_both(source, target) as ends:
        copying = Copying(*ends, rows=rows)
        copying.begin()
        copying.run(lambda _: None)
        copying.finish(lambda _: None)


class BrokenOffError(Exception):
    """A copy was ended by force."""


class FailingTarget:
    """A target that is broken off at its ``nth`` batch: before it was kept, or after."""

    def __init__(self, target: Copyable, nth: int, *, kept: bool) -> None:
        self._target = target
        self._left = nth
        self._kept = kept

    def write(self, rows: Sequence[Row], mark: Mark) -> None:
        """Keep a batch, or break."""
        self._left -= 1
        if self._left or self._kept:
            self._target.write(rows, mark)
        if not self._left:
            raise BrokenOffError

    def __getattr__(self, name: str) -> Any:
        return getattr(self._target, name)
