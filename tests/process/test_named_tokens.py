"""A bus with a file of named tokens follows it while it runs, names publishers, and says who did what."""

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.caller import JSON, Caller
from tests.support.deadline import eventually
from tests.support.raw_client import Response
from tests.support.server import BusServer, refusal
from tests.support.subscriber import Received, RecordingSubscriber
from tests.support.token_file import digest, token_table

SHOP, ADA, WATCH = (f"token-of-{name}-0123456789" for name in ("shop", "ada", "watch"))
TABLES = [
    token_table(SHOP, "shop", ["publish", "subscribe"], publish=["orders.>"]),
    token_table(ADA, "ada", ["admin"]),
    token_table(WATCH, "watch", ["view"]),
]


def bearer(token: str) -> tuple[str, str]:
    """The header that a token is sent in."""
    return "Authorization", f"Bearer {token}"


class Named:
    """A bus, and the file of its tokens."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "tokens.toml"
        self.write(*TABLES)
        self.server = BusServer(folder, {"EVENTBUS_TOKENS_FILE": str(self.path), "EVENTBUS_LOG_FORMAT": "json"})

    def write(self, *tables: str) -> None:
        """Write the file, as an editor does: another one in its name."""
        new = self.path.with_suffix(".new")
        new.write_text("\n".join(tables))
        new.replace(self.path)

    def ask(self, token: str, method: str, target: str, body: bytes | None = None) -> Response:
        """The answer to a client with a token."""
        return Caller(self.server.port).call(method, target, [bearer(token), JSON], body)


@pytest.fixture
def named(tmp_path: Path) -> Iterator[Named]:
    """A bus with named tokens alone."""
    found = Named(tmp_path)
    with found.server:
        yield found


def new_token(*arguments: str) -> dict[str, str]:
    """What ``eventbus token new`` prints."""
    words = [sys.executable, "-m", "eventbus", "token", "new", *arguments, "--json"]
    found: dict[str, str] = json.loads(subprocess.run(words, check=True, capture_output=True, text=True).stdout)
    return found


def test_a_token_rotates_while_the_bus_runs(named: Named) -> None:
    """By what the command prints; both are valid for a while, and the removed one is not."""
    made = new_token("shop", "--scope", "publish", "--publish", "orders.>")
    assert named.ask(made["token"], "POST", "/sendMessage?topic=orders.a", b"1").status == 401
    named.write(*TABLES, made["table"])
    eventually(lambda: named.ask(made["token"], "POST", "/sendMessage?topic=orders.a", b"1").status == 200, 20)
    assert named.ask(made["token"], "POST", "/sendMessage?topic=stock.a", b"1").status == 403
    assert named.ask(SHOP, "POST", "/sendMessage?topic=orders.a", b"1").status == 200
    named.write(*TABLES[1:], made["table"])
    eventually(lambda: named.ask(SHOP, "POST", "/sendMessage?topic=orders.a", b"1").status == 401, 20)
    assert made["token"] not in named.server.log_text() + named.path.read_text()


def test_a_broken_file_keeps_the_former_one_and_says_so(named: Named) -> None:
    """By the log, the metric and the doctor; no token and no digest is repeated."""
    assert "\neventbus_named_tokens 3.0\n" in named.ask(WATCH, "GET", "/metrics").text
    named.write(*TABLES, token_table(SHOP, "shop", ["root"]))
    eventually(lambda: "what it said before stays" in named.server.log_text(), 20)
    metrics = named.ask(WATCH, "GET", "/metrics").text
    assert "\neventbus_named_tokens_faults 2.0\n" in metrics
    assert "\neventbus_named_tokens 3.0\n" in metrics
    there = {"EVENTBUS_TOKENS_FILE": str(named.path), "EVENTBUS_JOURNAL": "sqlite:///:memory:"}
    words = [sys.executable, "-m", "eventbus", "doctor", "--json", "--url", f"http://127.0.0.1:{named.server.port}"]
    doctor = subprocess.run(words, check=False, env=os.environ | there, capture_output=True, text=True)
    findings = [one["text"] for one in json.loads(doctor.stdout)["findings"] if one["about"] == "tokens"]
    assert findings == [
        f"{named.path}:19: shop: the same digest is in line 3, too.",
        f"{named.path}:20: shop: 'root' is no scope; there are publish, subscribe, view, admin.",
    ]
    assert not any(text in named.server.log_text() for text in (SHOP, digest(SHOP)))


def test_a_wrong_file_stops_the_start(tmp_path: Path) -> None:
    """With one sentence that names the line."""
    for content, said in (("[[token]]\n", "tokens.toml:1: token 1: its name is missing"), (None, "cannot be read")):
        path = tmp_path / "tokens.toml"
        path.unlink(missing_ok=True)
        if content is not None:
            path.write_text(content)
        bus = BusServer(tmp_path, {"EVENTBUS_TOKENS_FILE": str(path)})
        assert refusal(bus, "EVENTBUS_TOKENS_FILE")
        assert said in bus.log_text()


@pytest.mark.parametrize("batch", [1, 10])
def test_a_delivery_names_the_publisher(named: Named, batch: int) -> None:
    """By a header, and in a batch by an attribute, whatever the event says of itself."""
    caller = Caller(named.server.port)
    plain = [bearer(ADA), ("ce-eventbuspublisher", "root"), ("Eventbus-Publisher", "root")]
    event = {"specversion": "1.0", "id": "1", "source": "s", "type": "orders.a", "eventbuspublisher": "root"}
    structured = [bearer(SHOP), ("Content-Type", "application/cloudevents+json")]
    with RecordingSubscriber() as subscriber:
        whose = f"address={subscriber.address}&batch={batch}"
        assert named.ask(SHOP, "POST", f"/registerAndKeepAlive?{whose}").status == 200
        assert caller.call("POST", "/sendMessage", plain, b"x").status == 200
        assert caller.call("POST", "/sendMessage", structured, json.dumps(event).encode()).status == 200
        eventually(lambda: publishers(subscriber.received) == ["ada", "shop"], 20)
        assert named.ask(SHOP, "DELETE", f"/deregister?address={subscriber.address}").status == 200


def publishers(received: list[Received]) -> list[str]:
    """Who is named in deliveries, in batches too."""
    found = []
    for each in received:
        if each.header("Eventbus-Batch") is None:
            found.append(each.header("Eventbus-Publisher") or "")
        else:
            found += [element.get("eventbuspublisher", "") for element in json.loads(each.body)]
    return sorted(found)


def test_the_audit_names_who(named: Named) -> None:
    """By the token's name and the client's address."""
    address = "127.0.0.1:9"
    named.ask(SHOP, "POST", f"/registerAndKeepAlive?address={address}&topic=none")
    named.ask(ADA, "POST", f"/pause?address={address}")
    assert named.ask(WATCH, "DELETE", f"/deregister?address={address}").status == 403
    named.ask(SHOP, "DELETE", f"/deregister?address={address}")
    said = [json.loads(line) for line in named.server.log_text().splitlines() if "eventbus.web.audit" in line]
    assert [(line["event"], line["actor"], line.get("client"), line.get("scope")) for line in said] == [
        ("bus.started", "system", None, None),
        ("subscriber.registered", "shop", "127.0.0.1", "publish+subscribe"),
        ("subscriber.paused", "ada", "127.0.0.1", "admin"),
        ("subscriber.deregistered", "shop", "127.0.0.1", "publish+subscribe"),
    ]
