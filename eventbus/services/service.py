"""What the bus starts and stops."""

from typing import Protocol


class Service(Protocol):
    """A part of the bus that works by itself while the bus runs."""

    def start(self) -> None:
        """Begin to work. Raises JournalError."""

    def stop(self) -> None:
        """End, and leave nothing running."""
