"""What the document is put together from: parameters, answers and contents, each as a plain dictionary."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

Json = dict[str, Any]

TEXT, JSON, PROBLEM = "text/plain", "application/json", "application/problem+json"
#: An id that the bus made, and one that a publisher might give.
AN_ID = "01a20d75-c91e-7397-b3b5-12e239f6bc48"
A_TIME = "2026-11-24T12:09:12Z"
AN_ADDRESS = "localhost:8001"
#: Where the bus listens when it is told nothing.
BUS = "http://localhost:3000"


def schema(name: str) -> Json:
    """A reference to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def response(name: str) -> Json:
    """A reference to an answer that several routes give."""
    return {"$ref": f"#/components/responses/{name}"}


def query(name: str, description: str, values: Json, *, required: bool = False, example: Any = None) -> Json:
    """A parameter in the query."""
    return _parameter("query", name, description, values, required=required, example=example)


def header(name: str, description: str, values: Json, *, example: Any = None) -> Json:
    """A header that a request may have."""
    return _parameter("header", name, description, values, required=False, example=example)


def said(description: str, values: Json) -> Json:
    """A header that an answer has."""
    return {"description": description, "required": True, "schema": values}


def gathered() -> Json:
    """The header of an answer that is about all buses, where several are one."""
    description = (
        "Where several buses are one: of how many of them this tells, of how many, as `2 of 3`. A bus that does not "
        "answer in time is left out; subscribers that none has just now count as one more that did not. Where there is "
        "one bus, so is this header."
    )
    values = {"type": "string", "pattern": "^[1-9][0-9]* of [1-9][0-9]*$"}
    return {"Eventbus-Nodes": {**said(description, values), "required": False}}


def content(kind: str, values: Json, example: Any = None) -> Json:
    """A body of one media type."""
    shown = {} if example is None else {"example": example}
    return {kind: {"schema": values, **shown}}


def problem(status: int, detail: str) -> Json:
    """An error as JSON: problem details (RFC 9457)."""
    return {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}


def error(description: str, example: Json, headers: Json | None = None) -> Json:
    """An error in both of its forms: a sentence as text, or problem details for who asked for JSON."""
    bodies = content(PROBLEM, schema("Problem"), example) | content(TEXT, schema("Error"))
    return {"description": description, **({"headers": headers} if headers else {}), "content": bodies}


def bad_request(description: str, detail: str) -> Json:
    """The answer to a request that says something that cannot be done."""
    return error(description, problem(400, detail))


def answers(own: Json, *shared: str) -> Json:
    """All answers of a route: its own, shared ones by name, and those that any request may get; by status."""
    found = {status: response(name) for status, name in EVERYWHERE.items()}
    found |= {SHARED[name]: response(name) for name in shared}
    return dict(sorted((found | own).items()))


def needs(scope: str | None) -> Sequence[Json]:
    """What a client needs: a token with this scope where tokens are set, or nothing at all."""
    return [] if scope is None else [{}, {"bearer": [scope]}]


def sample(command: str) -> Sequence[Json]:
    """A call as a command line."""
    return [{"lang": "Shell", "label": "curl", "source": command}]


def _parameter(place: str, name: str, description: str, values: Json, *, required: bool, example: Any) -> Json:
    shown = {} if example is None else {"example": example}
    return {
        "name": name,
        "in": place,
        "description": description,
        "required": required,
        "schema": values,
        **shown,
    }


#: Answers that any request may get, by status: most of them before a route is looked for.
EVERYWHERE = {
    "400": "NoHttp",
    "408": "TooSlow",
    "414": "LineTooLong",
    "417": "Expectation",
    "431": "HeadTooLong",
    "500": "Mistake",
}
#: Answers that several routes give, and their status.
SHARED = {
    "Unauthorized": "401",
    "Forbidden": "403",
    "NotRegistered": "409",
    "NoPlace": "404",
    "Unavailable": "503",
    "NotOwner": "503",
    "DiskFull": "507",
}
