"""What a publish answers that waits until its event is settled."""

from eventbus.web.openapi import builder as build
from eventbus.web.openapi.builder import AN_ADDRESS, AN_ID, Json, count, nullable, text
from eventbus.web.settle import MAX_LISTED, STATES

_MEANINGS = {
    "pending": "Not settled, or not known: it is attempted again.",
    "dead": "Dead letters.",
    "discarded": "Given up on purpose: the subscriber left.",
    "filtered": "Not matched by the subscriber's filter.",
    "delivered": "Accepted by the subscriber.",
}
_SUBSCRIPTION = build.shape(
    "One subscription.",
    {
        "address": nullable(text("Null for a group.")),
        "path": nullable(text("Where its deliveries are POSTed to; null for `/event`.")),
        "group": nullable(text("Null for an address in no group.")),
        "state": text(enum=list(STATES)),
        "status": nullable(build.typed("integer", "Of the last attempt; null where none was answered, or not known.")),
        "attempts": nullable(count("Those that have ended; null where that is not known.")),
    },
)
SETTLED: Json = {
    "id": text(),
    "topic": nullable(text("Of a CloudEvent; null where its type is no topic.")),
    **{state: count(_MEANINGS[state]) for state in STATES},
    "subscriptions": build.items(
        _SUBSCRIPTION,
        f"At most {MAX_LISTED}, in the order of the states above; none where the token may neither subscribe nor view.",
    ),
    "more": count("How many subscriptions are not in that list."),
}
A_SETTLED: Json = {
    "id": AN_ID, "subscribers": 2, "duplicate": False,
    "pending": 1, "dead": 0, "discarded": 0, "filtered": 0, "delivered": 1,
    "subscriptions": [
        {"address": "10.0.0.7:8000", "path": None, "group": None, "state": "pending", "status": 503, "attempts": 2},
        {"address": AN_ADDRESS, "path": None, "group": None, "state": "delivered", "status": 200, "attempts": 1},
    ],
    "more": 0,
}  # fmt: skip
