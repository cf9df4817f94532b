"""The least that Flask under gunicorn does: a view that is empty. What a publish costs is measured beside it."""

from gevent import monkey

monkey.patch_all()

from types import SimpleNamespace  # noqa: E402 - nothing may be imported before the patch

from flask import Flask  # noqa: E402 - nothing may be imported before the patch

from eventbus.core.settings import Settings  # noqa: E402
from eventbus.delivery.loop_load import LoopLoad  # noqa: E402
from eventbus.telemetry.counters import Counters  # noqa: E402


class Nothing:
    """Stands in for the bus; the worker reads it."""

    settings, counters = Settings(), Counters()
    dispatcher = SimpleNamespace(load=LoopLoad())

    def drain(self) -> None:
        """There is nothing to drain."""


class EmptyFlask(Flask):
    """Flask with what the worker reads from its application."""

    bus = Nothing()


app = EmptyFlask(__name__)


@app.post("/sendMessage")
def empty() -> str:
    """Take nothing in, keep nothing."""
    return "success"


@app.get("/readyz")
def ready() -> str:
    """Say that it runs."""
    return "ready"
