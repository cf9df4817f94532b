"""What machines ask of a running bus, and what it says of itself."""

from eventbus.web.openapi.components import (
    BUS,
    JSON,
    PROBLEM,
    TEXT,
    Json,
    answers,
    content,
    gathered,
    needs,
    problem,
    sample,
    schema,
)
from eventbus.web.openapi.responses import WAIT


def _status(word: str) -> Json:
    """An answer of one word."""
    values: Json = {
        "type": "object",
        "properties": {"status": {"type": "string", "const": word}},
        "required": ["status"],
    }
    return content(JSON, values, {"status": word}) | content(TEXT, {"type": "string", "const": word}, word)


def _operation(name: str, summary: str, description: str, scope: str | None, found: Json) -> Json:
    """An operation without parameters."""
    shared = () if scope is None else ("Unauthorized", "Forbidden")
    return {
        "tags": ["Operating"],
        "operationId": name,
        "summary": summary,
        "description": description,
        "security": needs(scope),
        "responses": answers(found, *shared),
    }


HEALTH = _operation(
    "healthz",
    "Is it alive?",
    "The process lives, and its event loop turns.",
    None,
    {"200": {"description": "It does.", "content": _status("ok")}},
) | {"x-codeSamples": sample(f"curl '{BUS}/healthz'")}

READY = _operation(
    "readyz",
    "Can it accept?",
    "Publishing would be accepted: the journal can be written, and the bus is not draining.",
    None,
    {
        "200": {"description": "It can.", "content": _status("ready")},
        "503": {
            "description": "It cannot: the reason, in both forms without `Error:`.",
            "headers": {"Retry-After": WAIT},
            "content": content(PROBLEM, schema("Problem"), problem(503, "draining"))
            | content(TEXT, {"type": "string"}, "draining"),
        },
    },
) | {"x-codeSamples": sample(f"curl '{BUS}/readyz'")}

METRICS = _operation(
    "metrics",
    "Metrics for Prometheus",
    "Prometheus's text format, version 0.0.4.",
    "admin",
    {
        "200": {
            "description": "The exposition.",
            "headers": gathered(),
            "content": content(
                TEXT,
                {"type": "string"},
                "# HELP eventbus_deliveries_pending Deliveries that are not settled.\n"
                "# TYPE eventbus_deliveries_pending gauge\n"
                "eventbus_deliveries_pending 0.0\n",
            ),
        }
    },
) | {"x-codeSamples": sample(f"curl '{BUS}/metrics'")}

DOCUMENT = _operation(
    "openapi",
    "This document",
    "What the bus answers to, as OpenAPI 3.1.",
    None,
    {"200": {"description": "The document.", "content": content(JSON, {"type": "object"})}},
) | {"x-codeSamples": sample(f"curl '{BUS}/openapi.json'")}

PAGE = _operation(
    "docs",
    "This document as a page",
    "The same for people.",
    None,
    {"200": {"description": "The page.", "content": content("text/html", {"type": "string"})}},
) | {"x-codeSamples": sample(f"curl '{BUS}/docs'")}

PATHS: Json = {
    "/healthz": {"get": HEALTH},
    "/readyz": {"get": READY},
    "/metrics": {"get": METRICS},
    "/openapi.json": {"get": DOCUMENT},
    "/docs": {"get": PAGE},
}
