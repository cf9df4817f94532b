"""The application factory."""

from flask import Flask

from eventbus.bus import Bus
from eventbus.web import errors, messages, operations, subscribers


def create_app(bus: Bus) -> Flask:
    """The WSGI application over a bus; it starts and opens nothing."""
    app = Flask("eventbus")
    app.extensions["eventbus"] = bus
    app.url_map.merge_slashes = False
    for blueprint in (subscribers.blueprint, messages.blueprint, operations.blueprint):
        app.register_blueprint(blueprint)
    errors.install(app)
    return app
