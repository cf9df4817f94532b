"""A structured CloudEvent, by the rules that the bus checks.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from eventbus.web.openapi.pieces import Json
from eventbus.web.openapi.schemas import ID, TOPIC, described

_URI = r"^[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%\-]+$"
_MEDIA_TYPE = r"^[A-Za-z0-9!#$&^_.+\-]+/[A-Za-z0-9!#$&^_.+\-]+$"
_BASE64 = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"
_MAYBE_TEXT = {"type": ["string", "null"]}

A_CLOUD_EVENT: Json = {
    "specversion": "1.0",
    "id": "order-42",
    "source": "/shop",
    "type": "orders.created",
    "datacontenttype": "application/json",
    "data": {"order": 42},
}

CLOUD_EVENT: Json = {
    "type": "object",
    "description": "A CloudEvent 1.0 in JSON. It is checked, and delivered with the bytes in which it came.",
    "required": ["id", "source", "specversion", "type"],
    "properties": {
        "id": described(ID, "Becomes the event's id."),
        "source": {"type": "string", "pattern": _URI, "description": "A URI."},
        "specversion": {"const": "1.0"},
        "type": described(TOPIC, "Becomes the topic. Where the query gives a `topic`, any text will do."),
        "subject": {**_MAYBE_TEXT, "minLength": 1},
        "time": {**_MAYBE_TEXT, "format": "date-time"},
        "datacontenttype": {**_MAYBE_TEXT, "pattern": _MEDIA_TYPE, "description": "A media type."},
        "dataschema": {**_MAYBE_TEXT, "pattern": _URI, "description": "A URI."},
        "data": {"description": "Anything."},
        "data_base64": {
            "type": "string",
            "contentEncoding": "base64",
            "pattern": _BASE64,
            "description": "Bytes, instead of `data`.",
        },
    },
    "propertyNames": {"pattern": "^(?:[a-z0-9]+|data_base64)$"},
    "additionalProperties": {
        "type": ["string", "integer", "boolean", "null"],
        "minimum": -(2**31),
        "maximum": 2**31 - 1,
        "description": "Extensions; their names are lower-case letters and digits.",
    },
    "not": {"required": ["data", "data_base64"]},
    "examples": [A_CLOUD_EVENT],
}
