"""The shapes of what the bus takes and answers."""

from typing import Any

from eventbus.core.addresses import MAX_ADDRESS_LENGTH
from eventbus.core.credentials import CredentialKind
from eventbus.core.event_ids import MAX_ID_LENGTH
from eventbus.core.model import Options, State
from eventbus.core.option_kinds import TopicPatterns
from eventbus.core.option_table import options_of, to_json
from eventbus.core.options import SubscriptionOptions
from eventbus.core.order_key import MAX_KEY_BYTES
from eventbus.core.topics import MAX_TOPIC_LENGTH, TOPIC_REGEX
from eventbus.web.openapi import builder as build
from eventbus.web.openapi.accepted import ACCEPTED
from eventbus.web.openapi.attempt_shapes import A_STEP, ATTEMPTS, PATH, STATUS, STEPS
from eventbus.web.openapi.builder import A_DUE_TIME, A_TIME, AN_ADDRESS, AN_ID, Json, count, nullable, text, time
from eventbus.web.openapi.cloud_event import CLOUD_EVENT
from eventbus.web.openapi.dry_run import A_DRY_RUN, DRY_RUN

TOPIC = text(maxLength=MAX_TOPIC_LENGTH, pattern=f"^{TOPIC_REGEX}$")
#: The same, or nothing.
TOPIC_OR_NONE = {**TOPIC, "pattern": f"^(?:{TOPIC_REGEX})?$"}
TOPIC_PATTERNS = TopicPatterns().query_schema
ORDER_KEY = text(minLength=1, maxLength=MAX_KEY_BYTES, pattern=r"^[^\u0000-\u001f\u007f-\u009f]+$")
ADDRESS = text(minLength=1, maxLength=MAX_ADDRESS_LENGTH, pattern="^[!-~]+$")
#: An event's id, or an idempotency key.
VISIBLE_ASCII = text(pattern=f"^[!-~]{{1,{MAX_ID_LENGTH}}}$")
_SUBSCRIBER: Json = {
    "address": text("As the client wrote it."),
    "path": PATH,
    "group": nullable(text("The group that it is a member of, which has the account; null without one.")),
    "credentials": build.items(
        text(enum=[kind.value for kind in CredentialKind]),
        "Which credentials it has given, and not which values: of a group, each member has its own.",
    ),
    "declared": build.flag("Whether a file of the bus declares it: then it does not expire."),
    "owner": nullable(text("The name of the token that made the subscription; null where that had none.")),
    "draining": build.flag("Whether it asked for no more deliveries."),
    "registered_at": time("When the lease began."),
    "renewed_at": time("When it was renewed last."),
    "expires_at": nullable(time("When it expires, if it is not renewed; null of a declared one.")),
    "expired_at": nullable(time("When it expired; null while it has not.")),
    "renew_after": nullable(
        build.typed("number", "Seconds after which to renew: a third of the lease; null of a declared one.")
    ),
    **{one.name: build.described(one.kind.json_schema, one.summary) for one in options_of(SubscriptionOptions)},
    "state": text("How it is doing.", enum=[state.value for state in State]),
    "pause": {"oneOf": [build.schema("Pause"), {"type": "null"}]},
    "pending": count("All that is not settled."),
    "backlog": count("Pending, but not in flight."),
    "in_flight": count("Attempts in flight."),
    "oldest_pending_seconds": build.typed("number", "Age of the oldest pending event.", minimum=0),
    "accepted": count("Events accepted for it: pending, delivered, filtered, dead and discarded."),
    "delivered": count("Events that were delivered to it."),
    "failed_attempts": count("Attempts that failed."),
    "dead": count("Dead letters."),
    "discarded": count("Deliveries that were given up on purpose."),
    "filtered": count("Events that its filter did not match, and that were not delivered."),
    "held_keys": count("Order keys of which an event has failed, with `ordered=key`."),
    "oldest_held_key": {"oneOf": [build.schema("HeldKey"), {"type": "null"}]},
    "last_error": nullable(text("What went wrong last.")),
    "last_error_at": nullable(time("When that was.")),
    "error_rate": nullable(
        build.typed(
            "number", "Failed attempts of the last minute's, as a fraction; null without any.", minimum=0, maximum=1
        )
    ),
    "recent_successes": count("Attempts of the last ten minutes that succeeded."),
    "recent_failures": count("Attempts of the last ten minutes that failed."),
}
A_SUBSCRIBER: Json = {
    "address": AN_ADDRESS, "path": None, "group": None, "credentials": [], "declared": False, "owner": None,
    "draining": False,
    "registered_at": A_TIME, "renewed_at": A_TIME, "expires_at": "2026-11-24T12:11:12Z",
    "expired_at": None, "renew_after": 40.0, **to_json(Options(topics=("orders.*",))), "state": "ok",
    "pause": None, "pending": 0, "backlog": 0, "in_flight": 0, "oldest_pending_seconds": 0.0, "accepted": 1,
    "delivered": 1, "failed_attempts": 0, "dead": 0, "discarded": 0, "filtered": 0, "held_keys": 0,
    "oldest_held_key": None,
    "last_error": None, "last_error_at": None, "error_rate": 0.0,
    "recent_successes": 1, "recent_failures": 0,
}  # fmt: skip
A_REGISTRATION: Json = {
    "created": True, **A_SUBSCRIBER, "accepted": 0, "delivered": 0, "changed_at": None, "changed_by": None,
    "origin": None, "warnings": [],
}  # fmt: skip
_MEMBERS = build.items(build.shape("A member.", {
    "address": text(), "path": PATH, "state": _SUBSCRIBER["state"], "in_flight": count(),
    "draining": build.flag("See `drain`."), "declared": build.flag("Whether a file declares it."),
}), "Who shares its events.")  # fmt: skip
_GROUP: Json = {
    **{name: value for name, value in _SUBSCRIBER.items() if name not in ("address", "path", "declared")},
    "group": text("Its name."),
    "members": _MEMBERS,
    "expires_at": nullable(time("When it expired; null while it has members.")),
}
_REGISTRATION: Json = {
    "created": build.flag("Whether this was no renewal."),
    **_SUBSCRIBER,
    "changed_at": nullable(
        time("When another client than this one last registered, changed or deregistered this address; else null.")
    ),
    "changed_by": nullable(text("The address of that client, and the client for which it says that it asks.")),
    "origin": nullable(text("By which name the bus asks subscribers for their consent; null where it does not.")),
    "warnings": build.items(text(), "What may not be meant as it was given."),
}
_EVENT: Json = {
    "id": text("A UUID of version 7, which the bus gives."),
    "topic": nullable(text("Null where none was given.")),
    "key": nullable(text("The order key; null where none was given.")),
    "publisher": nullable(text("The name of the token that published it; null where that had none.")),
    "accepted_at": time(),
    "expires_at": nullable(time("From when on no delivery is attempted; null where it does not expire.")),
    "headers": build.typed("object", "The headers that were kept.", additionalProperties=text()),
    "body": build.schema("Body"),
}
AN_EVENT: Json = {
    "id": AN_ID, "topic": "orders.created", "key": None, "publisher": None, "accepted_at": A_TIME, "expires_at": None,
    "headers": {"Content-Type": "application/json"}, "body": {"text": '{"order": 42}'},
}  # fmt: skip
_RETRY: Json = {
    "attempts": count("So far; of one that is dead, in all."),
    "next_attempt_at": time(),
    "last_status": STATUS,
    "last_error": nullable(text()),
}
A_DELIVERY: Json = {
    "address": AN_ADDRESS, "path": None, "group": None, "state": "delivered",
    "delivered_at": "2026-11-24T12:09:12.053Z", "timeline": [A_STEP],
}  # fmt: skip
_DEAD_LETTER: Json = {
    "id": count("A number by which to replay or discard it."),
    "event": text("The event's id."),
    "topic": nullable(text()),
    "key": nullable(text("The event's order key.")),
    "subscriber": text("Its address, in its one spelling, or the name of its group."),
    "path": nullable(text("The target path of the address; null without one.")),
    "group": nullable(text("The name of its group; null without one.")),
    "reason": text(
        "`rejected`, `expired` (the event), `lease ended` (the subscriber's), `skipped`, `journal quota`, `no member "
        "of the group wants its topic`, `not delivered within` some seconds, or `in` some attempts."
    ),
    "attempts": count(),
    "first_attempt_at": nullable(time("Null without an attempt.")),
    "last_attempt_at": time("When it was attempted last, or given up."),
    "last_status": STATUS,
    "last_error": nullable(text()),
    "last_answer": build.described(build.schema("Body"), "The first KiB of the subscriber's last response."),
    "body_given_up": build.flag(
        "Its event's body is gone, since the journal was full: it can be discarded, not replayed."
    ),
}
A_DEAD_LETTER: Json = {
    "id": 1, "event": AN_ID, "topic": "orders.created", "key": None, "subscriber": AN_ADDRESS, "path": None,
    "group": None, "reason": "rejected",
    "attempts": 1, "first_attempt_at": A_TIME, "last_attempt_at": A_TIME, "last_status": 422,
    "last_error": "answered 422", "last_answer": {"text": "no such customer"}, "body_given_up": False,
}  # fmt: skip
_REPLAY: Json = {
    "replay": text("Its id."),
    "at": time("When it began."),
    "replayed": count("Dead letters that it has put back."),
    "delivered": count("Of these: delivered."),
    "dead_again": count("Dead letters again, which stays so here though they are put back once more."),
    "discarded": count("Discarded, since the subscriber deregistered or answered 410."),
    "filtered": count("Never attempted before, and not matched by the subscriber's filter."),
    "pending": count("Not settled."),
}
A_REPLAY: Json = {
    "replay": AN_ID, "at": A_TIME, "replayed": 12, "delivered": 9, "dead_again": 2, "discarded": 0,
    "filtered": 0, "pending": 1,
}  # fmt: skip
#: Objects: what each is, its properties, an example, and the properties that may be missing.
_SHAPES: dict[str, tuple[Any, ...]] = {
    "Problem": ("Problem details (RFC 9457).", {
        "type": text(const="about:blank"),
        "title": text("The name of the status."),
        "status": build.typed("integer"),
        "detail": text("What is wrong, with which value, and what is allowed."),
    }),
    "Subscriber": ("A subscriber: its options, and how it is doing.", _SUBSCRIBER, A_SUBSCRIBER),
    "Registration": ("A subscriber as it is now.", _REGISTRATION, A_REGISTRATION),
    "DryRun": ("What a registration would be; nothing was changed.", DRY_RUN, A_DRY_RUN),
    "Group": ("A group: the options, the account and the state that its members share.", _GROUP),
    "Pause": ("Why nothing is attempted, and until when.", {
        "by": text("An operator, or the subscriber itself by `Retry-After`.", enum=["operator", "subscriber"]),
        "client": nullable(text("The address of the operator's client.")),
        "since": nullable(time("When an operator paused it.")),
        "until": nullable(time("When the pause ends; null where that is when it is resumed.")),
    }),
    "HeldKey": ("The order key whose failed event is the oldest; those behind that wait.", {
        "key": text(), "event": nullable(text("The failed event's id.")), "error": text("Why it failed last."),
        "attempts": count("So far."),
    }),
    "SubscriberList": ("Subscribers, by address, and groups, by name.", {
        "subscribers": build.items(build.schema("Subscriber")), "groups": build.items(build.schema("Group")),
    }),
    "Deregistered": ("An address, or a group, that is registered no more.", {
        "address": text(), "path": PATH, "group": text(), "discarded": count("How many deliveries were discarded."),
    }, None, ("address", "path", "group")),
    "Event": ("An event as the journal has it.", _EVENT, AN_EVENT),
    "Delivery": (
        "One event for one subscriber. One that waits for its next attempt has its attempts, too.",
        {
            "address": nullable(text("Null for a group.")), "path": PATH,
            "group": nullable(text("Null for an address in no group.")),
            "state": text(enum=["pending", "delivered", "filtered", "dead", "discarded"]), **_RETRY, **STEPS,
        },
        A_DELIVERY, (*_RETRY, "delivered_at"),
    ),
    "EventWithDeliveries": (
        "An event, and its state for each subscriber that it was accepted for.",
        {
            **_EVENT, "deliveries": build.items(build.schema("Delivery")),
            "scheduled_for": time("Only while it is scheduled: when it is due."),
        },
        {**AN_EVENT, "deliveries": [A_DELIVERY]}, ("scheduled_for",),
    ),
    "ScheduledEvent": (
        "An event that enters the journal when it is due.", {**_EVENT, "scheduled_for": time("When it is due.")},
        {**AN_EVENT, "scheduled_for": A_DUE_TIME},
    ),
    "DeadLetter": ("A delivery that will not be attempted again.", _DEAD_LETTER, A_DEAD_LETTER),
    "Replay": ("Dead letters that were put back together, and their outcome.", _REPLAY, A_REPLAY),
    **ACCEPTED,
    **ATTEMPTS,
}  # fmt: skip

SCHEMAS: Json = {
    "Error": text(
        "`Error:` and a sentence, with no newline; on all but the four routes a space between them.", pattern="^Error:"
    ),
    **{name: build.shape(*described_as) for name, described_as in _SHAPES.items()},
    "Data": build.typed(
        "object",
        "An event's body as JSON: an object, or, as `*/*` says, anything else. It is not parsed.",
        additionalProperties=True,
    ),
    "Body": {
        "description": "A body: as text where it is UTF-8, else as Base64.",
        "oneOf": [
            build.shape("UTF-8.", {"text": text()}),
            build.shape("Anything else.", {"base64": text(contentEncoding="base64")}),
        ],
    },
    "CloudEvent": CLOUD_EVENT,
}
