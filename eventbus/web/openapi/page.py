"""What the page shows of the document: its operations by section, with every reference followed."""

import json
from dataclasses import dataclass
from typing import Any

from eventbus.web.openapi.components import EVERYWHERE, JSON, PROBLEM, SHARED, TEXT, Json, response

#: Answers that most operations share, told once for all.
COMMON = ("Unauthorized", "Forbidden", "Unavailable", "DiskFull")


@dataclass(frozen=True, slots=True)
class ResponseDoc:
    """One answer of an operation. ``sentence`` is an example of what an error says."""

    status: str
    description: str
    headers: Json
    contents: Json
    sentence: str | None


@dataclass(frozen=True, slots=True)
class Example:
    """What is sent or comes back, as it looks."""

    title: str
    text: str


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation as the page shows it.

    ``scope`` is the token that it needs, empty for none; ``common`` the statuses that it shares with most others.
    """

    anchor: str
    method: str
    path: str
    summary: str
    description: str
    scope: str
    parameters: list[Json]
    body: Json
    answers: list[ResponseDoc]
    common: list[str]
    examples: list[Example]


@dataclass(frozen=True, slots=True)
class Section:
    """Operations with the same tag."""

    name: str
    description: str
    operations: list[Operation]


def sections_of(document: Json) -> list[Section]:
    """All operations, those of subscribers too, by tag in the document's order."""
    found: dict[str, list[Operation]] = {tag["name"]: [] for tag in document["tags"]}
    for place in ("paths", "webhooks"):
        for path, methods in document[place].items():
            for method, operation in methods.items():
                shown = path if place == "paths" else "<address>/event"
                found[operation["tags"][0]].append(_operation(document, shown, method, operation))
    return [Section(tag["name"], tag["description"], found[tag["name"]]) for tag in document["tags"]]


def everywhere(document: Json) -> list[ResponseDoc]:
    """The answers that any request may get."""
    return [_answer(document, status, response(name)) for status, name in EVERYWHERE.items()]


def common(document: Json) -> list[ResponseDoc]:
    """The answers that most operations share."""
    return [_answer(document, SHARED[name], response(name)) for name in COMMON]


def _operation(document: Json, path: str, method: str, operation: Json) -> Operation:
    responses = operation["responses"]
    shared = [response(name) for name in (*COMMON, *EVERYWHERE.values())]
    own = {status: found for status, found in responses.items() if found not in shared}
    return Operation(
        anchor=operation["operationId"],
        method=method.upper(),
        path=path,
        summary=operation["summary"],
        description=operation["description"],
        scope=_scope(operation["security"]),
        parameters=operation.get("parameters", []),
        body=operation.get("requestBody", {}),
        answers=[_answer(document, status, found) for status, found in own.items()],
        common=[SHARED[name] for name in COMMON if response(name) in responses.values()],
        examples=_examples(operation),
    )


def _answer(document: Json, status: str, found: Json) -> ResponseDoc:
    whole = _followed(document, found)
    contents = dict(whole.get("content", {}))
    example = contents.pop(PROBLEM, {}).get("example")
    if example is not None:
        contents.pop(TEXT)
    return ResponseDoc(status, whole["description"], whole.get("headers", {}), contents, example and example["detail"])


def _followed(document: Json, found: Json) -> Json:
    """What a reference leads to; anything else as it is."""
    if "$ref" not in found:
        return found
    whole = document
    for part in found["$ref"].removeprefix("#/").split("/"):
        whole = whole[part]
    return whole


def _scope(security: list[Json]) -> str:
    """The scope that is asked for, of requirements as pieces.needs makes them."""
    return next((scope for one in security for scope in one.get("bearer", [])), "")


def _examples(operation: Json) -> list[Example]:
    """A call, and the answers to it."""
    calls = [Example("Call", sample["source"]) for sample in operation.get("x-codeSamples", [])]
    answered = operation["responses"].get("200", {}).get("content", {})
    return calls + [
        Example(f"Answer as {_plain(kind)}", _written(kind, one["example"]))
        for kind, one in answered.items()
        if "example" in one
    ]


def _plain(kind: str) -> str:
    return {TEXT: "text", JSON: "JSON"}.get(kind, kind)


def _written(kind: str, example: Any) -> str:
    return json.dumps(example, indent=2) if kind == JSON else str(example)
