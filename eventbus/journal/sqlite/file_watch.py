"""Watches whether the journal's files are still those that were opened, since anybody may delete or replace them."""

import os
import weakref
from pathlib import Path

from eventbus.core.errors import JournalTimeout, JournalUnavailable

#: How a file has changed that is where it was.
_DAMAGED = "was cut or overwritten"
_LOG_MAGICS = (b"\x37\x7f\x06\x82", b"\x37\x7f\x06\x83")


class WatchedFiles:
    """The database and its write-ahead log, by the names that find them and the inodes that were opened.

    SQLite continues with files that have no name any more, and what it writes there ends with the process. It also
    continues with files that somebody has cut, and does not find its data there at the next start.
    """

    def __init__(self, name: str, real: str) -> None:
        """Remember the files: the database by the name that was configured, the log where links lead."""
        self._database, self._log = str(Path(name).absolute()), f"{real}-wal"
        self._inodes = {path: _inode(path) for path in (self._database, self._log)}
        self._bytes = 0  # of the database, which never gets smaller by itself
        # Kept open: with each commit the log is read, also when this process may open no more files.
        self._open_log = os.open(self._log, os.O_RDONLY | os.O_CLOEXEC)
        self._closing = weakref.finalize(self, os.close, self._open_log)
        self._problem = ""
        self._caught = False  # something was written to files that have no name

    def close(self) -> None:
        """Watch no more."""
        self._closing()

    def inspect(self) -> str:
        """Inspect the files; return what is wrong, or an empty text."""
        if not self._caught:
            self._problem = self._found()
        return self._problem

    def check(self) -> None:
        """Raise JournalUnavailable if something was wrong at the last inspection."""
        if self._problem:
            raise JournalUnavailable(f"{self._refusal()}; nothing of this was kept.")

    def verify(self, *, events: bool) -> None:
        """Raise JournalTimeout if the last write may have missed the files that the names find.

        If it held events, this process must write no more: their numbers are used, but nobody has received them.
        """
        self._problem = self._found()
        if self._problem:
            self._caught = events
            raise JournalTimeout(f"{self._refusal()}; whether this was kept is not known.")

    def _refusal(self) -> str:
        until = "the bus is started again" if self._caught else "it is back, or the bus is started again"
        return f"{self._problem} while the bus ran: nothing is accepted until {until}"

    def _found(self) -> str:
        for path in self._inodes:
            if what := self._change(path):
                kind = "journal" if path == self._database else "journal's write-ahead log"
                return f"The {kind} {path} {what}"
        return ""

    def lacks_database_alone(self) -> bool:
        """Return whether only the database was removed or replaced, and the log is where it was."""
        return self._changed() == [self._database]

    def lacks_log_alone(self) -> bool:
        """Return whether only the log was removed or replaced."""
        return self._changed() == [self._log] and not self.has_damaged_log()

    def has_damaged_log(self) -> bool:
        """Return whether the log is where it was, but somebody has cut it or written to it."""
        return self._change(self._log) == _DAMAGED

    def _changed(self) -> list[str]:
        return [path for path in self._inodes if self._change(path)]

    def _change(self, path: str) -> str:
        """Return how the file with this name has changed; an empty text if it is the same."""
        try:
            found = os.stat(path)  # noqa: PTH116 - with each commit: a Path for it costs more than the call
            if (found.st_dev, found.st_ino) != self._inodes[path]:
                return "was replaced by another file"
            if path == self._log:
                return _DAMAGED if found.st_size and os.pread(self._open_log, 4, 0) not in _LOG_MAGICS else ""
        except FileNotFoundError:
            return "was deleted or moved away"
        except OSError as error:
            return f"cannot be found ({error.strerror})"
        if found.st_size < self._bytes:
            return _DAMAGED
        self._bytes = found.st_size
        return ""


def _inode(path: str) -> tuple[int, int]:
    found = Path(path).stat()
    return found.st_dev, found.st_ino
