"""The architecture: which module may import which. Read from the source; nothing is imported."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

#: Top to bottom. An import may go down, or stay in its own part; the package's root (its version) is for all.
LAYERS = (
    {"wsgi", "eventbus.__main__", "eventbus.cli", "eventbus.gunicorn_config", "eventbus.wsgi"},
    {"eventbus.testing"},
    {"eventbus.client"},
    {"eventbus.start"},
    {"eventbus.web"},
    {"eventbus.services"},
    {"eventbus.cluster"},
    {"eventbus.delivery"},
    {"eventbus.journal"},
    {"eventbus.telemetry"},
    {"eventbus.core"},
    {"eventbus"},
)
#: The packages that are pure: they take the time and the random generator as arguments, and do no I/O.
PURE = ("eventbus.core", "eventbus.delivery.lane")
#: Who alone may import what comes from outside: the beginnings of their names.
KEEPERS = {
    "flask": ("wsgi", "eventbus.web", "eventbus.client.flask"),
    "werkzeug": ("wsgi", "eventbus.web"),
    "requests": ("eventbus.delivery.transport",),
    "urllib3": ("eventbus.delivery.transport",),
    "sqlite3": ("eventbus.journal.sqlite", "eventbus.cli.backup", "eventbus.cli.doctor"),
    "redis": ("eventbus.journal.redis",),
    "cryptography": ("eventbus.web.cluster",),
}
#: Commands that work on a bus that does not run: they alone may import the server, where they need it.
LOOK_INSIDE = (
    "eventbus.cli.backup",
    "eventbus.cli.declared",
    "eventbus.cli.doctor",
    "eventbus.cli.journal",
    "eventbus.cli.tokens",
)
#: The parts that speak to a bus over HTTP, and what else of the project each may import.
CLIENT_SIDE = {
    "eventbus.client": (),
    "eventbus.testing": ("eventbus.client",),
    "eventbus.cli": ("eventbus.client",),
}
#: What server and client share: pure modules, which import nothing but each other and the standard library.
SHARED_WITH_CLIENT = (
    "eventbus.core.backoff",
    "eventbus.core.clock",
    "eventbus.core.credentials",
    "eventbus.core.delivery_rate",
    "eventbus.core.errors",
    "eventbus.core.event_attributes",
    "eventbus.core.event_expiry",
    "eventbus.core.event_ids",
    "eventbus.core.event_view",
    "eventbus.core.batch_format",
    "eventbus.core.filter_expressions",
    "eventbus.core.filter_fields",
    "eventbus.core.filter_option",
    "eventbus.core.filters",
    "eventbus.core.headers",
    "eventbus.core.json_body",
    "eventbus.core.number_kinds",
    "eventbus.core.option_kinds",
    "eventbus.core.option_table",
    "eventbus.core.options",
    "eventbus.core.order_key",
    "eventbus.core.ordering",
    "eventbus.core.override",
    "eventbus.core.settling",
    "eventbus.core.signing",
    "eventbus.core.target_path",
    "eventbus.core.topics",
    "eventbus.core.wildcards",
)
#: What a pure package does without: greenlets, threads, sockets, files, processes.
IMPURE = {
    "asyncio", "gevent", "greenlet", "http.client", "io", "os", "pathlib", "select", "selectors", "shutil",
    "socket", "ssl", "subprocess", "tempfile", "threading", "urllib.request",
}  # fmt: skip
#: os.urandom is where new ids get their random bits; tests give their own.
PURE_ENOUGH = {("eventbus.core.event_ids", "os")}


#: Sources that break a rule, by the module they would stand in.
FORBIDDEN = [
    ("eventbus.core.topics", "from eventbus.services.bus import Bus"),
    ("eventbus.core.tokens", "from eventbus import delivery"),
    ("eventbus.core.topics", "import gevent.queue"),
    ("eventbus.core.topics", "from http import client"),
    ("eventbus.core.topics", "def late():\n    import socket"),
    ("eventbus.core.leases", "import os"),
    ("eventbus.core.model", "if TYPE_CHECKING:\n    from eventbus.journal.base import Journal"),
    ("eventbus.core.model", "from .bus import Bus"),
    ("eventbus.journal.sqlite.store", "from eventbus.delivery.lane.lane import Lane"),
    ("eventbus.delivery.dispatcher", "from eventbus.journal.sqlite import store"),
    ("eventbus.delivery.dispatcher", "from eventbus.journal import baseline"),
    ("eventbus.telemetry.metrics", "from eventbus.journal.base import Journal"),
    ("eventbus.delivery.lane.lane", "import gevent"),
    ("eventbus.delivery.dispatcher", "import requests"),
    ("eventbus.services.bus", "from eventbus.web.app import create_app"),
    ("eventbus.services.bus", "from flask import current_app"),
    ("eventbus.cluster.ownership", "from eventbus.services.bus import Bus"),
    ("eventbus.delivery.dispatcher", "from eventbus.cluster.base import Cluster"),
    ("eventbus.journal.cluster_journal", "from eventbus.web.cluster.forwarding import Forwarding"),
    ("eventbus.journal.redis.cluster.calls", "from eventbus.cluster.cluster import Cluster"),
    ("eventbus.journal.redis", "import sqlite3"),
    ("eventbus.journal.sqlite", "import redis"),
    ("eventbus.core.signing", "def late():\n    from cryptography.fernet import Fernet"),
    ("eventbus.web.routes.messages", "import wsgi"),
    ("eventbus.web.routes.messages", "from eventbus.client import Inbox"),
    ("eventbus.cli.send", "from werkzeug.exceptions import HTTPException"),
    ("eventbus.cli.send", "from eventbus.core.settings import Settings"),
    ("eventbus.client.inbox", "from eventbus.core.leases import Leases"),
    ("eventbus.core.options", "from eventbus.core.model import Options"),
    ("eventbus.client.inbox", "from eventbus.core import model"),
    ("eventbus.core.topics", "from eventbus.core.settings import Settings"),
    ("eventbus.client.inbox", "from flask import request"),
    ("eventbus.client.inbox", "from eventbus.testing import FakeBus"),
    ("eventbus.testing.server", "from eventbus.core.settings import Settings"),
    ("eventbus.misc", "import re"),
    ("eventbus", "from eventbus.services.bus import Bus"),
]
ALLOWED = [
    ("wsgi", "from flask import Flask\nfrom eventbus.web.app import create_app"),
    ("eventbus.cli.send", "from eventbus.cli.screen import Screen\nfrom eventbus.client import Bus"),
    ("eventbus.cli.journal", "def late():\n    from eventbus.journal.copy.copying import Copying"),
    ("eventbus.cli.doctor.settings", "from eventbus.client import Bus\nfrom eventbus.core.settings import Settings"),
    (
        "eventbus.client.inbox",
        "from eventbus import __version__\nfrom eventbus.client.bus import Bus\nimport socket",
    ),
    ("eventbus.client.inbox", "from eventbus.core.topics import matches"),
    ("eventbus.client.encoding", "from eventbus.core import topics"),
    ("eventbus.cli.positions", "from eventbus.core.clock import seconds_of"),
    ("eventbus.testing.fake", "from eventbus.client import Bus\nimport pytest"),
    ("eventbus.client.model", "from eventbus.core.options import SubscriptionOptions"),
    ("eventbus.client.flask", "from flask import Blueprint"),
    ("eventbus.web.routes.messages", "from flask import request\nfrom eventbus.services.bus import Bus\nimport os"),
    ("eventbus.services.sweeper", "import gevent\nfrom eventbus.services.bus import Bus"),
    (
        "eventbus.services.bus",
        "from eventbus.delivery.lane.lane import Lane\nfrom eventbus.journal.base import Journal",
    ),
    ("eventbus.delivery.transport", "import requests"),
    ("eventbus.delivery.transport_socket", "from requests.adapters import HTTPAdapter"),
    (
        "eventbus.delivery.lane.lane",
        "from eventbus.delivery import backoff\nfrom eventbus.journal.base import Journal",
    ),
    ("eventbus.journal.sqlite.store", "import sqlite3\nfrom eventbus.core.model import Event"),
    ("eventbus.core.model", "import heapq\nfrom urllib.parse import quote\nfrom eventbus import topics"),
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


def is_shared(module: str) -> bool:
    """Tell whether a module, or the one that a name is in, is shared by server and client."""
    return any(is_inside(module, one) for one in SHARED_WITH_CLIENT)


def may_import(importer: str, target: str) -> bool:
    """Tell whether the layers allow this import between two modules of the project."""
    ours, theirs = part_of(importer), part_of(target)
    if is_shared(importer) or theirs in (ours, "eventbus"):
        return not is_shared(importer) or is_shared(target)
    if ours in CLIENT_SIDE:
        looks_inside = any(is_inside(importer, one) for one in LOOK_INSIDE)
        return is_shared(target) or theirs in CLIENT_SIDE[ours] or looks_inside
    if (ours, theirs) == ("eventbus.delivery", "eventbus.journal"):
        return is_inside(target, "eventbus.journal.base")
    return depth(ours) <= depth(theirs)


def may_use(importer: str, target: str) -> bool:
    """Tell whether a module of the project may import that one from outside."""
    package = target.partition(".")[0]
    if any(is_inside(importer, pure) for pure in PURE) and any(is_inside(target, impure) for impure in IMPURE):
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
