"""Who asked for a change, as far as that is known: for the audit, and for the next renewal."""

from collections.abc import Mapping
from typing import Any

from flask import request

from eventbus.core.access import Access
from eventbus.core.token_file import ANONYMOUS
from eventbus.core.tokens import Scope
from eventbus.services.audit import AuditEntry, Changed
from eventbus.web.access import access_of
from eventbus.web.current import the_bus

#: Characters of an ``X-Forwarded-For`` header that are logged.
MAX_FORWARDED_CHARACTERS = 100
#: The prefix of an IPv4 address on a dual-stack socket.
_MAPPED = "::ffff:"


def log_change(changed: Changed, target: str, count: int, **more: str) -> None:
    """Note that the current request has changed ``count`` things of the ``target``, with ``more`` fields."""
    the_bus().audit.note(entry_of_request(changed, target, count, **more))


def entry_of_request(changed: Changed, target: str, count: int, **more: str) -> AuditEntry:
    """Return the entry for a change by the current request, for one that is noted after its end."""
    tokens = the_bus().tokens
    access = access_of(request.environ, tokens) if tokens else None
    actor = ANONYMOUS if access is None else access.name or ANONYMOUS
    return AuditEntry(changed, target, count, actor, asked_by(request.environ, access) | more)


def asked_by(environ: Mapping[str, Any], access: Access | None) -> dict[str, str]:
    """Return from where a request came: ``client``, its address, and ``scope``, its token's scopes, if tokens are set.

    ``forwarded_for`` is the header of a proxy, or of the client itself, and not verified. Tokens are not logged.
    """
    fields = {"client": _client(environ)}
    if access is not None:
        fields["scope"] = Scope.ADMIN if access.is_admin else "+".join(sorted(access.scopes))
    if forwarded := environ.get("HTTP_X_FORWARDED_FOR"):
        fields["forwarded_for"] = str(forwarded)[:MAX_FORWARDED_CHARACTERS]
    return fields


def client_of(environ: Mapping[str, Any]) -> str:
    """Return the address that a request came from, with an unverified ``X-Forwarded-For``."""
    forwarded = environ.get("HTTP_X_FORWARDED_FOR")
    return f"{_client(environ)} for {str(forwarded)[:MAX_FORWARDED_CHARACTERS]}" if forwarded else _client(environ)


def _client(environ: Mapping[str, Any]) -> str:
    return str(environ.get("REMOTE_ADDR") or "unknown").removeprefix(_MAPPED)
