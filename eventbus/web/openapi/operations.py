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


_NOT_READY = build.answer(
    "It cannot: the reason, in both forms without `Error:`.",
    content(PROBLEM, build.schema("Problem"), build.problem(503, "draining")) | content(TEXT, text(), "draining"),
    RETRY_AFTER,
)
#: Summary, description, response and scope of each path.
_OPERATIONS: dict[str, tuple[str, str, Json, str | None]] = {
    "/healthz": (
        "Is it alive?", "The process lives, and its event loop turns.", build.answer("It does.", _status("ok")), None,
    ),
    "/readyz": (
        "Can it accept?", "Publishing would be accepted: the journal can be written, and the bus is not draining.",
        build.answer("It can.", _status("ready")), None,
    ),
    "/metrics": (
        "Metrics for Prometheus", "Prometheus's text format, version 0.0.4.",
        build.answer("The exposition.", content(TEXT, text(), _METRICS), NODES_HEADER), "view",
    ),
    "/openapi.json": (
        "This document", "What the bus answers to, as OpenAPI 3.1.",
        build.answer("The document.", content(JSON, build.typed("object"))), None,
    ),
    "/docs": (
        "This document as a page", "The same for people.",
        build.answer("The page.", content("text/html", text())), None,
    ),
}  # fmt: skip


def _operation(path: str) -> Json:
    """Build an operation without parameters; it has the path's name."""
    summary, description, ok, scope = _OPERATIONS[path]
    name = path.partition(".")[0][1:]
    return operation(name, summary, description, tag="Operations", scope=scope, ok=ok, call=f"'{path}'")


_BACKUP = operation(
    "backup",
    "Back up the journal",
    "Copies the journal while the bus runs, and sends the copy: a SQLite file with all that was accepted before the "
    "copy ended. It begins when the copy is made. An answer that is shorter than its `Content-Length` is no backup. "
    "`eventbus backup` calls this and checks what comes; `eventbus restore` makes a journal of it.",
    tag="Operations",
    scope="admin",
    ok=build.answer(
        "The copy.",
        content("application/vnd.sqlite3", text(format="binary")),
        {
            "Eventbus-Last-Sequence": build.response_header("The newest sequence number in the copy.", build.count()),
            "Eventbus-Rows": build.response_header("The rows of each table, as `events=12, lanes=3`.", text()),
            "Content-Disposition": build.response_header("A name for the file.", text()),
        },
    ),
    errors=("NoBackup", "BackupInProgress", "Unavailable", "NoRoom"),
    call="-o eventbus-backup.db '/backup'",
)

PATHS: Json = {path: {"get": _operation(path)} for path in _OPERATIONS} | {"/backup": {"get": _BACKUP}}
PATHS["/readyz"]["get"]["responses"]["503"] = _NOT_READY
