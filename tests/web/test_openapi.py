"""The OpenAPI document: sound, and about exactly the routes that there are."""

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from openapi_schema_validator import OAS31Validator, oas31_format_checker
from openapi_spec_validator import OpenAPIV31SpecValidator

from eventbus.core.errors import BadRequest
from eventbus.core.settings import MEMORY, Settings
from eventbus.core.topics import check_patterns, check_topic
from eventbus.journal.sqlite import SqliteJournal
from eventbus.services.bus import Bus
from eventbus.web.access import scopes_of_view
from eventbus.web.app import create_app
from eventbus.web.cluster.forwarding import PAGES
from eventbus.web.cluster.merge import KINDS
from eventbus.web.cluster.subjects import ABOUT_ONE
from eventbus.web.openapi.builder import response
from eventbus.web.openapi.document import document
from eventbus.web.openapi.schemas import TOPIC, TOPIC_PATTERNS
from tests.support.scripted import ScriptedTransport

DOCUMENT = document()
PROTOCOL = (Path(__file__).parents[2] / "docs/protocol.md").read_text("utf-8")
#: Answered for every GET, and described in the document's introduction.
IMPLIED = {"HEAD", "OPTIONS"}
TOPICS = ["a", "orders.created", "a*.b", "*a", ">>", "", ".", "a.", "a..b", "*", "a.>", "a b", "\xe9", "a,b-c.d/e"]
TOPICS += ["x" * 256, "x" * 257, *(".".join(words) for words in ("x" * 16, "x" * 17, "x" * 15 + ">", "x" * 16 + ">"))]
PATTERNS = [[text] for text in TOPICS] + [[], ["*", "a.>"], ["a.>.b"], ["", "a"], [">", "a"], ["a"] * 65]


@pytest.fixture(scope="module")
def app() -> Any:
    """The application, over a bus that was not started."""
    return create_app(Bus(Settings(journal=f"sqlite:///{MEMORY}"), SqliteJournal(MEMORY), ScriptedTransport()))


def routes(app: Any) -> Iterator[tuple[str, str, Any]]:
    """Every method and path of the application with its view, but for the dashboard and static files."""
    for rule in app.url_map.iter_rules():
        if not rule.endpoint.startswith("dashboard.") and not rule.endpoint.endswith(".static_file"):
            path = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", rule.rule)
            for method in rule.methods - IMPLIED:
                yield method.lower(), path, app.view_functions[rule.endpoint]


def operations(part: str = "paths") -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every method and path of the document, with its operation."""
    for path, methods in DOCUMENT[part].items():
        for method, operation in methods.items():
            yield method, path, operation


def examples(schema: dict[str, Any], value: Any) -> Iterator[tuple[dict[str, Any], Any]]:
    """Every example within a part of the document, with its schema."""
    if isinstance(value, dict):
        own = value.get("schema", value if "type" in value else schema)
        if "example" in value and "schema" in value:
            yield own, value["example"]
        for example in value.get("examples", ()) if isinstance(value.get("examples"), list) else ():
            yield own, example
        for part in value.values():
            yield from examples(own, part)
    elif isinstance(value, list):
        for part in value:
            yield from examples(schema, part)


def validator(schema: dict[str, Any]) -> OAS31Validator:
    """Checks values against a schema of the document."""
    return OAS31Validator({**schema, "components": DOCUMENT["components"]}, format_checker=oas31_format_checker)


def takes(schema: dict[str, Any], value: Any) -> bool:
    """Whether the document allows a value."""
    return bool(validator(schema).is_valid(value))


def test_the_document_is_sound() -> None:
    """The document is OpenAPI 3.1 by the standard's own schema."""
    assert list(OpenAPIV31SpecValidator(DOCUMENT).iter_errors()) == []


def test_each_route_is_in_the_document_and_nothing_else(app: Any) -> None:
    """Routes and document name the same methods of the same paths."""
    assert {(method, path) for method, path, _ in operations()} == {(method, path) for method, path, _ in routes(app)}


def test_each_operation_names_the_scope_that_its_route_needs(app: Any) -> None:
    """An operation names the scope that its route needs; an open route needs none."""
    documented = {(method, path): operation["security"] for method, path, operation in operations()}
    for method, path, view in routes(app):
        scopes = scopes_of_view(view)
        assert documented[method, path] == ([{}, *({"bearer": [scope]} for scope in scopes)] if scopes else [])


def test_each_response_about_all_nodes_counts_them() -> None:
    """Where the responses of all nodes are merged, the document names the header that counts the nodes."""
    merged = {route for route, merge in KINDS.items() if not merge.page} | {("GET", "/events/{event_id}")}
    documented = {
        (method.upper(), path)
        for method, path, operation in operations()
        if "Eventbus-Nodes" in operation["responses"]["200"].get("headers", {})
    }
    assert documented == merged


def test_each_request_about_one_subscriber_may_meet_another_node() -> None:
    """Where a request is forwarded to the node that owns the subscriber, the document names the error of that."""
    documented = {
        (method.upper(), path)
        for method, path, operation in operations()
        if operation["responses"].get("503") == response("NotOwner")
    }
    assert documented == {(method, path) for method, path in ABOUT_ONE if not path.startswith(PAGES)}


def test_each_operation_has_a_name_of_its_own() -> None:
    """No two operations share a name, and each has a tag that the document explains."""
    every = [operation for part in ("paths", "webhooks") for _, _, operation in operations(part)]
    names = [operation["operationId"] for operation in every]
    assert len(set(names)) == len(names)
    assert {operation["tags"][0] for operation in every} == {tag["name"] for tag in DOCUMENT["tags"]}


def test_each_status_of_publishing_is_in_the_document() -> None:
    """Each status that the protocol has for publishing is in the document."""
    table = PROTOCOL.partition("| status | why |")[2].partition("\n\n")[0]
    named = set(re.findall(r"`(\d{3})`", table))
    assert named >= {"400", "413", "507"}
    assert named <= DOCUMENT["paths"]["/sendMessage"]["post"]["responses"].keys()


def test_each_meaning_of_a_subscribers_answer_is_in_the_document() -> None:
    """Each status of a subscriber's response that the protocol explains is in the document."""
    table = PROTOCOL.partition("| what comes back | what it means |")[2].partition("\n\n")[0]
    named = {status.upper() for status in re.findall(r"`(\d(?:\d\d|xx))`", table)}
    assert named >= {"2XX", "410", "429"}
    assert named <= DOCUMENT["webhooks"]["event"]["post"]["responses"].keys()


def test_each_status_of_the_protocol_is_somewhere_in_the_document() -> None:
    """No status is named in the protocol alone."""
    named = set(re.findall(r"`(\d{3})[`,]", PROTOCOL))
    documented = {
        status
        for part in ("paths", "webhooks")
        for _, _, operation in operations(part)
        for status in operation["responses"]
    }
    assert named <= documented


def test_each_parameter_of_registering_is_in_the_document() -> None:
    """The protocol's table and the document name the same parameters, beside the address."""
    table = PROTOCOL.partition("### Registering")[2].partition("JSON:")[0]
    documented = {parameter["name"] for parameter in DOCUMENT["paths"]["/registerAndKeepAlive"]["post"]["parameters"]}
    assert set(re.findall(r"^\| `([\w-]+)`", table, re.MULTILINE)) | {"address"} == documented


def test_each_example_is_what_its_schema_says() -> None:
    """Every example of the document is allowed by the schema beside it."""
    found = list(examples({}, DOCUMENT))
    assert len(found) > 50
    for schema, example in found:
        errors = [error.message for error in validator(schema).iter_errors(example)]
        assert errors == [], (example, schema)


@pytest.mark.parametrize("text", TOPICS)
def test_a_topic_is_what_the_bus_takes(text: str) -> None:
    """The document's schema allows exactly the topics that can be published to."""
    assert takes(TOPIC, text) == is_taken(check_topic, text)


@pytest.mark.parametrize("texts", PATTERNS, ids=str)
def test_patterns_are_what_the_bus_takes(texts: list[str]) -> None:
    """The document's schema allows exactly the patterns that can be subscribed to."""
    assert takes(TOPIC_PATTERNS, texts) == is_taken(check_patterns, texts)


def is_taken(check: Any, value: Any) -> bool:
    """Whether a rule of the bus lets a value pass."""
    try:
        check(value)
    except BadRequest:
        return False
    return True


def nodes(at: Any) -> Iterator[dict[str, Any]]:
    """Every object of the document."""
    if isinstance(at, dict):
        yield at
    for one in at.values() if isinstance(at, dict) else at if isinstance(at, list) else ():
        yield from nodes(one)


def test_generators_find_json_first() -> None:
    """They take the first content of an answer and of a body, and want to know each value's type."""
    contents = [list(node["content"]) for node in nodes(DOCUMENT) if isinstance(node.get("content"), dict)]
    both = [kinds for kinds in contents if any("json" in kind for kind in kinds)]
    assert len(both) > 20
    assert [kinds for kinds in both if "json" not in kinds[0]] == []
    constants = [node for node in nodes(DOCUMENT) if "enum" in node or isinstance(node.get("const"), list | dict)]
    assert [node for node in constants if node.get("type") != "string"] == []


def test_generators_tell_bodies_apart() -> None:
    """Where there are several, each is an object or text: a function asks which one it was given."""
    bodies = DOCUMENT["paths"]["/sendMessage"]["post"]["requestBody"]["content"]
    shapes = [one["schema"].get("$ref", "").rpartition("/")[2] for one in bodies.values()]
    kinds = [
        DOCUMENT["components"]["schemas"][name]["type"] if name else one["schema"]["type"]
        for name, one in zip(shapes, bodies.values(), strict=True)
    ]
    assert set(kinds) == {"object", "string"}
