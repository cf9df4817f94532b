"""Which ranges of the journal a subscriber was registered for, and for which topics. Pure."""

from dataclasses import replace

from eventbus.core.errors import TooMany
from eventbus.core.model import Interest

#: Replays and changes of topics that one lane remembers at once.
MAX_SPANS = 16


def ended(interests: tuple[Interest, ...], scanned: int) -> tuple[Interest, ...]:
    """Return the interests without any event after ``scanned``."""
    last = interests[-1]
    return interests if last.until is not None else (*interests[:-1], replace(last, until=scanned))


def changed(
    interests: tuple[Interest, ...], topics: tuple[str, ...], scanned: int, cursor: int
) -> tuple[Interest, ...]:
    """Return the interests with other topics after ``scanned``. Raises TooMany.

    The oldest are dropped only where everything up to the ``cursor`` is settled.
    """
    kept = ended(interests, scanned)
    if len(kept) >= MAX_SPANS:
        kept = tuple(interest for interest in kept if interest.until is None or interest.until > cursor)
        if len(kept) >= MAX_SPANS:
            raise TooMany("The topics were changed too often while events wait for this subscriber.")
    return (*kept, Interest(scanned, None, topics))
