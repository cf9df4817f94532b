"""An operation: what can be asked of a path by a method."""

from collections.abc import Sequence
from typing import Any

from eventbus.web.openapi.builder import BUS, Json, response
from eventbus.web.openapi.responses import STATUS

#: Responses that any request may get, by status: most of them before the route is known.
EVERYWHERE = {
    "400": "NoHttp", "408": "TooSlow", "414": "LineTooLong", "417": "Expectation", "431": "HeadTooLong",
    "500": "InternalError",
}  # fmt: skip


def operation(
    name: str, summary: str, description: str, *, scope: str | None, ok: Json, errors: Sequence[str] = (), **more: Any
) -> Json:
    """Build an operation.

    ``scope`` is what a token has to allow, where tokens are set: one of these scopes; None for an open route. ``ok``
    is the response of status 200, ``errors`` are the names of others; those that any request may get are added. Of
    ``more``, ``tag`` is the section of the page, and ``call`` how curl is called, without the host; the rest is as
    OpenAPI has it.
    """
    tag, call = more.pop("tag"), more.pop("call")
    named = (*errors, "Unauthorized", "Forbidden") if scope else errors
    found = {status: response(one) for status, one in EVERYWHERE.items()}
    found |= {STATUS[one]: response(one) for one in named} | {"200": ok}
    return {
        "tags": [tag],
        "operationId": name,
        "summary": summary,
        "description": description,
        "security": [{}, *({"bearer": [one]} for one in scope.split())] if scope else [],
        **more,
        "responses": dict(sorted(found.items())),
        "x-codeSamples": [{"lang": "Shell", "label": "curl", "source": f"curl {call.replace('/', f'{BUS}/', 1)}"}],
    }
