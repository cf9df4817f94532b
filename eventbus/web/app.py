"""The application factory."""

import socket

from eventbus.core.host_names import hosts_of
from eventbus.services.bus import Bus
from eventbus.web import dashboard, error_responses
from eventbus.web.access import drain_guard, guard
from eventbus.web.cluster.forwarding import Forwarding
from eventbus.web.flask_app import BusFlask
from eventbus.web.parameters import query_guard
from eventbus.web.routes import (
    attempts,
    backup,
    dead_letters,
    events,
    messages,
    operations,
    operator_actions,
    reference,
    replays,
    schedule,
    subscribers,
)

BLUEPRINTS = (
    subscribers, messages, events, schedule, attempts, dead_letters, replays, operator_actions, operations, backup,
    reference, dashboard,
)  # fmt: skip


def application(bus: Bus) -> BusFlask | Forwarding:
    """Return what gunicorn serves: the app, in a cluster within what forwards requests to other nodes."""
    app = create_app(bus)
    nodes = bus.cluster.nodes
    if nodes is None:
        return app
    forwarding = Forwarding(app, nodes)
    nodes.serve(forwarding.answer)
    return forwarding


def create_app(bus: Bus) -> BusFlask:
    """Return the WSGI application over a bus; start and open nothing."""
    hosts = hosts_of(bus.settings.hosts, socket.gethostname())
    guards = (guard(bus.tokens, hosts), query_guard(bus), drain_guard(bus))
    app = BusFlask("eventbus", bus, guards)
    for part in BLUEPRINTS:
        app.register_blueprint(part.blueprint)
    error_responses.install(app)
    return app
