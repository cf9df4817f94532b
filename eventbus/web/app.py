"""The application factory."""

import socket

from eventbus.core.host_names import hosts_of
from eventbus.services.bus import Bus
from eventbus.web import dashboard, error_responses
from eventbus.web.access import drain_guard, guard
from eventbus.web.cluster.forwarding import Forwarding
from eventbus.web.flask_app import BusFlask
from eventbus.web.parameters import query_guard
from eventbus.web.routes import dead_letters, events, messages, operations, reference, replays, subscribers
from eventbus.web.subscription_changes import Changes


def application(bus: Bus) -> BusFlask | Forwarding:
    """What gunicorn serves: the app, and where other buses share the journal, what asks them and answers them."""
    app = create_app(bus)
    nodes = bus.cluster.nodes
    if nodes is None:
        return app
    whole = Forwarding(app, nodes)
    nodes.answer_by(whole.answer)
    return whole


def create_app(bus: Bus) -> BusFlask:
    """The WSGI application over a bus; it starts and opens nothing."""
    app = BusFlask("eventbus")
    app.extensions["eventbus"] = bus
    app.extensions["eventbus.changes"] = Changes()
    for part in (subscribers, messages, events, dead_letters, replays, operations, reference, dashboard):
        app.register_blueprint(part.blueprint)
    error_responses.install(app)
    hosts = hosts_of(bus.settings.hosts, socket.gethostname())
    app.guards = (guard(bus.settings.tokens, hosts), query_guard(bus), drain_guard(bus))
    return app
