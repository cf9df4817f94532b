"""A log line for what somebody has changed by a request: what, of whom, how much, and who asked as far as is known."""

import logging
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from flask import request

from eventbus.core.tokens import Scope, Tokens
from eventbus.web.access import scopes_of
from eventbus.web.current import the_bus

#: Characters of what a proxy says of its client.
MAX_FORWARDED = 100
#: How an IPv4 address begins that came to a socket of both kinds.
_MAPPED = "::ffff:"

log = logging.getLogger(__name__)


class Changed(StrEnum):
    """What can be changed, by the name that its log line has for programs: ``event`` where logs are JSON."""

    REGISTERED = "subscriber.registered"
    TERMS = "subscriber.changed"
    DEREGISTERED = "subscriber.deregistered"
    REPLAYED = "dead_letters.replayed"
    DISCARDED = "dead_letters.discarded"
    REPLAY_STARTED = "replay.started"


def log_change(changed: Changed, target: str, count: int, **more: str) -> None:
    """Log what the current request has changed: so many, of the ``target``; and what ``more`` there is to say."""
    who = asked_by(request.environ, the_bus().settings.tokens) | more
    fields = {"event": changed.value, "target": target, "count": count, **who}
    said = " ".join(f"{name}={value}" for name, value in who.items())
    log.info("%s: %d, of %s, asked by %s", changed.value, count, target, said, extra=fields)


def asked_by(environ: Mapping[str, Any], tokens: Tokens) -> dict[str, str]:
    """Who has sent a request: ``client``, its address; ``scope``, what its token may do, where tokens are set.

    ``forwarded_for`` is what a proxy, or the client itself, says of whom it asks for; nobody has checked that. A token
    is not told.
    """
    told = {"client": _client(environ)}
    if tokens:
        scopes = scopes_of(environ, tokens)
        told["scope"] = Scope.ADMIN if Scope.ADMIN in scopes else "+".join(sorted(scopes))
    if forwarded := environ.get("HTTP_X_FORWARDED_FOR"):
        told["forwarded_for"] = str(forwarded)[:MAX_FORWARDED]
    return told


def client_of(environ: Mapping[str, Any]) -> str:
    """The address that a request came from, and whom it says that it asks for as a proxy, which nobody has checked."""
    forwarded = environ.get("HTTP_X_FORWARDED_FOR")
    return f"{_client(environ)} for {str(forwarded)[:MAX_FORWARDED]}" if forwarded else _client(environ)


def _client(environ: Mapping[str, Any]) -> str:
    return str(environ.get("REMOTE_ADDR") or "unknown").removeprefix(_MAPPED)
