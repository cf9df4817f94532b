"""Publishing: one event, or a batch."""

from eventbus.core.errors import KeyReused
from eventbus.core.topics import MAX_WORDS
from eventbus.web.cloudevents import BATCH, STRUCTURED
from eventbus.web.openapi.cloud_event import A_CLOUD_EVENT
from eventbus.web.openapi.components import (
    AN_ID,
    BUS,
    JSON,
    TEXT,
    Json,
    answers,
    bad_request,
    content,
    error,
    header,
    needs,
    problem,
    query,
    said,
    sample,
    schema,
)
from eventbus.web.openapi.paths_subscribers import SUCCESS
from eventbus.web.openapi.schemas import TOPIC_OR_NONE, VISIBLE_ASCII
from eventbus.web.routes.messages import MAX_BATCH_EVENTS, MAX_BATCH_TOPICS
from eventbus.web.server.byte_budget import MAX_BATCH_BYTES

_KEPT = "Sent on unchanged."
_TEXT: Json = {"type": "string"}
_ANSWERS = ("Accepted", "AcceptedCloudEvent", "AcceptedBatch", "AcceptedCloudEvents")
_SAID: Json = {"id": AN_ID, "subscribers": 2, "duplicate": False}

_PARAMETERS = [
    query(
        "topic",
        f"The event's topic: up to {MAX_WORDS} words between dots, no wildcards. Where it is missing or empty: the "
        "`ce-type` header or a CloudEvent's `type`, if that can be a topic; else none, which only subscribers to "
        "everything match.",
        TOPIC_OR_NONE,
        example="orders.created",
    ),
    query(
        "batch",
        "`lines`: the body is an event on each line, all accepted or none; each line that is not blank is delivered as "
        "`application/json`.",
        {"type": "string", "enum": ["lines"]},
    ),
    query(
        "once",
        "`ce`: the key of `Idempotency-Key` is derived from the CloudEvent's source and id.",
        {"type": "string", "enum": ["ce"]},
    ),
    header(
        "Idempotency-Key",
        "The same key within 24 hours is answered with the first publish's ids and `duplicate: true`, and nothing is "
        "kept; with another topic or body it is refused.",
        VISIBLE_ASCII,
        example="order-42-created",
    ),
    header(
        "ce-type",
        "The topic, where the query gives none and it can be one. This and any other `ce-*` header of a CloudEvent is "
        "sent on unchanged.",
        _TEXT,
        example="orders.created",
    ),
    header("ce-id", "Sent on unchanged; it is not the event's id.", _TEXT, example="order-42"),
    header("ce-source", _KEPT, _TEXT, example="/shop"),
    header("ce-specversion", _KEPT, _TEXT, example="1.0"),
    header("Content-Encoding", _KEPT, _TEXT, example="gzip"),
    header("traceparent", _KEPT, _TEXT, example="00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"),
    header("tracestate", _KEPT, _TEXT, example="vendor=value"),
]

_BODY: Json = {
    "description": "Any bytes, at most `EVENTBUS_MAX_BODY_BYTES` of them (1 MiB). `Content-Type` is sent on unchanged. "
    f"`{BATCH}` is a JSON array of CloudEvents, and with `batch=lines` an event is on each line: all are accepted or "
    f"none, and each is delivered on its own. A batch has at most {MAX_BATCH_EVENTS:,} events, {MAX_BATCH_TOPICS:,} "
    f"different topics and {MAX_BATCH_BYTES // 2**20} MiB.",
    "required": False,
    "content": content(JSON, schema("Data"), {"order": 42})
    | content(STRUCTURED, schema("CloudEvent"), A_CLOUD_EVENT)
    | content(TEXT, {"type": "string", "description": "An event's body; with `batch=lines` one on each line."}, "hello")
    | content("application/octet-stream", {"type": "string", "format": "binary"})
    | content("*/*", {"type": "string", "format": "binary", "description": "An event's body, delivered as it came."}),
}

_SAFE: Json = {
    "description": "The event is on disk. A batch is answered with `ids`.",
    "headers": {
        "Webhook-Id": {
            **said("The event's id, the first one's of a batch; left out for an empty batch.", {"type": "string"}),
            "required": False,
        }
    },
    "content": content(JSON, {"anyOf": [schema(name) for name in _ANSWERS]}, _SAID) | SUCCESS,
    "links": {
        "event": {
            "operationId": "getEvent",
            "parameters": {"event_id": "$response.header.Webhook-Id"},
            "description": "The event, and what became of it.",
        }
    },
}

SEND: Json = {
    "tags": ["Publishing"],
    "operationId": "sendMessage",
    "summary": "Publish",
    "description": "Publishes the body as one event, or as a batch. The answer comes once the event is safe: anything "
    "that is not 2xx means that nothing was kept.",
    "security": needs("publish"),
    "parameters": _PARAMETERS,
    "requestBody": _BODY,
    "responses": answers(
        {
            "200": _SAFE,
            "400": bad_request(
                "A malformed parameter, header, CloudEvent or batch: which one, and why.",
                "The event has no source: a text that is not empty is required.",
            ),
            "408": error(
                "The request did not come within `EVENTBUS_REQUEST_SECONDS`.",
                problem(408, "The body did not come within 30 seconds."),
            ),
            "422": error(
                "The `Idempotency-Key` was used for another topic or body. Nothing was kept. `400` in plain text.",
                problem(422, str(KeyReused())),
            ),
            "413": error(
                "An event over `EVENTBUS_MAX_BODY_BYTES`, or a batch over its limits.",
                problem(413, "The body may have at most 1048576 bytes."),
            ),
        },
        *("Unauthorized", "Forbidden", "Unavailable", "DiskFull"),
    ),
    "x-codeSamples": sample(
        f"curl '{BUS}/sendMessage?topic=orders.created' -H 'Content-Type: application/json' "
        """--data '{"order": 42}'"""
    ),
}

PATHS: Json = {"/sendMessage": {"post": SEND}}
