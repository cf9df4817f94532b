"""Health checks and metrics."""

from flask import Blueprint, request

from eventbus.core.errors import JournalError
from eventbus.core.tokens import Scope
from eventbus.services.snapshot import snapshot_of
from eventbus.telemetry.metrics import Metrics
from eventbus.web.accept import wants_json
from eventbus.web.access import needs
from eventbus.web.current import the_bus
from eventbus.web.replies import Reply, as_json, problem, text

blueprint = Blueprint("operations", __name__)


@blueprint.get("/healthz")
@needs()
def healthz() -> Reply:
    """Answer that the process is alive and its event loop runs."""
    return as_json({"status": "ok"}) if wants_json(request) else text("ok")


@blueprint.get("/readyz")
@needs()
def readyz() -> Reply:
    """Answer whether publishing is possible: the journal is writable, and the bus is not draining."""
    bus = the_bus()
    if bus.draining:
        return _not_ready("draining")
    try:
        bus.journal.probe()
    except JournalError as error:
        return _not_ready(str(error))
    return as_json({"status": "ready"}) if wants_json(request) else text("ready")


@blueprint.get("/metrics")
@needs(Scope.VIEW)
def metrics() -> Reply:
    """Return the metrics for Prometheus."""
    bus = the_bus()
    return Reply(Metrics(bus.counters, lambda: snapshot_of(bus)).render(), 200, Metrics.content_type)


def _not_ready(reason: str) -> Reply:
    response = problem(503, reason) if wants_json(request) else text(reason, 503)
    response.headers["Retry-After"] = "1"
    return response
