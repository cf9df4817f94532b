"""A program that adds options to the table, and prints where they turn up. It changes no file of the product."""

import importlib.util
import json
import sys
from pathlib import Path
from typing import Any

#: One option of each kind, as somebody would write it into the table.
ENTRIES = """
    team: str | Missing = option(
        Text("[a-z]{1,9}", "a word of letters"), "Name a team.", "It is `x`.", default="", example="payments"
    )
    retry_seconds: float | Missing = option(Duration(1, 86_400), "Seconds of retries.", default=600)
    share: float | Missing = option(Number(0.5, 1_000), "Deliveries a second, at most.", default=100)
    batch_size: int | Missing = option(Integer(1, 500), "Events in one delivery.", default=1, record="batch")
    mode: str | Missing = option(Enumeration(("push", "pull")), "Who begins a delivery.", default="push")
    metadata_only: bool | Missing = option(Boolean(), "Send no bodies.", default=False)
    labels: tuple[str, ...] | Missing = option(
        Texts("[a-z=]+", "labels"), "What it is.", default=(), parameter="label", example=["a=b"]
    )
"""
TABLE = "eventbus.core.options"
#: Behind this option the others are added.
BEFORE = "    ordered: bool | str | Missing"


def add_to_table() -> None:
    """Load the table with the options above in it, for all modules that import it from now on."""
    spec = importlib.util.find_spec(TABLE)
    assert spec is not None
    assert spec.origin is not None
    source = Path(spec.origin).read_text("utf-8")
    source = source.replace(BEFORE, f"{ENTRIES}{BEFORE}", 1)
    source = source.replace("import Boolean,", "import Boolean, Texts,", 1).replace("Integer, ", "Integer, Number, ", 1)
    module = sys.modules[TABLE] = importlib.util.module_from_spec(spec)
    exec(compile(source, spec.origin, "exec"), module.__dict__)  # noqa: S102 - the product's own source


#: What a subscriber asks for, as a query, and what that is in JSON.
ASKED = "team=sales&retry_seconds=2.5&share=0.5&batch_size=10&mode=pull&metadata_only=true&label=a=b&label=c=d"
VALUES = {
    "team": "sales",
    "retry_seconds": 2.5,
    "share": 0.5,
    "batch_size": 10,
    "mode": "pull",
    "metadata_only": True,
    "labels": ["a=b", "c=d"],
}
#: Values that are outside an option's range.
WRONG = (
    "team=X", "retry_seconds=0.5", "share=1001", "batch_size=1.5", "mode=both", "metadata_only=yes", "label=A",
)  # fmt: skip
ADDRESS = "127.0.0.1:9"


def answers() -> dict[str, Any]:
    """Return what the routes and the dashboard say of a subscriber with these options."""
    from tests.support.in_process_nodes import in_process_nodes  # noqa: PLC0415 - the table is complete only now

    accept = {"Accept": "application/json"}
    target = f"/registerAndKeepAlive?address={ADDRESS}&"
    with in_process_nodes("here") as (here,):
        refused = [here.ask("POST", target + one, accept).json["detail"] for one in WRONG]
        registered = here.ask("POST", target + ASKED, accept).json
        renewed = here.ask("POST", f"{target}mode=push", accept).json
        page = here.ask("GET", f"/dashboard/subscriber?address={ADDRESS}").text
    return {"refused": refused, "registered": registered, "renewed": renewed, "dashboard": page}


def journal() -> dict[str, Any]:
    """Return the options in a journal's record, as they are read back, and as they are read from an older record."""
    from eventbus.core.addresses import parse_address  # noqa: PLC0415
    from eventbus.core.model import Options, Subscriber  # noqa: PLC0415
    from eventbus.core.option_table import to_json  # noqa: PLC0415
    from eventbus.delivery.lane.lane_record import new_record  # noqa: PLC0415
    from eventbus.journal import lane_json  # noqa: PLC0415

    options = Options(**{**VALUES, "labels": tuple(VALUES["labels"])})
    record = json.loads(lane_json.to_json(new_record(Subscriber(parse_address(ADDRESS), options), 0.0, 0)))
    read = lane_json.from_json(json.dumps(record)).subscriber.options
    older = {name: record["options"][name] for name in ("topics", "lease_seconds")}
    defaults = lane_json.from_json(json.dumps({**record, "options": older})).subscriber.options
    return {"record": record["options"], "read": to_json(read), "older": to_json(defaults)}


def client(registered: dict[str, Any]) -> dict[str, Any]:
    """Return the query that the client sends, and the subscriber that it makes of an answer."""
    from eventbus.client.parsing import parse_as  # noqa: PLC0415
    from eventbus.client.subscribers import Subscriber, Terms  # noqa: PLC0415
    from eventbus.core.option_table import to_json, to_query  # noqa: PLC0415

    query = [f"{name}={value}" for name, value in to_query(Terms(**VALUES), str)]
    return {"query": query, "subscriber": to_json(parse_as(Subscriber, registered))}


def command_line() -> dict[str, Any]:
    """Return what is typed for ``eventbus register``, and a fake bus's subscriber with these options."""
    from eventbus.cli.options import take_options  # noqa: PLC0415
    from eventbus.cli.register import register  # noqa: PLC0415
    from eventbus.client import Terms  # noqa: PLC0415
    from eventbus.core.option_table import options_of, to_json  # noqa: PLC0415
    from eventbus.testing import FakeBus  # noqa: PLC0415

    typed = [
        "--team",
        "sales",
        "--retry-seconds",
        "2.5",
        "--share",
        "0.5",
        "--batch-size",
        "10",
        "--mode",
        "pull",
        "--metadata-only",
    ]
    labels = ["--label", "a=b", "--label", "c=d"]
    context = register.make_context("register", [*typed, *labels, ADDRESS])
    fake = FakeBus().register(ADDRESS, terms=Terms(**VALUES))
    return {"typed": take_options(context.params, options_of(Terms)), "fake": to_json(fake)}


def descriptions() -> dict[str, Any]:
    """Return the parameters and the properties in OpenAPI, and the table of the protocol."""
    from eventbus.core.options import registration_options  # noqa: PLC0415
    from eventbus.web.openapi.document import document  # noqa: PLC0415
    from tests.support.option_docs import options_table  # noqa: PLC0415

    found = document()
    return {
        "parameters": found["paths"]["/registerAndKeepAlive"]["post"]["parameters"],
        "properties": found["components"]["schemas"]["Subscriber"]["properties"],
        "docs": options_table(registration_options()),
    }


if __name__ == "__main__":
    add_to_table()
    found = answers()
    print(json.dumps({**found, **journal(), **client(found["registered"]), **command_line(), **descriptions()}))  # noqa: T201
