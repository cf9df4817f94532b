"""The current request, the bus that serves it, and who changed its subscriptions.

They are read from where Flask's ``request`` and ``current_app`` look: each access through those costs more, 6 % of the
instructions of a publish to nobody.
"""

from typing import Any, Protocol

from flask import Request
from flask.globals import _cv_app, _cv_request

from eventbus.services.bus import Bus
from eventbus.web.subscription_changes import Changes


class _App(Protocol):
    """What every application of this package holds (see BusFlask)."""

    bus: Bus
    changes: Changes


def the_request() -> Request:
    """Return the current request."""
    return _cv_request.get().request


def the_bus() -> Bus:
    """Return the bus of the current application."""
    return _app().bus


def the_changes() -> Changes:
    """Return who last changed which subscription."""
    return _app().changes


def _app() -> _App:
    found: Any = _cv_app.get().app
    app: _App = found
    return app
