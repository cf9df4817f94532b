"""One registration, as ``Bus.register`` makes it."""

from collections.abc import Sequence

from eventbus.client.calls import Call, Caller
from eventbus.client.credentials import credential_headers
from eventbus.client.errors import ProtocolError
from eventbus.client.parameters import parameter
from eventbus.client.subscribers import Subscriber, Terms
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
    query = [("address", address)]
    if topics is not None:
        query += [("topic", topic) for topic in topics] or [("topic", "")]
    query += [] if terms is None else to_query(terms, parameter)
    headers = credential_headers(authorization, secret)
    found = Subscriber.of(caller.json(Call(method="POST", path="/registerAndKeepAlive", query=query, headers=headers)))
    if len(found.credentials) < bool(authorization) + bool(secret):
        raise ProtocolError("This bus is of a version that takes no credentials: it would deliver without them.")
    return found
