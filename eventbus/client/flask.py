"""Serve an inbox as a Flask blueprint. Only this module needs Flask."""

from flask import Blueprint, Response, request

from eventbus.client.inbox import Inbox
from eventbus.client.wsgi import dispatch_environ


def blueprint(inbox: Inbox, *, name: str = "eventbus") -> Blueprint:
    """Make a blueprint that takes events at ``/event``, below the ``url_prefix`` under which it is registered.

    It does not start the inbox: an app that is made for a shell or a test shall not register.
    """
    made = Blueprint(name, __name__)

    @made.route("/event", methods=["POST", "OPTIONS"], provide_automatic_options=False)
    def event() -> Response:
        answer = dispatch_environ(inbox, request.environ)
        return Response(answer.body, answer.status, answer.headers)

    return made
