"""What monitoring asks of a running bus, and its own description."""

from eventbus.web.openapi import builder as build
from eventbus.web.openapi.builder import JSON, NODES_HEADER, PROBLEM, RETRY_AFTER, TEXT, Json, content, text
from eventbus.web.openapi.operation import operation

_METRICS = """\
# HELP eventbus_deliveries_pending Deliveries that are not settled.
# TYPE eventbus_deliveries_pending gauge
eventbus_deliveries_pending 0.0
"""


def _status(word: str) -> Json:
    """Build a response's content of one word."""
    values = build.typed("object", properties={"status": text(const=word)}, required=["status"])
    return content(JSON, values, {"status": word}) | content(TEXT, text(const=word), word)


def _get(path: str, summary: str, description: str, ok: Json, scope: str | None = None) -> Json:
    """Build an operation without parameters."""
    name = path.partition(".")[0][1:]
    return operation(name, summary, description, tag="Operating", scope=scope, ok=ok, call=f"'{path}'")


HEALTH = _get(
    "/healthz", "Is it alive?", "The process lives, and its event loop turns.",
    build.answer("It does.", _status("ok")),
)  # fmt: skip
READY = _get(
    "/readyz", "Can it accept?",
    "Publishing would be accepted: the journal can be written, and the bus is not draining.",
    build.answer("It can.", _status("ready")),
)  # fmt: skip
READY["responses"]["503"] = build.answer(
    "It cannot: the reason, in both forms without `Error:`.",
    content(PROBLEM, build.schema("Problem"), build.problem(503, "draining")) | content(TEXT, text(), "draining"),
    RETRY_AFTER,
)
METRICS = _get(
    "/metrics", "Metrics for Prometheus", "Prometheus's text format, version 0.0.4.",
    build.answer("The exposition.", content(TEXT, text(), _METRICS), NODES_HEADER), scope="admin",
)  # fmt: skip
DOCUMENT = _get(
    "/openapi.json", "This document", "What the bus answers to, as OpenAPI 3.1.",
    build.answer("The document.", content(JSON, build.typed("object"))),
)  # fmt: skip
PAGE = _get(
    "/docs", "This document as a page", "The same for people.",
    build.answer("The page.", content("text/html", text())),
)  # fmt: skip

PATHS: Json = {
    "/healthz": {"get": HEALTH},
    "/readyz": {"get": READY},
    "/metrics": {"get": METRICS},
    "/openapi.json": {"get": DOCUMENT},
    "/docs": {"get": PAGE},
}
