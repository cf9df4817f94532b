"""Files of TOML that hold tables of one kind, and the line of what is wrong in one. Pure.

The parser of TOML says only where its syntax is broken, so lines are found by what tables and fields usually look like.
"""

import difflib
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

#: Bytes of a file, at most.
MAX_FILE_BYTES = 4 * 1_024 * 1_024
_FIELD = re.compile(r"\s*[\"']?([A-Za-z0-9_-]+)[\"']?\s*=")
#: What the parser says of a position.
_POSITION = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)\Z", re.DOTALL)


@dataclass(frozen=True, slots=True)
class Fault:
    """What is wrong in a file, and the line where; None where that is not known."""

    text: str
    line: int | None = None

    def at(self, file: str) -> str:
        """Return the fault with its position: ``subscribers.toml:12: what is wrong``."""
        return f"{file}: {self.text}" if self.line is None else f"{file}:{self.line}: {self.text}"


@dataclass(frozen=True, slots=True)
class Lines:
    """The line of each table, and of the fields in it; none where the tables were not found."""

    tables: tuple[tuple[int, dict[str, int]], ...]

    def of(self, number: int, name: str) -> int | None:
        """Return the line of a field of a table, or of the table where it is not written as usual."""
        if number >= len(self.tables):
            return None
        head, fields = self.tables[number]
        return fields.get(name, head)


@dataclass(frozen=True, slots=True)
class Tables:
    """The tables of a file with their lines, unless there are faults."""

    tables: Sequence[Mapping[str, Any]] = ()
    lines: Lines = Lines(())
    faults: tuple[Fault, ...] = ()


def read_tables(content: bytes, name: str) -> Tables:
    """Parse a file in which there are only ``[[name]]`` tables."""
    if len(content) > MAX_FILE_BYTES:
        return _wrong(f"It has {len(content):,} bytes; {MAX_FILE_BYTES:,} are allowed.")
    try:
        text = content.decode()
        found = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        return Tables(faults=(Fault(*_split_position(str(error))),))
    except (ValueError, RecursionError) as error:
        nested = isinstance(error, RecursionError)
        return _wrong("Its arrays are nested too deeply." if nested else f"It is not UTF-8: {error}.")
    tables = found.pop(name, [])
    if not isinstance(tables, list) or not all(isinstance(table, dict) for table in tables):
        return _wrong(f"Each {name} is a table [[{name}]].")
    if found:
        return _wrong(f"It has {next(iter(found))!r}; a file has only [[{name}]] tables.")
    return Tables(tables, _lines_of(text, name, len(tables)))


class TableReader:
    """A table as it is read: collects what is wrong in it. Its faults begin with the ``label``."""

    def __init__(self, table: Mapping[str, Any], number: int, lines: Lines, label: str) -> None:
        self.faults: list[Fault] = []
        self._table, self._number, self._lines, self._label = table, number, lines, label

    def line(self, name: str) -> int | None:
        """Return the line of a field, or of the table."""
        return self._lines.of(self._number, name)

    def fault(self, name: str, text: str) -> None:
        """Note what is wrong with a field."""
        self.faults.append(Fault(f"{self._label}: {text}", self.line(name)))


def faults_of(readers: Iterable[TableReader]) -> tuple[Fault, ...]:
    """Return what is wrong in all tables, in the order of the file."""
    return tuple(sorted((fault for reader in readers for fault in reader.faults), key=lambda fault: fault.line or 0))


def fields_hint(name: str, fields: Sequence[str]) -> str:
    """Return what to say of a field that there is not: the one that is meant, or all that there are."""
    close = difflib.get_close_matches(name, fields, n=1, cutoff=0.6)
    return f"did you mean {close[0]}?" if close else f"there are {', '.join(fields)}"


def _wrong(text: str) -> Tables:
    return Tables(faults=(Fault(text),))


def _lines_of(text: str, name: str, count: int) -> Lines:
    """Return the lines of so many tables; a text over several lines may look like a table, and then none is known."""
    head = re.compile(rf"\s*\[\[\s*[\"']?{name}[\"']?\s*\]\]")
    # the table of one field, such as [subscriber.filter], or one within it
    of_field = re.compile(rf"\s*\[\[?\s*[\"']?{name}[\"']?\s*\.\s*[\"']?([A-Za-z0-9_-]+)")
    within_field = False
    found: list[tuple[int, dict[str, int]]] = []
    for number, line in enumerate(text.split("\n"), 1):
        if head.match(line):
            found.append((number, {}))
            within_field = False
        elif found and (match := of_field.match(line)):
            found[-1][1].setdefault(match[1], number)
            within_field = True
        elif found and not within_field and (match := _FIELD.match(line)):
            found[-1][1].setdefault(match[1], number)
    return Lines(tuple(found) if len(found) == count else ())


def _split_position(error: str) -> tuple[str, int | None]:
    """Return what the parser of TOML says is wrong, and the line where."""
    match = _POSITION.match(error)
    if match is None:
        return f"{error}.", None
    if match[2] is None:
        return f"{match[1]}, at the end.", None
    return f"{match[1]}, at column {match[3]}.", int(match[2])
