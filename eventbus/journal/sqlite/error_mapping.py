"""Translates the errors of SQLite and of the system into the journal's."""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eventbus.core.errors import JournalError, JournalFull, JournalLocked, JournalUnavailable

FULL = "The disk that holds the journal is full; nothing of this was kept."


@contextmanager
def opening(path: str) -> Iterator[None]:
    """Translate errors while a journal is opened. Raises JournalError."""
    try:
        yield
    except sqlite3.Error as error:
        raise _opening_error(path, error) from error
    except BlockingIOError as error:
        raise _locked(path) from error
    except FileNotFoundError as error:
        raise JournalError(f"The journal {path} cannot be opened: its folder does not exist.") from error
    except OSError as error:
        raise JournalError(f"The journal {path} cannot be opened: {error.strerror}.") from error
    except ValueError as error:
        raise JournalError(f"{path} {error}; it is left as it is") from error


def writing_error(error: sqlite3.Error) -> JournalError:
    """Return the journal's error for a failed write."""
    if getattr(error, "sqlite_errorname", "") == "SQLITE_FULL":
        return JournalFull(FULL)
    return JournalUnavailable(f"The journal cannot be written just now ({error}); nothing of this was kept.")


def _opening_error(path: str, error: sqlite3.Error) -> JournalError:
    name = getattr(error, "sqlite_errorname", "") or ""
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return _locked(path)
    if name == "SQLITE_NOTADB":
        return JournalError(f"{path} is no SQLite database; it is left as it is.")
    if name == "SQLITE_CANTOPEN" and not Path(path).resolve().parent.is_dir():
        return JournalError(f"The journal {path} cannot be opened: its folder does not exist.")
    return JournalError(f"The journal {path} cannot be opened: {error}.")


def _locked(path: str) -> JournalLocked:
    return JournalLocked(f"The journal {path} is in use by another process; one bus owns a SQLite journal.")
