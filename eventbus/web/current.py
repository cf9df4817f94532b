"""The bus that serves the current request, and who changed its subscriptions."""

from flask import current_app

from eventbus.bus import Bus
from eventbus.web.changes import Changes


def the_bus() -> Bus:
    """The bus of the current application."""
    bus: Bus = current_app.extensions["eventbus"]
    return bus


def the_changes() -> Changes:
    """Who changed which subscription last."""
    changes: Changes = current_app.extensions["eventbus.changes"]
    return changes
