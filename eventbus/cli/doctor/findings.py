"""The findings of the doctor."""

from dataclasses import dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from eventbus.journal.copy.copying import Mark


class Level(Enum):
    """How bad a finding is. Only WRONG makes the command fail."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"


@dataclass(frozen=True, slots=True)
class Finding:
    """One finding: its subject, its level, and how to fix it unless it is OK."""

    about: str
    level: Level
    text: str
    fix: str = ""

    def as_json(self) -> dict[str, Any]:
        """Return the finding as JSON."""
        return {
            "about": self.about,
            "level": self.level.value,
            "text": self.text,
            "mend": self.fix or None,
        }  # as in older versions


def ok(about: str, text: str) -> Finding:
    """Report what is as it should be."""
    return Finding(about, Level.OK, text)


def warning(about: str, text: str, fix: str) -> Finding:
    """Report what works, but needs attention."""
    return Finding(about, Level.WARNING, text, fix)


def wrong(about: str, text: str, fix: str) -> Finding:
    """Report what does not work."""
    return Finding(about, Level.WRONG, text, fix)


def unfinished_copy(where: str, mark: "Mark") -> Finding:
    """Report a journal that is an unfinished copy of another one, on which no bus starts."""
    rows = f"{mark.done:,} of {mark.extent.total:,} rows"
    return wrong(
        "journal",
        f"{where} is an unfinished copy of {mark.source} ({rows}): no bus starts on it.",
        "Run 'eventbus journal copy' with both again, which resumes it; or begin with an empty journal.",
    )
