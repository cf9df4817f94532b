"""What the bus asks of a subscriber, and what each answer means."""

from collections.abc import Sequence

from eventbus import __version__
from eventbus.web.openapi.components import AN_ID, Json, content, header
from eventbus.web.openapi.schemas import ID, TOPIC

_TEXT: Json = {"type": "string"}
_NUMBER: Json = {"type": "integer"}


def _sent(parameter: Json) -> Json:
    """A header that is always there."""
    return {**parameter, "required": True}


def _means(statuses: Sequence[str], description: str) -> Json:
    return {status: {"description": description} for status in statuses}


_PAUSE: Json = {
    "description": "With `Retry-After` the whole subscriber waits, up to an hour; else this event is tried again.",
    "headers": {"Retry-After": {"description": "Seconds, or a date.", "schema": _TEXT}},
}

DELIVERY: Json = {
    "tags": ["Receiving"],
    "operationId": "event",
    "summary": "A delivery",
    "description": "What the bus sends to `<address>/event`: the body as it was published, and the headers that were "
    "kept. A delivery that is tried again waits from 0.5 s, doubling, at most 60 s, with full jitter, until it has "
    "been tried for `EVENTBUS_RETRY_SECONDS` or the lease ends; then it is a dead letter. Where several events "
    "get no HTTP answer in time, and no other does, the subscriber is down: it gets one event at a time, with backoff.",
    "security": [],
    "parameters": [
        _sent(
            header(
                "Webhook-Id", "The event's id, the same on every attempt: remove duplicates by it.", ID, example=AN_ID
            )
        ),
        _sent(header("Webhook-Timestamp", "Seconds since 1970, of the attempt.", _NUMBER, example=1_795_522_152)),
        header(
            "Webhook-Signature",
            "Where secrets are set: one signature for each, by Standard Webhooks `v1`, over id, timestamp and body.",
            _TEXT,
            example="v1,mYWy9znkv9RqJNF2p0WNgZYvyaGg6y4EYAUrWmAiUjE=",
        ),
        header(
            "Eventbus-Signature",
            "Beside it, and as many: over the topic, `Content-Type`, `Content-Encoding` and `ce-*` too.",
            _TEXT,
            example="v1,WcM1CqcsTFTzs2qsVz+9ygHSFcnM8YnvyAUl5bIS7/I=",
        ),
        header(
            "WebHook-Request-Origin",
            "The bus's name, `EVENTBUS_ORIGIN`, where `EVENTBUS_VERIFY=handshake` has asked for consent to it.",
            _TEXT,
            example="eventbus",
        ),
        header("Eventbus-Topic", "The topic, where the event has one.", TOPIC, example="orders.created"),
        _sent(
            header("Eventbus-Attempt", "Which attempt this is, from 1.", {"type": "integer", "minimum": 1}, example=1)
        ),
        _sent(header("User-Agent", "The bus and its version.", _TEXT, example=f"eventbus/{__version__}")),
        _sent(
            header(
                "Accept-Encoding",
                "No compressed answer is unpacked.",
                {"type": "string", "const": "identity"},
                example="identity",
            )
        ),
    ],
    "requestBody": {
        "description": "The body as it was published, with its `Content-Type`, `Content-Encoding` and `ce-*` headers.",
        "content": content("*/*", {"description": "Any bytes."}),
    },
    "responses": {
        **_means(["2XX"], "Delivered."),
        **_means(["3XX", "4XX"], "A dead letter at once. No redirect is followed."),
        **_means(["404", "408", "409", "425"], "This event again, on its schedule."),
        **_means(["410"], "No more: the lease ends, and what is pending is discarded."),
        "429": _PAUSE,
        **_means(["5XX"], "This event again, on its schedule."),
        "503": _PAUSE,
    },
}

CONSENT: Json = {
    "tags": ["Receiving"],
    "operationId": "consent",
    "summary": "Asking for consent",
    "description": "With `EVENTBUS_VERIFY=handshake` the bus asks `<address>/event` before the first delivery, as "
    "CloudEvents' web hooks do. Without consent the subscriber counts as down, and is asked again.",
    "security": [],
    "parameters": [
        _sent(header("WebHook-Request-Origin", "The bus's name: `EVENTBUS_ORIGIN`.", _TEXT, example="eventbus")),
    ],
    "responses": {
        "2XX": {
            "description": "Consent, if the origin is allowed.",
            "headers": {
                "WebHook-Allowed-Origin": {"description": "The origin, or `*`.", "required": True, "schema": _TEXT},
                "WebHook-Allowed-Rate": {"description": "Deliveries a minute, or `*`.", "schema": _TEXT},
            },
        },
        **_means(["default"], "No consent."),
    },
}

WEBHOOKS: Json = {"event": {"post": DELIVERY, "options": CONSENT}}
