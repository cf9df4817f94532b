"""What an operator does to the deliveries of one subscription: pause, resume, retry and skip."""

from typing import Any

from eventbus.core.model import State
from eventbus.web.openapi import builder as build
from eventbus.web.openapi.builder import A_TIME, AN_ADDRESS, AN_ID, JSON, Json, count, nullable, shape, text, time
from eventbus.web.openapi.operation import operation
from eventbus.web.openapi.schemas import VISIBLE_ASCII
from eventbus.web.openapi.subscribers import address, group, path

_WHOSE: Json = {
    "address": nullable(text("Null for a group as a whole.")),
    "path": nullable(text("The target path of the address's subscription; null without one.")),
    "group": nullable(text("The group, also that of a member; null for an address in no group.")),
}
_AN_ADDRESS: Json = {"address": AN_ADDRESS, "path": None, "group": None}
_ONE_OR_MEMBER = [
    address("One subscriber's; that of a group's member pauses that member alone.", required=False),
    path(),
    group("A group as a whole, instead of an address."),
]
_ONE = [address("One subscriber's; that of a member means its group.", required=False), path(), group()]


def _action(name: str, summary: str, description: str, target: str, more: Json, example: Json, **rest: Any) -> Json:
    """Build an operation on one subscription, whose response says on which, and ``more``."""
    parameters, errors = rest["parameters"], rest.get("errors", ())
    ok = build.answer("Done.", build.content(JSON, shape("What was done.", _WHOSE | more), _AN_ADDRESS | example))
    found = operation(
        name, summary, description, tag="Control", scope="admin", call=f"-X POST '{target}'", parameters=parameters,
        ok=ok, errors=("WrongAddress", "NotRegistered", *errors, "NotOwner", "DiskFull"),
    )  # fmt: skip
    found["responses"]["303"] = build.see_other("back to the subscriber's page")
    return found


PAUSE = _action(
    "pause", "Pause",
    "Begins no further attempt until the pause ends; what is in flight finishes. Events go on being accepted and wait. "
    "It outlives renewals and restarts. Where the subscriber is paused already, this is its pause from now on.",
    f"/pause?address={AN_ADDRESS}",
    {"until": nullable(time("When the pause ends; null where that is when it is resumed."))}, {"until": A_TIME},
    parameters=[*_ONE_OR_MEMBER, build.query("until", "When it ends by itself, within 366 days. Without it, it lasts "
                                             "until it is resumed.", text(), example="2026-11-24T13:00:00Z")],
)  # fmt: skip

RESUME = _action(
    "resume", "Resume",
    "Ends a pause at once, be it an operator's or one that the subscriber asked for by `Retry-After`.",
    f"/resume?address={AN_ADDRESS}", {"resumed": build.flag("Whether there was one.")}, {"resumed": True},
    parameters=_ONE_OR_MEMBER,
)  # fmt: skip

RETRY = _action(
    "retry", "Retry at once",
    "What waits for its backoff is due now, and a subscriber that is down is attempted. A pause goes on, and so does "
    "waiting for credentials: `state` says so.",
    f"/retry?address={AN_ADDRESS}",
    {
        "retried": count("How many deliveries wait for a retry."),
        "state": text("How the subscription is doing.", enum=[state.value for state in State]),
    },
    {"retried": 3, "state": "down"}, parameters=_ONE,
)  # fmt: skip

SKIP = _action(
    "skip", "Skip an event",
    "Makes the pending deliveries of one event dead letters, with the reason `skipped`, so that those behind it come. "
    "An attempt in flight finishes: where it succeeds the event is delivered, else it is a dead letter, too.",
    f"/skip?address={AN_ADDRESS}&id={AN_ID}",
    {
        "event": text("The event's id."),
        "skipped": count("Dead letters, saved by now."),
        "in_flight": count("In flight: dead letters unless these attempts succeed."),
    },
    {"event": AN_ID, "skipped": 1, "in_flight": 0},
    parameters=[*_ONE, build.query("id", "The event's id.", VISIBLE_ASCII, required=True, example=AN_ID)],
    errors=("NotPending", "TooManySkipped"),
)  # fmt: skip

PATHS: Json = {
    "/pause": {"post": PAUSE},
    "/resume": {"post": RESUME},
    "/retry": {"post": RETRY},
    "/skip": {"post": SKIP},
}
