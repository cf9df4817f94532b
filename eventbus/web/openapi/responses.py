"""Answers that several routes give, or all."""

from eventbus.web.openapi.components import TEXT, Json, content, error, problem, said, schema

WAIT = said("Seconds after which to try again.", {"type": "integer", "minimum": 1})
_CHALLENGE = said("What is needed (RFC 6750, section 3).", {"type": "string"})


def _before_any_route(description: str) -> Json:
    """An answer that is given before the request is known, and always text. The connection ends with it."""
    return {"description": description, "content": content(TEXT, schema("Error"))}


RESPONSES: Json = {
    "NoHttp": _before_any_route("What came is no sound HTTP request."),
    "TooSlow": _before_any_route("The request's head did not come within `EVENTBUS_REQUEST_SECONDS`."),
    "LineTooLong": _before_any_route("The request's first line is too long."),
    "Expectation": _before_any_route("`Expect` says something else than `100-continue`."),
    "HeadTooLong": _before_any_route("The request's headers are too many, or too long."),
    "Mistake": error(
        "The bus made a mistake; its log says more.",
        problem(500, "The bus made a mistake; its log says more."),
    ),
    "Unauthorized": error(
        "Tokens are set, and the request has none, or one that is not known.",
        problem(401, "A token is needed: send Authorization: Bearer and the token."),
        {"WWW-Authenticate": _CHALLENGE},
    ),
    "Forbidden": error(
        "The token is known, and may do other things. Or a browser says, by `Origin` or `Sec-Fetch-Site`, that a page "
        "from elsewhere wants to change something; then nothing is asked for, and the sentence says what a proxy that "
        "changes `Host` has to pass on. Or, without tokens, a browser asks by a name that is not in `EVENTBUS_HOSTS`.",
        problem(403, "This token may not publish."),
        {"WWW-Authenticate": {**_CHALLENGE, "required": False}},
    ),
    "NoPlace": error(
        "The event that is named as a place is not in the journal.",
        problem(404, "'order-42' is no event in the journal, and no time as RFC 3339 has it."),
    ),
    "NotRegistered": error(
        "The subscriber is not registered, so that nothing can be delivered to it.",
        problem(409, "This address is not registered; register it, and replay then."),
    ),
    "Unavailable": error(
        "The bus is stopping, or the journal cannot be used just now. Nothing of this was kept, unless the sentence "
        "says that this is not known, as it can be of a journal on Redis.",
        problem(503, "The bus is stopping; publish again in a few seconds."),
        {"Retry-After": WAIT},
    ),
    "NotOwner": error(
        "The bus is stopping, or the journal cannot be used just now; nothing of this was kept. Or several buses are "
        "one: the subscriber goes from one to another just now, and nothing was done; or the one that has it does not "
        "answer, and may have done this or not.",
        problem(503, "This subscriber goes from one node to another just now; ask again."),
        {"Retry-After": WAIT},
    ),
    "DiskFull": error(
        "The disk that holds the journal is full. Nothing of this was kept.",
        problem(507, "The disk that holds the journal is full; nothing of this was kept."),
        {"Retry-After": WAIT},
    ),
}
