"""A file that is read at the start, and again when it has changed."""

import logging
from collections.abc import Callable
from pathlib import Path
from typing import Generic, Protocol, TypeVar

import gevent

from eventbus.core.toml_tables import MAX_FILE_BYTES, Fault

log = logging.getLogger(__name__)

#: What tells one content of a file from another: when it was changed (ns), its size, and which file it is.
Signature = tuple[int, int, int]


class Content(Protocol):
    """What a file says."""

    @property
    def faults(self) -> tuple[Fault, ...]:
        """What is wrong in it."""


Parsed = TypeVar("Parsed", bound=Content)


class WatchedFile(Generic[Parsed]):
    """Reads a file. One that is wrong changes nothing: what was read before stays.

    A change is read when the file has stayed the same from one check to the next: it may be written just now.
    ``about`` says in the log what the file is for, and ``count`` how much a content has.
    """

    def __init__(self, path: str, parse: Callable[[bytes], Parsed], about: str, count: Callable[[Parsed], int]) -> None:
        self.path = Path(path)
        self._parse, self._about, self._count = parse, about, count
        self._tried = False  # the first time it is read at once
        self._seen: Signature | None = None
        self._read_as: Signature | None = None
        self.content: Parsed | None = None  #: None until it has been read well for the first time
        self.faults: tuple[Fault, ...] = ()  #: what was wrong when it was read last

    def check(self) -> None:
        """Check whether the file has changed, and read it in a thread, so that no delivery waits for the disk."""
        found = gevent.get_hub().threadpool.apply(self._found)
        if isinstance(found, Fault):
            self._refuse((found,))
        elif found is not None and found.faults:
            self._refuse(found.faults)
        elif found is not None:
            self.content, self.faults = found, ()
            log.info("the file of %s: %s has %d", self._about, self.path, self._count(found))

    def _found(self) -> Parsed | Fault | None:
        """Return what the file says, if it is another one than was read before, or why it cannot be read."""
        try:
            stat = self.path.stat()
            signature = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            settled = signature == self._seen or not self._tried
            self._tried, self._seen = True, signature
            if not settled or signature == self._read_as:
                return None
            content = read_file(self.path)
        except OSError as error:
            self._tried, self._seen, self._read_as = True, None, None
            return Fault(f"It cannot be read: {error.strerror}.")
        self._read_as = signature
        return self._parse(content)

    def _refuse(self, faults: tuple[Fault, ...]) -> None:
        if faults != self.faults:
            kept = "what it said before stays" if self.content is not None else "nothing is changed"
            for fault in faults:
                log.warning("the file of %s: %s; %s", self._about, fault.at(str(self.path)).rstrip("."), kept)
        self.faults = faults


def read_file(path: Path) -> bytes:
    """Return a file's content, of one that is too large so much that it is refused. Raises OSError."""
    with path.open("rb") as file:
        return file.read(MAX_FILE_BYTES + 1)
