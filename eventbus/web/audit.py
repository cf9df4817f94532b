"""Audit log: one line for each change by a request, with what changed, how many, and which client asked."""

import logging
from collections.abc import Mapping
from enum import StrEnum
from typing import Any

from flask import request

from eventbus.core.tokens import Scope, Tokens
from eventbus.web.access import scopes_of
from eventbus.web.current import the_bus

#: Characters of an ``X-Forwarded-For`` header that are logged.
MAX_FORWARDED_CHARACTERS = 100
#: The prefix of an IPv4 address on a dual-stack socket.
_MAPPED = "::ffff:"

log = logging.getLogger(__name__)


class Changed(StrEnum):
    """What can be changed; the value is the ``event`` of its log line."""

    REGISTERED = "subscriber.registered"
    TERMS = "subscriber.changed"
    DEREGISTERED = "subscriber.deregistered"
    REPLAYED = "dead_letters.replayed"
    DISCARDED = "dead_letters.discarded"
    REPLAY_STARTED = "replay.started"
    PAUSED = "subscriber.paused"
    RESUMED = "subscriber.resumed"
    RETRIED = "subscriber.retried"
    SKIPPED = "event.skipped"


def log_change(changed: Changed, target: str, count: int, **more: str) -> None:
    """Log that the current request has changed ``count`` things of the ``target``, with ``more`` fields."""
    who = asked_by(request.environ, the_bus().settings.tokens) | more
    fields = {"event": changed.value, "target": target, "count": count, **who}
    details = " ".join(f"{name}={value}" for name, value in who.items())
    log.info("%s: %d, of %s, asked by %s", changed.value, count, target, details, extra=fields)


def asked_by(environ: Mapping[str, Any], tokens: Tokens) -> dict[str, str]:
    """Return who has sent a request: ``client``, its address, and ``scope``, its token's scopes, if tokens are set.

    ``forwarded_for`` is the header of a proxy, or of the client itself, and not verified. Tokens are not logged.
    """
    fields = {"client": _client(environ)}
    if tokens:
        scopes = scopes_of(environ, tokens)
        fields["scope"] = Scope.ADMIN if Scope.ADMIN in scopes else "+".join(sorted(scopes))
    if forwarded := environ.get("HTTP_X_FORWARDED_FOR"):
        fields["forwarded_for"] = str(forwarded)[:MAX_FORWARDED_CHARACTERS]
    return fields


def client_of(environ: Mapping[str, Any]) -> str:
    """Return the address that a request came from, with an unverified ``X-Forwarded-For``."""
    forwarded = environ.get("HTTP_X_FORWARDED_FOR")
    return f"{_client(environ)} for {str(forwarded)[:MAX_FORWARDED_CHARACTERS]}" if forwarded else _client(environ)


def _client(environ: Mapping[str, Any]) -> str:
    return str(environ.get("REMOTE_ADDR") or "unknown").removeprefix(_MAPPED)
