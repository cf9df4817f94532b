"""The architecture: which module may import which. Read from the source; nothing is imported."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

BOTTOM = {
    f"eventbus.{name}"
    for name in (
        *("addresses", "clock", "errors", "event_id", "heads", "hosts", "leases", "meters", "model"),
        *("networks", "new_addresses", "ports", "redis_url", "settings", "signing", "tokens", "topics", "trouble"),
        *("journal_quota", "wildcards"),
    )
}
MIDDLE = {"eventbus.delivery", "eventbus.journal", "eventbus.telemetry"}
#: Top to bottom. An import may go down, or stay in its own part; the package's root (its version) is for all.
LAYERS = (
    {"wsgi", "eventbus.__main__", "eventbus.cli", "eventbus.gunicorn_config", "eventbus.wsgi"},
    {"eventbus.testing"},
    {"eventbus.client"},
    {"eventbus.start"},
    {"eventbus.web"},
    {
        f"eventbus.{name}"
        for name in (
            *(
                "admission",
                "bus",
                "company",
                "dead_letters",
                "ended_records",
                "endings",
                "expired",
                "feed",
                "handover",
                "history",
                "new_lanes",
                "nodes",
                "quota_keeper",
            ),
            *("places", "readings", "recovery", "registrations", "replays", "retention", "samples", "sharing"),
            "sweeper",
        )
    },
    MIDDLE,
    BOTTOM,
    {"eventbus"},
)
#: Who alone may import what comes from outside: the beginnings of their names.
KEEPERS = {
    "flask": ("wsgi", "eventbus.web", "eventbus.client.flask"),
    "werkzeug": ("wsgi", "eventbus.web"),
    "requests": ("eventbus.delivery.transport",),
    "urllib3": ("eventbus.delivery.transport",),
    "sqlite3": ("eventbus.journal.sqlite", "eventbus.cli.doctor"),
    "redis": ("eventbus.journal.redis",),
}
#: Commands that work on a bus that does not run: they alone may import the server, where they need it.
LOOK_INSIDE = ("eventbus.cli.doctor", "eventbus.cli.journal")
#: What the bottom layer does without, since it is pure: greenlets, threads, sockets, files, processes.
IMPURE = {
    "asyncio", "gevent", "greenlet", "http.client", "io", "os", "pathlib", "select", "selectors", "shutil",
    "socket", "ssl", "subprocess", "tempfile", "threading", "urllib.request",
}  # fmt: skip
#: os.urandom is where new ids get their random bits; tests give their own.
PURE_ENOUGH = {("eventbus.event_id", "os")}


#: Sources that break a rule, by the module they would stand in.
FORBIDDEN = [
    ("eventbus.topics", "from eventbus.bus import Bus"),
    ("eventbus.topics", "from eventbus import delivery"),
    ("eventbus.topics", "import gevent.queue"),
    ("eventbus.topics", "from http import client"),
    ("eventbus.topics", "def late():\n    import socket"),
    ("eventbus.leases", "import os"),
    ("eventbus.model", "if TYPE_CHECKING:\n    from eventbus.journal.base import Journal"),
    ("eventbus.model", "from .bus import Bus"),
    ("eventbus.journal.sqlite.store", "from eventbus.delivery.lane import Lane"),
    ("eventbus.delivery.dispatcher", "from eventbus.journal.sqlite import store"),
    ("eventbus.delivery.dispatcher", "from eventbus.journal import baseline"),
    ("eventbus.delivery.dispatcher", "import eventbus.telemetry.metrics"),
    ("eventbus.telemetry.metrics", "from eventbus.journal.base import Journal"),
    ("eventbus.delivery.dispatcher", "import requests"),
    ("eventbus.bus", "from eventbus.web.app import create_app"),
    ("eventbus.bus", "from flask import current_app"),
    ("eventbus.nodes", "from eventbus.web.forwarding import Forwarding"),
    ("eventbus.journal.redis.calls", "from eventbus.nodes import Nodes"),
    ("eventbus.journal.redis", "import sqlite3"),
    ("eventbus.journal.sqlite", "import redis"),
    ("eventbus.web.messages", "import wsgi"),
    ("eventbus.web.messages", "from eventbus.client import Inbox"),
    ("eventbus.cli.send", "from werkzeug.exceptions import HTTPException"),
    ("eventbus.cli.send", "from eventbus.settings import Settings"),
    ("eventbus.client.inbox", "from eventbus.topics import matches"),
    ("eventbus.client.inbox", "from flask import request"),
    ("eventbus.client.inbox", "from eventbus.testing import FakeBus"),
    ("eventbus.testing.server", "from eventbus.settings import Settings"),
    ("eventbus.misc", "import re"),
    ("eventbus", "from eventbus.bus import Bus"),
]
ALLOWED = [
    ("wsgi", "from flask import Flask\nfrom eventbus.web.app import create_app"),
    ("eventbus.cli.send", "from eventbus.cli.screen import Screen\nfrom eventbus.client import Bus"),
    ("eventbus.cli.journal", "def late():\n    from eventbus.journal.copying import Copying"),
    ("eventbus.cli.doctor.settings", "from eventbus.client import Bus\nfrom eventbus.settings import Settings"),
    (
        "eventbus.client.inbox",
        "from eventbus import __version__\nfrom eventbus.client.bus import Bus\nimport socket",
    ),
    ("eventbus.testing.fake", "from eventbus.client import Bus\nimport pytest"),
    ("eventbus.client.flask", "from flask import Blueprint"),
    ("eventbus.web.messages", "from flask import request\nfrom eventbus.bus import Bus\nimport os"),
    ("eventbus.sweeper", "import gevent\nfrom eventbus.bus import Bus"),
    ("eventbus.bus", "from eventbus.delivery.lane import Lane\nfrom eventbus.journal.base import Journal"),
    ("eventbus.delivery.transport", "import requests"),
    ("eventbus.delivery.transport_socket", "from requests.adapters import HTTPAdapter"),
    (
        "eventbus.delivery.lane",
        "from eventbus.delivery import backoff\nfrom eventbus.journal.base import Journal",
    ),
    ("eventbus.journal.sqlite.store", "import sqlite3\nfrom eventbus.model import Event"),
    ("eventbus.model", "import heapq\nfrom urllib.parse import quote\nfrom eventbus import topics"),
]


def part_of(module: str) -> str:
    """Name the part of the architecture that a module, or a name in one, belongs to."""
    part = ".".join(module.split(".")[:2])
    return part if any(part in layer for layer in LAYERS) else module.partition(".")[0]


def depth(part: str) -> int:
    """Count the layers above a part."""
    return next(depth for depth, layer in enumerate(LAYERS) if part in layer)


def is_inside(module: str, package: str) -> bool:
    """Tell whether a module is that package or somewhere in it."""
    return module == package or module.startswith(f"{package}.")


def may_import(importer: str, target: str) -> bool:
    """Tell whether the layers allow this import between two modules of the project."""
    ours, theirs = part_of(importer), part_of(target)
    if theirs in (ours, "eventbus"):
        return True
    if ours in ("eventbus.client", "eventbus.testing"):
        return (ours, theirs) == ("eventbus.testing", "eventbus.client")
    if ours == "eventbus.cli":
        return theirs == "eventbus.client" or any(is_inside(importer, one) for one in LOOK_INSIDE)
    if ours in MIDDLE and theirs in MIDDLE:
        return ours == "eventbus.delivery" and is_inside(target, "eventbus.journal.base")
    return depth(ours) <= depth(theirs)


def may_use(importer: str, target: str) -> bool:
    """Tell whether a module of the project may import that one from outside."""
    package = target.partition(".")[0]
    if part_of(importer) in BOTTOM and any(is_inside(target, impure) for impure in IMPURE):
        return (importer, package) in PURE_ENOUGH
    return package not in KEEPERS or importer.startswith(KEEPERS[package])


def imports(source: str) -> Iterator[str]:
    """Yield every imported name with its module before it, wherever in the file it is imported."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            origin = "." * node.level + (node.module or "")
            yield from (f"{origin}.{alias.name}" for alias in node.names)


def violations(importer: str, source: str) -> list[str]:
    """List what a module imports against the rules. A relative import hides its layer: always against."""
    if importer != "eventbus" and part_of(importer) == "eventbus":
        return [f"{importer} stands in no layer"]
    found = []
    for target in imports(source):
        ours = target.partition(".")[0] in ("eventbus", "wsgi")
        if target.startswith(".") or not (may_import if ours else may_use)(importer, target):
            found.append(f"{importer} imports {target}")
    return found


def module_of(path: Path) -> str:
    """Name the module in a file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


@pytest.mark.parametrize("path", [*ROOT.glob("wsgi.py"), *sorted(ROOT.glob("eventbus/**/*.py"))], ids=module_of)
def test_imports_only_run_down_the_layers(path: Path) -> None:
    """Each module imports only what its layer allows."""
    assert violations(module_of(path), path.read_text("utf-8")) == []


@pytest.mark.parametrize(("importer", "source"), FORBIDDEN)
def test_an_import_against_the_layers_is_found(importer: str, source: str) -> None:
    """One import that breaks a rule is found, wherever in the file it stands."""
    assert len(violations(importer, f"import re\n{source}\n")) == 1


@pytest.mark.parametrize(("importer", "source"), ALLOWED)
def test_an_import_down_the_layers_is_allowed(importer: str, source: str) -> None:
    """The rules let through what the design is made of."""
    assert violations(importer, source) == []
