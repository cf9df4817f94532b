"""What the bus asks of a subscriber, and what each response means."""

from eventbus import __version__
from eventbus.core.headers import PUBLISHER_HEADER
from eventbus.core.order_key import ORDER_KEY_HEADER
from eventbus.web.openapi.builder import AN_ID, Json, content, header, response_header, text, typed
from eventbus.web.openapi.schemas import TOPIC, VISIBLE_ASCII


def _always(name: str, description: str, values: Json, example: object) -> Json:
    """Build a header that each request has."""
    return header(name, description, values, required=True, example=example)


_DEAD, _RETRIED = "A dead letter at once. No redirect is followed.", "This event again, on its schedule."
_CREDENTIALS = (
    "A dead letter at once. Where its credentials are older than its last renewal but one, or were replaced meanwhile: "
    "this event again, on its schedule."
)
_PAUSE: Json = {
    "description": "With `Retry-After` the whole subscriber waits, up to an hour; else this event is tried again.",
    "headers": {"Retry-After": {"description": "Seconds, or a date.", "schema": text()}},
}
#: What a status of a delivery's response means.
_MEANINGS = {
    "2XX": "Delivered.", "3XX": _DEAD, "4XX": _DEAD, "404": _RETRIED, "408": _RETRIED, "409": _RETRIED, "425": _RETRIED,
    "401": _CREDENTIALS, "403": _CREDENTIALS, "410": "No more: the lease ends, and what is pending is discarded.",
    "5XX": _RETRIED,
}  # fmt: skip
_ORIGIN = "The bus's name: `EVENTBUS_ORIGIN`."

DELIVERY: Json = {
    "tags": ["Receiving"],
    "operationId": "event",
    "summary": "A delivery",
    "description": "What the bus sends to `<address>/event`: the body as it was published, and the headers that were "
    "kept. To one that registered with `Eventbus-Forward-Authorization` all requests have `Authorization`. A delivery "
    "that is tried again waits from 0.5 s, doubling, at most 60 s, with full jitter, until it has been tried for "
    "`EVENTBUS_RETRY_SECONDS` or the lease expires; then it is a dead letter. Where several events get no HTTP "
    "response in time, and no other does, the subscriber is down: it gets one event at a time, with backoff.",
    "security": [],
    "parameters": [
        _always("Webhook-Id", "The event's id, the same on every attempt: remove duplicates by it.", VISIBLE_ASCII,
                AN_ID),
        _always("Webhook-Timestamp", "Seconds since 1970, of the attempt.", typed("integer"), 1_795_522_152),
        header("Webhook-Signature", "Where secrets are set, or it has its own: one for each, over id, timestamp and "
               "body, by Standard Webhooks `v1`.", text(), example="v1,mYWy9znkv9RqJNF2p0WNgZYvyaGg6y4EYAUrWmAiUjE="),
        header("Eventbus-Signature", "Beside it, and as many: over the topic, `Content-Type`, `Content-Encoding` and "
               "`ce-*` too.", text(), example="v1,WcM1CqcsTFTzs2qsVz+9ygHSFcnM8YnvyAUl5bIS7/I="),
        header("WebHook-Request-Origin", "The bus's name, `EVENTBUS_ORIGIN`, where `EVENTBUS_VERIFY=handshake` has "
               "asked for consent to it.", text(), example="eventbus"),
        header("Eventbus-Topic", "The topic, where the event has one.", TOPIC, example="orders.created"),
        header(ORDER_KEY_HEADER, "The event's order key, where it has one, escaped as CloudEvents attributes are.",
               text(), example="customer-7"),
        header(PUBLISHER_HEADER, "The name of the token that published the event, where it has one.", text(),
               example="orders"),
        _always("Eventbus-Attempt", "Which attempt this is, from 1.", typed("integer", minimum=1), 1),
        _always("User-Agent", "The bus and its version.", text(), f"eventbus/{__version__}"),
        _always("Accept-Encoding", "No compressed response is unpacked.", text(const="identity"), "identity"),
    ],
    "requestBody": {
        "description": "The body as it was published, with its `Content-Type`, `Content-Encoding` and `ce-*` headers.",
        "content": content("*/*", {"description": "Any bytes."}),
    },
    "responses": {
        **{status: {"description": meaning} for status, meaning in _MEANINGS.items()}, "429": _PAUSE, "503": _PAUSE,
    },
}  # fmt: skip

CONSENT: Json = {
    "tags": ["Receiving"],
    "operationId": "consent",
    "summary": "Asking for consent",
    "description": "With `EVENTBUS_VERIFY=handshake` the bus asks `<address>/event` before the first delivery, as "
    "CloudEvents' web hooks do. Without consent the subscriber counts as down, and is asked again.",
    "security": [],
    "parameters": [_always("WebHook-Request-Origin", _ORIGIN, text(), "eventbus")],
    "responses": {
        "2XX": {"description": "Consent, if the origin is allowed.", "headers": {
            "WebHook-Allowed-Origin": response_header("The origin, or `*`.", text()),
            "WebHook-Allowed-Rate": response_header("Deliveries a minute, or `*`.", text(), required=False),
        }},
        "default": {"description": "No consent."},
    },
}  # fmt: skip

WEBHOOKS: Json = {"event": {"post": DELIVERY, "options": CONSENT}}
