"""Find the lines of a file's tables: the parser of TOML says only where its syntax is broken. Pure."""

import re
from dataclasses import dataclass

_TABLE = re.compile(r"\s*\[\[\s*[\"']?subscriber[\"']?\s*\]\]")
_FIELD = re.compile(r"\s*[\"']?([A-Za-z0-9_-]+)[\"']?\s*=")
#: The table of one field: ``[subscriber.filter]``, or one within it.
_TABLE_OF_FIELD = re.compile(r"\s*\[\[?\s*[\"']?subscriber[\"']?\s*\.\s*[\"']?([A-Za-z0-9_-]+)")
#: What the parser says of a position.
_POSITION = re.compile(r"(.*) \(at (?:line (\d+), column (\d+)|end of document)\)\Z", re.DOTALL)


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


def lines_of(text: str, count: int) -> Lines:
    """Return the lines of so many tables; a text over several lines may look like a table, and then none is known."""
    found: list[tuple[int, dict[str, int]]] = []
    within_field = False
    for number, line in enumerate(text.split("\n"), 1):
        if _TABLE.match(line):
            found.append((number, {}))
            within_field = False
        elif found and (match := _TABLE_OF_FIELD.match(line)):
            found[-1][1].setdefault(match[1], number)
            within_field = True
        elif found and not within_field and (match := _FIELD.match(line)):
            found[-1][1].setdefault(match[1], number)
    return Lines(tuple(found) if len(found) == count else ())


def split_position(error: str) -> tuple[str, int | None]:
    """Return what the parser of TOML says is wrong, and the line where."""
    match = _POSITION.match(error)
    if match is None:
        return f"{error}.", None
    if match[2] is None:
        return f"{match[1]}, at the end.", None
    return f"{match[1]}, at column {match[3]}.", int(match[2])
