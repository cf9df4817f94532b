"""Whether the journal's files are still those that were opened: whoever deletes or replaces them tells nobody."""

import os
from pathlib import Path

from eventbus.core.errors import JournalTimeout, JournalUnavailable

#: What became of a file that is where it was, but not as it was.
_DAMAGED = "was cut or overwritten"
_LOG_MAGICS = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")


class WatchedFiles:
    """The database and its write-ahead log, by the names that find them and the inodes that were opened.

    SQLite goes on with files that have no name any more, and all that it keeps there ends with the process. It goes on
    with files that somebody has cut, too, and does not find at the next start what it has kept there.
    """

    def __init__(self, name: str, real: str) -> None:
        """Remember the files: the database by the name that was configured, the log where links lead."""
        self._database, self._log = str(Path(name).absolute()), f"{real}-wal"
        self._inodes = {path: _inode(path) for path in (self._database, self._log)}
        self._bytes = 0  # of the database, which never gets smaller by itself
        self._log_once = ""
        self._caught = False  # something was written to files that have no name

    def inspect(self) -> str:
        """Look whether they are still there; answers what is wrong, if anything."""
        if not self._caught:
            self._log_once = self._found()
        return self._log_once

    def check(self) -> None:
        """Raise JournalUnavailable where something was wrong at the last look."""
        if self._log_once:
            raise JournalUnavailable(f"{self._refusal()}; nothing of this was kept.")

    def confirm(self, *, events: bool) -> None:
        """Raise JournalTimeout where what was just written is perhaps not in the files that the names find.

        Where there were events in it, this process has counted on, and nobody has been told of them: it writes no more.
        """
        self._log_once = self._found()
        if self._log_once:
            self._caught = events
            raise JournalTimeout(f"{self._refusal()}; whether this was kept is not known.")

    def _refusal(self) -> str:
        until = "the bus is started again" if self._caught else "it is back, or the bus is started again"
        return f"{self._log_once} while the bus ran: nothing is accepted until {until}"

    def _found(self) -> str:
        for path in self._inodes:
            if what := self._change(path):
                kind = "journal" if path == self._database else "journal's write-ahead log"
                return f"The {kind} {path} {what}"
        return ""

    def lacks_database_alone(self) -> bool:
        """Whether another file is where the database was, or none, and the log is where it was."""
        return self._changed() == [self._database]

    def lacks_log_alone(self) -> bool:
        """Whether the database is where it was, and its log is not."""
        return self._changed() == [self._log] and not self.has_damaged_log()

    def has_damaged_log(self) -> bool:
        """Whether the log is where it was, and somebody has cut it or written to it."""
        return self._change(self._log) == _DAMAGED

    def _changed(self) -> list[str]:
        return [path for path in self._inodes if self._change(path)]

    def _change(self, path: str) -> str:
        """What became of the file that was found by this name; empty where it is the same."""
        try:
            found = os.stat(path)  # noqa: PTH116 - with each commit: a Path for it costs more than the call
            if (found.st_dev, found.st_ino) != self._inodes[path]:
                return "was replaced by another file"
            if path == self._log:
                return _DAMAGED if found.st_size and not _has_header(path) else ""
        except FileNotFoundError:
            return "was deleted or moved away"
        except OSError as error:
            return f"cannot be found ({error.strerror})"
        if found.st_size < self._bytes:
            return _DAMAGED
        self._bytes = found.st_size
        return ""


def _has_header(log: str) -> bool:
    """Whether a log begins as SQLite has begun it. Raises OSError."""
    descriptor = os.open(log, os.O_RDONLY | os.O_CLOEXEC)
    try:
        return os.pread(descriptor, 4, 0) in _LOG_MAGICS
    finally:
        os.close(descriptor)


def _inode(path: str) -> tuple[int, int]:
    found = Path(path).stat()
    return found.st_dev, found.st_ino
