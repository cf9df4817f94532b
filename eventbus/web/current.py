"""The bus that serves the current request."""

from flask import current_app

from eventbus.bus import Bus


def the_bus() -> Bus:
    """The bus of the current application."""
    bus: Bus = current_app.extensions["eventbus"]
    return bus
