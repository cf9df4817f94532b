"""The shapes of what the bus takes and answers."""

from typing import Any

from eventbus.core.addresses import MAX_ADDRESS_LENGTH
from eventbus.core.event_ids import MAX_ID_LENGTH
from eventbus.core.model import Options
from eventbus.core.option_kinds import TopicPatterns
from eventbus.core.options import SubscriptionOptions, options_of, to_json
from eventbus.core.topics import MAX_TOPIC_LENGTH, TOPIC_REGEX
from eventbus.web.openapi.components import A_TIME, AN_ADDRESS, AN_ID, Json, schema

TOPIC = {"type": "string", "maxLength": MAX_TOPIC_LENGTH, "pattern": f"^{TOPIC_REGEX}$"}
#: The same, or nothing.
TOPIC_OR_NONE = {**TOPIC, "pattern": f"^(?:{TOPIC_REGEX})?$"}
TOPIC_PATTERNS = TopicPatterns().query_schema
ADDRESS = {"type": "string", "minLength": 1, "maxLength": MAX_ADDRESS_LENGTH, "pattern": "^[!-~]+$"}
VISIBLE_ASCII = {"type": "string", "pattern": f"^[!-~]{{1,{MAX_ID_LENGTH}}}$"}
#: An event's id.
ID = VISIBLE_ASCII
_COUNT = {"type": "integer", "minimum": 0}
_TIME = {"type": "string", "format": "date-time"}
_MAYBE_TIME = {"type": ["string", "null"], "format": "date-time"}
_TEXT = {"type": "string"}
_MAYBE_TEXT = {"type": ["string", "null"]}
_STATUS = {"type": ["integer", "null"], "minimum": 100, "maximum": 999}


def shape(description: str, properties: Json, optional: tuple[str, ...] = (), example: Any = None) -> Json:
    """An object with these properties, all of them there but for the optional ones."""
    required = [name for name in properties if name not in optional]
    shown = {} if example is None else {"examples": [example]}
    return {"type": "object", "description": description, "properties": properties, "required": required, **shown}


def described(base: Json, description: str, **more: Any) -> Json:
    """A schema with words."""
    return {**base, "description": description, **more}


_LIVE: Json = {
    "address": described(_TEXT, "As the client wrote it."),
    "registered_at": described(_TIME, "When the lease began."),
    "renewed_at": described(_TIME, "When it was renewed last."),
    "expires_at": described(_TIME, "When it ends, if it is not renewed."),
    "expired_at": described(_MAYBE_TIME, "When it ended, for one that is expired; else null."),
    "renew_after": {"type": "number", "description": "Seconds after which to renew: a third of the lease."},
    **{one.name: described(one.kind.json_schema, one.summary) for one in options_of(SubscriptionOptions)},
    "state": {
        "type": "string",
        "enum": ["new", "ok", "failing", "down", "paused", "expired"],
        "description": "How it is doing.",
    },
    "pending": described(_COUNT, "All that is not settled."),
    "backlog": described(_COUNT, "Pending, but not under way."),
    "in_flight": described(_COUNT, "Attempts under way."),
    "oldest_pending_seconds": {"type": "number", "minimum": 0, "description": "Age of the oldest pending event."},
    "accepted": described(_COUNT, "Events accepted for it: pending, delivered, dead and discarded."),
    "delivered": described(_COUNT, "Events that it has taken."),
    "failed_attempts": described(_COUNT, "Attempts that were no success."),
    "dead": described(_COUNT, "Dead letters."),
    "discarded": described(_COUNT, "Deliveries that were given up on purpose."),
    "last_error": described(_MAYBE_TEXT, "What went wrong last."),
    "last_error_at": described(_MAYBE_TIME, "When that was."),
    "error_rate": {
        "type": ["number", "null"],
        "minimum": 0,
        "maximum": 1,
        "description": "The part of the last minute's attempts that failed; null without attempts.",
    },
    "recent_successes": described(_COUNT, "Attempts of the last ten minutes that succeeded."),
    "recent_failures": described(_COUNT, "Attempts of the last ten minutes that failed."),
}
A_SUBSCRIBER: Json = {
    "address": AN_ADDRESS, "registered_at": A_TIME, "renewed_at": A_TIME, "expires_at": "2026-11-24T12:11:12Z",
    "expired_at": None, "renew_after": 40.0, **to_json(Options(topics=("orders.*",))), "state": "ok",
    "pending": 0, "backlog": 0, "in_flight": 0, "oldest_pending_seconds": 0.0, "accepted": 1, "delivered": 1,
    "failed_attempts": 0, "dead": 0, "discarded": 0, "last_error": None, "last_error_at": None, "error_rate": 0.0,
    "recent_successes": 1, "recent_failures": 0,
}  # fmt: skip
A_REGISTRATION: Json = {
    "created": True, **A_SUBSCRIBER, "accepted": 0, "delivered": 0, "changed_at": None, "changed_by": None,
    "origin": None, "warnings": [],
}  # fmt: skip
_CREATED: Json = {"type": "boolean", "description": "Whether this was no renewal."}
_CHANGED: Json = {
    "changed_at": described(
        _MAYBE_TIME,
        "When another client than this one last registered, changed or deregistered this address; else null.",
    ),
    "changed_by": described(_MAYBE_TEXT, "The address of that client, and whom it says that it asks for."),
}
_ORIGIN: Json = described(
    _MAYBE_TEXT, "By which name the bus asks subscribers for their consent; null where it does not."
)
_WARNINGS: Json = {"type": "array", "items": _TEXT, "description": "What may not be meant as it was said."}
_EVENT: Json = {
    "id": described(_TEXT, "A UUID of version 7, which the bus gives."),
    "topic": described(_MAYBE_TEXT, "None where none was given."),
    "accepted_at": _TIME,
    "headers": {"type": "object", "additionalProperties": _TEXT, "description": "The headers that were kept."},
    "body": schema("Body"),
}
AN_EVENT: Json = {
    "id": AN_ID, "topic": "orders.created", "accepted_at": A_TIME,
    "headers": {"Content-Type": "application/json"}, "body": {"text": '{"order": 42}'},
}  # fmt: skip
_WAITING: Json = {
    "attempts": described(_COUNT, "So far."),
    "next_attempt_at": _TIME,
    "last_status": described(_STATUS, "None where no answer came."),
    "last_error": _MAYBE_TEXT,
}
_DELIVERY: Json = {
    "address": _TEXT,
    "state": {"type": "string", "enum": ["pending", "delivered", "dead", "discarded"]},
    **_WAITING,
}
A_DELIVERY: Json = {"address": AN_ADDRESS, "state": "delivered"}
A_DEAD_LETTER: Json = {
    "id": 1, "event": AN_ID, "topic": "orders.created", "subscriber": AN_ADDRESS, "reason": "rejected",
    "attempts": 1, "first_attempt_at": A_TIME, "last_attempt_at": A_TIME, "last_status": 422,
    "last_error": "answered 422", "last_answer": {"text": "no such customer"}, "body_given_up": False,
}  # fmt: skip
_DEAD_LETTER: Json = {
    "id": described(_COUNT, "A number by which to replay or discard it."),
    "event": described(_TEXT, "The event's id."),
    "topic": _MAYBE_TEXT,
    "subscriber": described(_TEXT, "Its address, in its one spelling."),
    "reason": described(_TEXT, "`rejected`, `lease ended`, `journal quota`, or `not delivered within` some seconds."),
    "attempts": _COUNT,
    "first_attempt_at": described(_MAYBE_TIME, "None without an attempt."),
    "last_attempt_at": described(_TIME, "When it was tried last, or given up."),
    "last_status": described(_STATUS, "None where no answer came."),
    "last_error": _MAYBE_TEXT,
    "last_answer": described(schema("Body"), "The first KiB of what the subscriber answered."),
    "body_given_up": described(
        {"type": "boolean"}, "Its event's body is gone, since the journal was full: it can be discarded, not replayed."
    ),
}
_REPLAY: Json = {
    "replay": described(_TEXT, "Its id."),
    "at": described(_TIME, "When it began."),
    "replayed": described(_COUNT, "Dead letters that it has put back."),
    "delivered": described(_COUNT, "Of these: taken by their subscribers."),
    "dead_again": described(_COUNT, "Dead letters again, which stays so here though they are put back once more."),
    "discarded": described(_COUNT, "Given up, since the subscriber deregistered or answered 410."),
    "pending": described(_COUNT, "Not settled."),
}
A_REPLAY: Json = {
    "replay": AN_ID, "at": A_TIME, "replayed": 12, "delivered": 9, "dead_again": 2, "discarded": 0, "pending": 1,
}  # fmt: skip
_ACCEPTED: Json = {
    "subscribers": described(_COUNT, "How many get something of this; 0 for a duplicate."),
    "duplicate": {"type": "boolean", "description": "Whether the key was known, and nothing was kept."},
}
_IDS: Json = {"type": "array", "items": _TEXT, "description": "In the batch's order."}

SCHEMAS: Json = {
    "Error": {
        "type": "string",
        "pattern": "^Error:",
        "description": "`Error:` and a sentence, with no newline; on all but the four routes a space between them.",
    },
    "Problem": shape(
        "Problem details (RFC 9457).",
        {
            "type": {"type": "string", "const": "about:blank"},
            "title": described(_TEXT, "The status in words."),
            "status": {"type": "integer"},
            "detail": described(_TEXT, "What was wrong, with which value, and what would be right."),
        },
    ),
    "Subscriber": shape("A subscriber: what it asked for, and how it is doing.", _LIVE, example=A_SUBSCRIBER),
    "Registration": shape(
        "A subscriber as it is now.",
        {"created": _CREATED, **_LIVE, **_CHANGED, "origin": _ORIGIN, "warnings": _WARNINGS},
        example=A_REGISTRATION,
    ),
    "SubscriberList": shape(
        "Subscribers, by address.", {"subscribers": {"type": "array", "items": schema("Subscriber")}}
    ),
    "Deregistered": shape(
        "An address that is registered no more.",
        {"address": _TEXT, "discarded": described(_COUNT, "How many deliveries were pending.")},
    ),
    "Data": {
        "type": "object",
        "description": "An event's body as JSON: an object, or, as `*/*` says, anything else. It is not parsed.",
        "additionalProperties": True,
    },
    "Body": {
        "description": "A body: as text where it is UTF-8, else as Base64.",
        "oneOf": [
            shape("UTF-8.", {"text": _TEXT}),
            shape("Anything else.", {"base64": {"type": "string", "contentEncoding": "base64"}}),
        ],
    },
    "Event": shape("An event as the journal has it.", _EVENT, example=AN_EVENT),
    "Delivery": shape(
        "One event for one subscriber. Attempts are told of one that waits for its next.",
        _DELIVERY,
        optional=tuple(_WAITING),
        example=A_DELIVERY,
    ),
    "EventWithDeliveries": shape(
        "An event, and its state for each subscriber that it was accepted for.",
        {**_EVENT, "deliveries": {"type": "array", "items": schema("Delivery")}},
        example={**AN_EVENT, "deliveries": [A_DELIVERY]},
    ),
    "DeadLetter": shape("A delivery that will not be attempted again.", _DEAD_LETTER, example=A_DEAD_LETTER),
    "Replay": shape("Dead letters that were put back together, and what became of them.", _REPLAY, example=A_REPLAY),
    "Accepted": shape("An event that is safe.", {"id": _TEXT, **_ACCEPTED}),
    "AcceptedCloudEvent": shape(
        "A CloudEvent that is safe.",
        {
            "id": _TEXT,
            "topic": described(_MAYBE_TEXT, "Null where its type is no topic."),
            **_ACCEPTED,
        },
    ),
    "AcceptedBatch": shape("Events that are safe.", {"ids": _IDS, **_ACCEPTED}),
    "AcceptedCloudEvents": shape(
        "CloudEvents that are safe, where the type of some is no topic.",
        {"ids": _IDS, "without_topic": described(_COUNT, "How many have no topic."), **_ACCEPTED},
    ),
}
