"""One registration, as ``Bus.register`` makes it."""

from collections.abc import Sequence
from dataclasses import replace

from eventbus.client.calls import Call, Caller
from eventbus.client.credentials import credential_headers
from eventbus.client.errors import ProtocolError
from eventbus.client.parameters import parameter
from eventbus.client.subscribers import DryRun, Subscriber, Terms
from eventbus.core.option_table import to_query


def register(
    caller: Caller,
    address: str,
    topics: Sequence[str] | None,
    terms: Terms | None,
    authorization: str | None,
    secret: str | None,
) -> Subscriber:
    """Register an address, or renew its lease. Raises BusError."""
    found = Subscriber.of(caller.json(_call(address, topics, terms, authorization, secret)))
    if len(found.credentials) < bool(authorization) + bool(secret):
        raise ProtocolError("This bus is of a version that takes no credentials: it would deliver without them.")
    return found


def dry_run(
    caller: Caller,
    address: str,
    *,
    topics: Sequence[str] | None = None,
    terms: Terms | None = None,
    authorization: str | None = None,
    secret: str | None = None,
) -> DryRun:
    """Return what a registration would be, and which past events match; change nothing. Raises BusError."""
    call = _call(address, topics, terms, authorization, secret)
    return DryRun.of(caller.json(replace(call, query=[*call.query, ("dry_run", "true")])))


def _call(
    address: str, topics: Sequence[str] | None, terms: Terms | None, authorization: str | None, secret: str | None
) -> Call:
    query = [("address", address)]
    if topics is not None:
        query += [("topic", topic) for topic in topics] or [("topic", "")]
    query += [] if terms is None else to_query(terms, parameter)
    headers = credential_headers(authorization, secret)
    return Call(method="POST", path="/registerAndKeepAlive", query=query, headers=headers)
