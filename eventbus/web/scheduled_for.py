"""When a publish is to enter the journal: the parameters ``delay`` and ``deliver_at``, and what the response says."""

from eventbus.core.clock import rfc3339_ms
from eventbus.core.schedule import due_time
from eventbus.journal.base import Appended
from eventbus.web.query import Query


def due_in(query: Query, now: float) -> float | None:
    """Return when a publish is due, in seconds since 1970; None where that is now. Raises BadRequest."""
    if "delay" not in query.values and "deliver_at" not in query.values:  # most have neither, and this is cheap
        return None
    due_at = due_time(query.first("delay"), query.first("deliver_at"), now)
    return due_at if due_at > now else None


def scheduled_for(query: Query, appended: Appended) -> dict[str, str | None]:
    """Return what JSON says of when a publish is due: nothing where nobody asked, and it was not scheduled before."""
    if appended.due_at is not None:
        return {"scheduled_for": rfc3339_ms(appended.due_at)}
    return {"scheduled_for": None} if "delay" in query.values or "deliver_at" in query.values else {}
