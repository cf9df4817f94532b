"""What the doctor finds."""

from dataclasses import dataclass
from enum import Enum
from typing import Any


class Level(Enum):
    """How bad it is. Only what is wrong makes the command fail."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """What was looked at, what was found there, and, where it is not well, what to do."""

    about: str
    level: Level
    text: str
    fix: str = ""

    def as_json(self) -> dict[str, Any]:
        """As JSON."""
        return {"about": self.about, "level": self.level.value, "text": self.text, "mend": self.fix or None}


def ok(about: str, text: str) -> Finding:
    """All is well."""
    return Finding(about, Level.OK, text)


def warning(about: str, text: str, fix: str) -> Finding:
    """It works, but somebody should look."""
    return Finding(about, Level.WARNING, text, fix)


def wrong(about: str, text: str, fix: str) -> Finding:
    """It does not work."""
    return Finding(about, Level.WRONG, text, fix)
