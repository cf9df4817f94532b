"""The attributes of an event as a CloudEvent: what its publisher gave, and what stands for the rest. Pure.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/spec.md
"""

import re
from collections.abc import Mapping
from typing import Protocol
from urllib.parse import unquote_to_bytes

from eventbus.core.batch_format import NO_TYPE, SOURCE
from eventbus.core.clock import rfc3339

#: The header of a CloudEvents attribute; the bus keeps others that begin so, too.
_NAME = re.compile(r"ce-[a-z0-9]+\Z")
#: When an event expires: https://github.com/cloudevents/spec/blob/main/cloudevents/extensions/expirytime.md
EXPIRY_ATTRIBUTE = "expirytime"
#: What is no attribute, but the body in structured mode.
DATA_NAMES = ("data", "data_base64")


class Described(Protocol):
    """What an event says of itself beside its headers."""

    @property
    def id(self) -> str:
        """Return the bus's id."""

    @property
    def topic(self) -> str | None:
        """Return the topic, None without one."""

    @property
    def accepted_at(self) -> float:
        """Return when it was accepted, in seconds since 1970."""


def usual_attributes(event: Described) -> dict[str, str]:
    """Return the attributes that every CloudEvent has, for an event whose publisher gave none."""
    return {
        "specversion": "1.0",
        "id": event.id,
        "source": SOURCE,
        "type": event.topic or NO_TYPE,
        "time": rfc3339(event.accepted_at),
    }


def attributes_in(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the attributes in kept headers, whose names are lower case, decoded (HTTP binding 1.0.2, 3.1.3.2)."""
    found = {
        name[3:]: unquote_to_bytes(value.strip('" \t').encode("latin-1")).decode("utf-8", "replace")
        for name, value in headers.items()
        if _NAME.match(name)
    }
    found |= {name: headers[name] for name in ("traceparent", "tracestate") if name in headers}
    if "content-type" in headers:
        found["datacontenttype"] = headers["content-type"]
    return {name: value for name, value in found.items() if value and name not in DATA_NAMES}


def media_type_of(headers: Mapping[str, str]) -> str:
    """Return the media type without its parameters, in lower case; empty without one."""
    return headers.get("content-type", "").partition(";")[0].strip().lower()
