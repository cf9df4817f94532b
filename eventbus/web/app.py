"""The application factory."""

from flask import Flask, abort, request

from eventbus.bus import Bus
from eventbus.web import dead_letters, errors, events, messages, operations, replays, subscribers


def create_app(bus: Bus) -> Flask:
    """The WSGI application over a bus; it starts and opens nothing."""
    app = Flask("eventbus")
    app.extensions["eventbus"] = bus
    app.url_map.merge_slashes = False
    for part in (subscribers, messages, events, dead_letters, replays, operations):
        app.register_blueprint(part.blueprint)
    app.before_request(_refuse_more_slashes)
    errors.install(app)
    return app


def _refuse_more_slashes() -> None:
    """Paths are exact, while Werkzeug's routing passes over slashes that come before the first."""
    if request.environ["PATH_INFO"].startswith("//"):
        abort(404)
