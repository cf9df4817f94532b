"""A structured CloudEvent, by the rules that the bus checks.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/formats/json-format.md
"""

from eventbus.core.order_key import MAX_KEY_BYTES
from eventbus.web.openapi.builder import Json, described, nullable, text

_URI = r"^[A-Za-z0-9._~:/?#\[\]@!$&'()*+,;=%\-]+$"
_MEDIA_TYPE = r"^[!#$%&'*+.^_`|~0-9A-Za-z\-]+/[!#$%&'*+.^_`|~0-9A-Za-z\-]+$"
#: Any text without control characters.
_NAME = text(minLength=1, pattern=r"^[^\u0000-\u001f\u007f-\u009f]+$")
_BASE64 = "^(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?$"

A_CLOUD_EVENT: Json = {
    "specversion": "1.0", "id": "order-42", "source": "/shop", "type": "orders.created",
    "datacontenttype": "application/json", "data": {"order": 42},
}  # fmt: skip

CLOUD_EVENT: Json = {
    "type": "object",
    "description": "A CloudEvent 1.0 in JSON. It is checked, and delivered with the bytes in which it came.",
    "required": ["id", "source", "specversion", "type"],
    "properties": {
        "id": described(_NAME, "Counts within its source, and stays in the event: the bus gives an id of its own."),
        "source": text("A URI.", pattern=_URI),
        "specversion": text(const="1.0"),
        "type": described(_NAME, "The topic, where the query gives none. One that is no topic gives none."),
        "subject": nullable(text(minLength=1)),
        "time": nullable(text(format="date-time")),
        "datacontenttype": nullable(text("A media type.", pattern=_MEDIA_TYPE)),
        "dataschema": nullable(text("A URI.", pattern=_URI)),
        "partitionkey": nullable(
            text(
                "The order key: 1 to 256 bytes.",
                minLength=1,
                maxLength=MAX_KEY_BYTES,
                pattern=r"^[^\u0000-\u001f\u007f-\u009f]+$",
            )
        ),
        "data": {"description": "Anything."},
        "data_base64": text("Bytes, instead of `data`.", contentEncoding="base64", pattern=_BASE64),
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
