"""The current request, the bus that serves it, and who changed its subscriptions."""

from flask import Request, current_app, request

from eventbus.services.bus import Bus
from eventbus.web.subscription_changes import Changes


def the_request() -> Request:
    """The current request itself: Flask's ``request`` finds it again at each look, for some 3,000 instructions."""
    found: Request = request._get_current_object()  # type: ignore[attr-defined] # noqa: SLF001 - Werkzeug documents it
    return found


def the_bus() -> Bus:
    """The bus of the current application."""
    bus: Bus = current_app.extensions["eventbus"]
    return bus


def the_changes() -> Changes:
    """Who changed which subscription last."""
    changes: Changes = current_app.extensions["eventbus.changes"]
    return changes
