"""Scheduled events: a page of them, and cancelling one."""

from eventbus.web.openapi import builder as build
from eventbus.web.openapi.builder import A_TIME, AN_ID, JSON, content, text
from eventbus.web.openapi.operation import operation
from eventbus.web.openapi.schemas import VISIBLE_ASCII

SCHEDULED = build.shape("A page of the scheduled events.", {
    "events": build.items(build.schema("ScheduledEvent")),
    "next": build.nullable(text("Where to go on `after`; null at the end.")),
})  # fmt: skip
EVENT_ID = build.parameter(
    "path", "event_id", "The event's id, as `Webhook-Id` says it.", VISIBLE_ASCII, required=True, example=AN_ID
)

_OK = build.answer(
    "It was cancelled in time.",
    content(
        JSON,
        build.shape("What was cancelled.", {"id": text(), "cancelled_at": build.time()}),
        {"id": AN_ID, "cancelled_at": A_TIME},
    ),
)
_ERRORS = ("NotScheduled", "InJournal", "Unavailable", "DiskFull")

CANCEL = operation(
    "cancelEvent", "Cancel a scheduled event",
    "Cancels an event that was published with `delay` or `deliver_at`, while it waits: it is not delivered. Repeated, "
    "the same answer, for a day.",
    tag="Publishing", scope="publish", call=f"-X DELETE '/events/{AN_ID}'",
    parameters=[EVENT_ID], ok=_OK, errors=_ERRORS,
)  # fmt: skip

CANCEL_BY_FORM = operation(
    "cancelEventByForm", "Cancel a scheduled event by a form",
    "The same as `DELETE /events/ID`, for what sends only `GET` and `POST`.",
    tag="Publishing", scope="publish", call=f"-X POST '/cancel?id={AN_ID}'",
    parameters=[build.query("id", "The event's id.", VISIBLE_ASCII, required=True, example=AN_ID)],
    ok=_OK, errors=("NoId", *_ERRORS),
)  # fmt: skip
CANCEL_BY_FORM["responses"]["303"] = build.see_other("back to the list of scheduled events")
