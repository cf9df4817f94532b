"""Functions that build the parts of the document, each a plain dictionary."""

from collections.abc import Sequence
from http import HTTPStatus
from typing import Any

Json = dict[str, Any]

TEXT, JSON, PROBLEM = "text/plain", "application/json", "application/problem+json"
#: An id that the bus made, a time and an address, as examples have them.
AN_ID, A_TIME, AN_ADDRESS = "01a20d75-c91e-7397-b3b5-12e239f6bc48", "2026-11-24T12:09:12Z", "localhost:8001"
#: When a scheduled event is due.
A_DUE_TIME = "2026-11-24T12:24:12.000Z"
#: Where the bus listens by default.
BUS = "http://localhost:3000"


def schema(name: str) -> Json:
    """Refer to a schema of the document."""
    return {"$ref": f"#/components/schemas/{name}"}


def response(name: str) -> Json:
    """Refer to a response that several routes share."""
    return {"$ref": f"#/components/responses/{name}"}


def typed(kind: str, description: str = "", **more: Any) -> Json:
    """Build a schema of one type."""
    return {"type": kind, **more, **({"description": description} if description else {})}


def text(description: str = "", **more: Any) -> Json:
    """Build the schema of a text."""
    return typed("string", description, **more)


def count(description: str = "", **more: Any) -> Json:
    """Build the schema of an integer that is not negative."""
    return typed("integer", description, **{"minimum": 0, **more})


def flag(description: str) -> Json:
    """Build the schema of true or false."""
    return typed("boolean", description)


def time(description: str = "") -> Json:
    """Build the schema of a time."""
    return text(description, format="date-time")


def items(of: Json, description: str = "") -> Json:
    """Build the schema of a list."""
    return typed("array", description, items=of)


def nullable(values: Json) -> Json:
    """Build the schema of the same values, or null."""
    return {**values, "type": [values["type"], "null"]}


def described(values: Json, description: str) -> Json:
    """Add a description to a schema."""
    return {**values, "description": description}


def shape(description: str, properties: Json, example: Any = None, optional: Sequence[str] = ()) -> Json:
    """Build the schema of an object that has all properties, but perhaps not the optional ones."""
    required = [name for name in properties if name not in optional]
    examples = {} if example is None else {"examples": [example]}
    return typed("object", description, properties=properties, required=required, **examples)


def parameter(location: str, name: str, description: str, values: Json, **more: Any) -> Json:
    """Build a parameter in the ``query``, a ``header`` or the ``path``; it is optional unless ``required`` is given."""
    return {"name": name, "in": location, "description": description, "required": False, "schema": values, **more}


def query(name: str, description: str, values: Json, **more: Any) -> Json:
    """Build a parameter in the query."""
    return parameter("query", name, description, values, **more)


def header(name: str, description: str, values: Json, **more: Any) -> Json:
    """Build a header of a request."""
    return parameter("header", name, description, values, **more)


def response_header(description: str, values: Json, *, required: bool = True) -> Json:
    """Build a header of a response."""
    return {"description": description, "required": required, "schema": values}


def see_other(where: str) -> Json:
    """Build the response 303 to a browser without scripts: ``where`` it goes."""
    location = {"Location": response_header("The page.", text())}
    return {"description": f"For a browser without scripts: {where}.", "headers": location}


def content(kind: str, values: Json, example: Any = None) -> Json:
    """Build a body of one media type."""
    return {kind: {"schema": values, **({} if example is None else {"example": example})}}


def problem(status: int, detail: str) -> Json:
    """Build an error as JSON: problem details (RFC 9457)."""
    return {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": status, "detail": detail}


def answer(description: str, contents: Json, headers: Json | None = None) -> Json:
    """Build a response."""
    return {"description": description, **({"headers": headers} if headers else {}), "content": contents}


#: The header of a response that is about all nodes of a cluster.
NODES_HEADER = {
    "Eventbus-Nodes": response_header(
        "In a cluster: of how many nodes this response tells, of how many, as `2 of 3`. A node that does not answer in "
        "time is left out; subscribers that no node has just now count as one more that did not. A single node "
        "leaves this header out.",
        text(pattern="^[1-9][0-9]* of [1-9][0-9]*$"),
        required=False,
    )
}
#: The header of a response that asks to come back later.
RETRY_AFTER = {"Retry-After": response_header("Seconds after which to try again.", typed("integer", minimum=1))}
#: The response of a successful change to a client that asks for text.
SUCCESS = content(TEXT, text(const="success"), "success")
