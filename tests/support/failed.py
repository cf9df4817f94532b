"""What a journal knows of deliveries that failed for good."""

from eventbus.journal.base import JournalQueries


def failed(journal: JournalQueries, seq: int) -> list[tuple[str, str]]:
    """Return the lanes in which an event failed, each with ``dead`` or ``discarded``."""
    return [(found.key, found.state) for found in journal.failed_deliveries(seq)]
