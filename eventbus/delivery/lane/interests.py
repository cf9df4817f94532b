"""Which ranges of the journal a subscriber was registered for, and for which topics and filters. Pure."""

from collections.abc import Sequence
from dataclasses import replace

from eventbus.core.errors import TooMany
from eventbus.core.model import FormerFilter, Interest

#: Replays and changes of topics that one lane remembers at once.
MAX_SPANS = 16
#: Former filters that one lane remembers.
MAX_FORMER_FILTERS = 4


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


def filters_before(
    known: tuple[FormerFilter, ...], current: str, following: str, until: int
) -> tuple[FormerFilter, ...]:
    """Return the former filters once another one follows the current one, which held for the events up to ``until``."""
    if following == current:
        return known
    return (*known, FormerFilter(until, current))[-MAX_FORMER_FILTERS:]


def filter_of(seq: int, former: Sequence[FormerFilter], current: str) -> str:
    """Return the text of the filter that held for an event when it was next; of those that are still known."""
    return next((one.text for one in former if seq <= one.until), current)
