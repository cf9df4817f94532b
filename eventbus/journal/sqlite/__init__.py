"""The embedded journal, on SQLite."""

from sqlite3 import sqlite_version as SQLITE_VERSION  # noqa: N812 - it is a constant

from eventbus.journal.sqlite.journal import SqliteJournal

__all__ = ["SQLITE_VERSION", "SqliteJournal"]
