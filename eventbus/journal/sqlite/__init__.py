"""The embedded journal, on SQLite."""

from eventbus.journal.sqlite.journal import SqliteJournal

__all__ = ["SqliteJournal"]
