"""The file of declared subscribers: read at the start, and again when it has changed."""

import logging
import os
from pathlib import Path

import gevent

from eventbus.core.declarations import MAX_FILE_BYTES, Declaration, Declarations, Fault, parse_declarations

log = logging.getLogger(__name__)

#: What tells one content of a file from another: when it was changed (ns), its size, and which file it is.
Signature = tuple[int, int, int]


class DeclaredFile:
    """Reads a file. One that is wrong changes nothing: what was read before stays.

    A change is read when the file has stayed the same from one check to the next: it may be written just now.
    """

    def __init__(self, path: str) -> None:
        self._path = Path(path)
        self._tried = False  # the first time it is read at once
        self._seen: Signature | None = None
        self._read_as: Signature | None = None
        self.subscribers: tuple[Declaration, ...] | None = None  #: None until it has been read well for the first time
        self.faults: tuple[Fault, ...] = ()  #: what was wrong when it was read last

    def check(self) -> None:
        """Check whether the file has changed, and read it in a thread, so that no delivery waits for the disk."""
        found = gevent.get_hub().threadpool.apply(self._found)
        if found is not None:
            self._take(found)

    def _found(self) -> Declarations | None:
        """Return what the file says, if it is another one than was read before."""
        try:
            stat = self._path.stat()
            signature = (stat.st_mtime_ns, stat.st_size, stat.st_ino)
            settled = signature == self._seen or not self._tried
            self._tried, self._seen = True, signature
            if not settled or signature == self._read_as:
                return None
            with self._path.open("rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
        except OSError as error:
            self._tried, self._seen, self._read_as = True, None, None
            return Declarations(faults=(Fault(f"It cannot be read: {error.strerror}."),))
        self._read_as = signature
        return parse_declarations(content, os.environ)

    def _take(self, found: Declarations) -> None:
        if found.faults:
            if found.faults != self.faults:
                kept = "what it declared before stays" if self.subscribers is not None else "nothing is changed"
                for fault in found.faults:
                    log.warning("declared subscribers: %s; %s", fault.at(str(self._path)).rstrip("."), kept)
        else:
            self.subscribers = found.subscribers
            log.info("declared subscribers: %s has %d", self._path, len(found.subscribers))
        self.faults = found.faults
