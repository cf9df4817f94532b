"""What the page shows of the document: its operations by tag, with every reference resolved."""

import json
from collections.abc import Iterator
from typing import Any

from eventbus.web.openapi.builder import JSON, PROBLEM, TEXT, Json, response
from eventbus.web.openapi.operation import EVERYWHERE
from eventbus.web.openapi.responses import STATUS

#: Responses that most operations share, described once for all.
COMMON = ("Unauthorized", "Forbidden", "Unavailable", "DiskFull")


def view_of(document: Json) -> Json:
    """Return what the template needs: the document, its sections, and the responses that many operations share."""
    operations = list(_operations(document))
    return {
        "document": document,
        "sections": [
            {**tag, "operations": [one for one in operations if one["tags"] == [tag["name"]]]}
            for tag in document["tags"]
        ],
        "everywhere": [_answer(document, status, response(name)) for status, name in EVERYWHERE.items()],
        "common": [_answer(document, STATUS[name], response(name)) for name in COMMON],
    }


def _operations(document: Json) -> Iterator[Json]:
    """Yield all operations, those of subscribers too, with what the template needs beyond the document."""
    shared = [response(name) for name in (*COMMON, *EVERYWHERE.values())]
    for part in ("paths", "webhooks"):
        for path, methods in document[part].items():
            for method, operation in methods.items():
                responses = operation["responses"].items()
                yield {
                    **operation,
                    "method": method.upper(),
                    "path": path if part == "paths" else "<address>/event",
                    "scope": " or ".join(scope for one in operation["security"] for scope in one.get("bearer", ())),
                    "answers": [_answer(document, status, one) for status, one in responses if one not in shared],
                    "common": [STATUS[name] for name in COMMON if response(name) in operation["responses"].values()],
                    "examples": list(_examples(operation)),
                }


def _answer(document: Json, status: str, found: Json) -> Json:
    """Return a response with its status; ``sentence`` is what an error says, for example."""
    if "$ref" in found:
        found = document["components"]["responses"][found["$ref"].rpartition("/")[2]]
    contents = found.get("content", {})
    sentence = contents.get(PROBLEM, {}).get("example", {}).get("detail")
    return {"headers": {}, **found, "status": status, "sentence": sentence, "content": {} if sentence else contents}


def _examples(operation: Json) -> Iterator[tuple[str, str]]:
    """Yield a call, and the responses to it, each with a title."""
    for sample in operation.get("x-codeSamples", ()):
        yield "Call", sample["source"]
    for kind, one in operation["responses"].get("200", {}).get("content", {}).items():
        if "example" in one:
            yield f"Answer as {({TEXT: 'text', JSON: 'JSON'}).get(kind, kind)}", _written(kind, one["example"])


def _written(kind: str, example: Any) -> str:
    return json.dumps(example, indent=2) if kind == JSON else str(example)
