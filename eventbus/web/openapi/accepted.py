"""The shapes of what a publish is answered."""

from typing import Any

from eventbus.web.openapi import builder as build
from eventbus.web.openapi.builder import Json, count, nullable, text, time
from eventbus.web.openapi.settled import A_SETTLED, SETTLED

_SCHEDULED_FOR: Json = {
    "scheduled_for": nullable(
        time(
            "Where a time was given, or the first publish of the key had one: when it is due, null where it is in the "
            "journal at once."
        )
    ),
}
_OPTIONAL = tuple(_SCHEDULED_FOR)
_ACCEPTED: Json = {
    "subscribers": count("How many get at least one event of this; 0 for a duplicate."),
    "duplicate": build.flag("Whether the key was known, and nothing was kept."),
    **_SCHEDULED_FOR,
}
_IDS: Json = {"ids": build.items(text(), "In the batch's order.")}

#: Objects, as in ``schemas``.
ACCEPTED: dict[str, tuple[Any, ...]] = {
    "Accepted": ("An event that is safe.", {"id": text(), **_ACCEPTED}, None, _OPTIONAL),
    "AcceptedCloudEvent": ("A CloudEvent that is safe.", {
        "id": text(), "topic": nullable(text("Null where its type is no topic.")), **_ACCEPTED,
    }, None, _OPTIONAL),
    "AcceptedSettled": (
        "An event that is safe, and its fate.", {**SETTLED, **_ACCEPTED}, A_SETTLED, ("topic", *_OPTIONAL),
    ),
    "AcceptedBatch": ("Events that are safe.", {**_IDS, **_ACCEPTED}, None, _OPTIONAL),
    "AcceptedCloudEvents": ("CloudEvents that are safe, where the type of some is no topic.", {
        **_IDS, "without_topic": count("How many have no topic."), **_ACCEPTED,
    }, None, _OPTIONAL),
}  # fmt: skip
