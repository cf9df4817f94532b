"""A SQLite connection whose commits fail when a test says so, as a disk that cannot sync makes them fail."""

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any


def sqlite_error(name: str) -> sqlite3.OperationalError:
    """What SQLite raises for this result code, such as SQLITE_IOERR_FSYNC."""
    error = sqlite3.OperationalError("disk I/O error")
    error.sqlite_errorname = name
    return error


@dataclass(slots=True)
class Faults:
    """Which statements fail next, each with its errors in turn."""

    planned: dict[str, list[Exception]] = field(default_factory=dict)
    met: list[str] = field(default_factory=list)  # the statements that have failed

    def plan(self, statement: str, *errors: Exception) -> None:
        """Let the next such statements fail, one for each error."""
        self.planned.setdefault(statement, []).extend(errors)

    def meet(self, statement: str) -> None:
        """Raise what is planned for this statement."""
        if self.planned.get(statement):
            self.met.append(statement)
            raise self.planned[statement].pop(0)


def faulty_connect(faults: Faults) -> Callable[..., sqlite3.Connection]:
    """A ``sqlite3.connect`` whose connections fail as planned."""
    connect = sqlite3.connect

    class FaultyConnection(sqlite3.Connection):
        def execute(self, sql: str, *values: Any) -> sqlite3.Cursor:
            alone = sql.startswith("INSERT") and not self.in_transaction  # commits by itself
            faults.meet("COMMIT" if alone else sql)
            return super().execute(sql, *values)

    def connect_faulty(*arguments: Any, **options: Any) -> sqlite3.Connection:
        return connect(*arguments, **options, factory=FaultyConnection)

    return connect_faulty
