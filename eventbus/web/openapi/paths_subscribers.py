"""Registering, deregistering and listing."""

from eventbus.core.options import registration_options
from eventbus.web.openapi.components import (
    A_TIME,
    AN_ADDRESS,
    BUS,
    JSON,
    TEXT,
    Json,
    answers,
    bad_request,
    content,
    error,
    gathered,
    needs,
    problem,
    query,
    sample,
    schema,
)
from eventbus.web.openapi.responses import WAIT
from eventbus.web.openapi.schemas import A_REGISTRATION, A_SUBSCRIBER, ADDRESS

_ACCESS = ("Unauthorized", "Forbidden")
_WRITES = (*_ACCESS, "NotOwner", "DiskFull")
SUCCESS = content(TEXT, {"type": "string", "const": "success"}, "success")
_SWITCH: Json = {"type": "string", "enum": ["true", "false"]}
ADDRESS_OF = "`host`, `host:port` or `[v6]:port`, with a path prefix and `http://` or `https://` where you like."
WRONG_ADDRESS = bad_request(
    "The address is missing, cannot be or may not be delivered to, or a parameter is malformed.",
    "Wrong input address. The port is a number from 1 to 65535, not '80a'.",
)


def address(description: str = ADDRESS_OF, *, required: bool = True) -> Json:
    """The parameter that names a subscriber."""
    return query("address", description, ADDRESS, required=required, example=AN_ADDRESS)


_OPTIONS = [
    query(one.parameter, f"{one.help} Default: {one.default_text}.", one.kind.query_schema, example=one.example)
    for one in registration_options()
]

REGISTER: Json = {
    "tags": ["Subscribers"],
    "operationId": "registerAndKeepAlive",
    "summary": "Register, or renew",
    "description": "Registers an address, or renews its lease. Every event that is accepted after the answer, and "
    "whose topic the subscriber chose, is delivered to it. A renewal that leaves a parameter out keeps it as it was.",
    "security": needs("subscribe"),
    "parameters": [address(), *_OPTIONS],
    "responses": answers(
        {
            "200": {
                "description": "Registered, or renewed.",
                "content": content(JSON, schema("Registration"), A_REGISTRATION) | SUCCESS,
            },
            "400": WRONG_ADDRESS,
            "429": error(
                "There are as many subscribers as are let in, or as many replays or changes of topics under way.",
                problem(
                    429,
                    "There are 20000 subscribers; no more are let in (EVENTBUS_MAX_SUBSCRIBERS).",
                ),
                {"Retry-After": WAIT},
            ),
        },
        "NoPlace",
        *_WRITES,
    ),
    "x-codeSamples": sample(f"curl -X POST '{BUS}/registerAndKeepAlive?address={AN_ADDRESS}'"),
}

DEREGISTER: Json = {
    "tags": ["Subscribers"],
    "operationId": "deregister",
    "summary": "Deregister",
    "description": "Ends a lease at once, and discards what is pending: a service that only restarts does not call it. "
    "Succeeds whether or not the address was there.",
    "security": needs("subscribe"),
    "parameters": [address()],
    "responses": answers(
        {
            "200": {
                "description": "The address is not registered any more.",
                "content": content(JSON, schema("Deregistered"), {"address": AN_ADDRESS, "discarded": 0}) | SUCCESS,
            },
            "400": WRONG_ADDRESS,
        },
        *_WRITES,
    ),
    "x-codeSamples": sample(f"curl -X DELETE '{BUS}/deregister?address={AN_ADDRESS}'"),
}

LIST: Json = {
    "tags": ["Subscribers"],
    "operationId": "listSubscribers",
    "summary": "List the subscribers",
    "description": "As text a line for each: the address as it was written, two spaces, a colon, two spaces, the time "
    "of its last renewal.",
    "security": needs("subscribe"),
    "parameters": [
        query(
            "expired",
            "`true`: not the live ones, but those whose lease has ended and who have not registered again.",
            _SWITCH,
            example="true",
        )
    ],
    "responses": answers(
        {
            "200": {
                "description": "The subscribers, by address.",
                "headers": gathered(),
                "content": content(JSON, schema("SubscriberList"), {"subscribers": [A_SUBSCRIBER]})
                | content(TEXT, {"type": "string"}, f"{AN_ADDRESS}  :  {A_TIME}\n"),
            },
            "400": bad_request("The query does not parse.", 'invalid URL escape "%zz"'),
        },
        *_ACCESS,
    ),
    "x-codeSamples": sample(f"curl '{BUS}/listSubscribers'"),
}

PATHS: Json = {
    "/registerAndKeepAlive": {"post": REGISTER},
    "/deregister": {"delete": DEREGISTER},
    "/listSubscribers": {"get": LIST},
}
