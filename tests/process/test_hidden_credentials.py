"""Whatever the bus writes down or answers, no credential of a subscriber is in it."""

import base64
import json
import secrets
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import gevent
import pytest
import redis as redis_py

from tests.support.caller import JSON, Caller, register_target
from tests.support.cluster import cluster_on
from tests.support.deadline import eventually
from tests.support.raw_client import RawConnection, Response
from tests.support.redis_monitor import RedisMonitor
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.server import BusServer
from tests.support.subscriber import Answer, Received, RecordingSubscriber
from tests.support.traces import found_in, traces_of

ADMIN = "admin-token-of-0123456789"
SETTINGS = {"EVENTBUS_LOG_LEVEL": "debug", "EVENTBUS_ADMIN_TOKENS": ADMIN, "EVENTBUS_VERIFY": "handshake"}
LISTS = ("/listSubscribers", "/deadLetters", "/metrics", "/dashboard/deadLetters", "/dashboard/settings")
PAGES = (
    "/", "/listSubscribers", "/listSubscribers?expired=true", "/deadLetters", "/events", "/metrics", "/openapi.json",
    "/docs", "/readyz", "/nothing", "/listSubscribers?x=%zz",
    *(f"/dashboard/{name}" for name in ("subscribers", "deadLetters", "journal", "settings", "send")),
)  # fmt: skip


class Hidden:
    """Credentials that are given to a bus, and everything that comes back or is written down."""

    def __init__(self, nodes: Sequence[BusServer], pages: Sequence[str]) -> None:
        self.nodes, self._pages = nodes, pages
        self.key = secrets.token_urlsafe(30)
        self.values = [f"Bearer {self.key}", _secret(), _secret(), "whsec_" + secrets.token_urlsafe(10) + "!"]
        self.texts: dict[str, bytes] = {}  #: by where each was found

    def ask(self, node: BusServer, method: str, target: str, *headers: tuple[str, str], body: bytes = b"") -> Response:
        """Ask a node, as its administrator, and keep what it answers."""
        asked = [("Authorization", f"Bearer {ADMIN}"), *headers]
        answer = Caller(node.port).call(method, target, asked, body)
        self.texts[f"{method} {target} {dict(headers).get('Accept')} {len(self.texts)}"] = (
            repr(answer.headers).encode() + answer.body
        )
        return answer

    def register(self, node: BusServer, address: str, secret: int = 1, **options: Any) -> Response:
        """Register or renew with the credentials."""
        given = [("Eventbus-Forward-Authorization", self.values[0]), ("Eventbus-Secret", self.values[secret])]
        return self.ask(node, "POST", register_target(address, **options), JSON, *given)

    def respond(self, request: Received) -> Answer:
        """Repeat the authorization wherever that is possible, and take, refuse or reject by the topic."""
        sent = request.header("Authorization") or ""
        if request.method == "OPTIONS":
            return 200, (("WebHook-Allowed-Origin", "*"),), b""
        told = json.dumps({"headers": dict(request.headers)}).encode()
        if request.header("Eventbus-Batch"):
            failed = [{"id": each["id"], "reject": f"who is {sent}?"} for each in json.loads(request.body)]
            return 200, (), json.dumps({"failed": failed}).encode()
        status = {"rejected": 400, "refused": 401, "retried": 500}.get(request.header("Eventbus-Topic") or "", 200)
        return status, (("WWW-Authenticate", sent),), told

    def exercise(self) -> None:
        """Register by each node, deliver, fail, and ask for everything that there is to read."""
        with ExitStack() as stack:
            one, member, batches = (stack.enter_context(RecordingSubscriber(self.respond)) for _ in range(3))
            addresses = one.address, member.address, batches.address
            self.send_broken_requests()
            for number, node in enumerate((*self.nodes, *self.nodes), 1):
                assert self.register(node, addresses[0], 1 + number % 2).status == 200
                assert self.register(node, addresses[1], group="mailer").status == 200
                assert self.register(node, addresses[0], 3).status == 400
                for topic in ("taken", "rejected", "refused", "retried"):
                    assert self.ask(node, "POST", f"/sendMessage?topic={topic}", body=b"{}").status == 200
            self.register(self.nodes[0], addresses[2], batch=10, topic="batched")
            self.ask(self.nodes[0], "POST", "/sendMessage?topic=batched", body=b"{}")
            eventually(lambda: self.dead(addresses[0]) >= 2 * len(self.nodes) and self.dead(addresses[2]), 20)
            self.read(self.nodes[0], addresses, ("*/*", "application/json", "text/html"))
            letters = self.ask(self.nodes[0], "GET", "/deadLetters", JSON).json()["dead_letters"]
            assert any("[redacted]" in str(letter["last_answer"]) for letter in letters)
            sent = repr([request.headers for request in (*one.received, *member.received)]).encode()
            assert found_in({"deliveries": sent}, [self.key.encode()]) == ["deliveries"]
            self.ask(self.nodes[0], "POST", "/deadLetters/replay?all=true", JSON)
            gevent.get_hub().threadpool.apply(self.nodes[0].terminate)  # the subscribers answer meanwhile
            self.nodes[0].start()
            eventually(lambda: self.register(self.nodes[0], addresses[0]).status == 200, 20)
            self.read(self.nodes[-1], addresses, ("application/json",))
            assert self.ask(self.nodes[0], "DELETE", f"/deregister?address={addresses[0]}").status == 200

    def send_broken_requests(self) -> None:
        """Send heads that cannot be read, and ones that mean something else than was meant."""
        given = f"Eventbus-Forward-Authorization: {self.values[0]}"
        broken = (
            f"{given}\0",
            f"{given}\r\n {self.values[0]}",
            f"Eventbus-Secret {self.values[1]}",
            "Expect: " + self.key,
        )
        for number, line in enumerate((*broken, f"{given}\r\n{given}", f"Cookie: {self.values[0]}")):
            with RawConnection(self.nodes[0].port) as connection:
                target = register_target("127.0.0.1:8009", key="x")
                connection.send(f"POST {target} HTTP/1.1\r\nHost: a\r\n{line}\r\n\r\n".encode())
                answer = connection.read()
                assert 400 <= answer.status < 500
                self.texts[f"broken {number}"] = repr(answer.headers).encode() + answer.body

    def dead(self, address: str) -> int:
        """How many dead letters a subscriber has."""
        listed = self.ask(self.nodes[0], "GET", "/listSubscribers", JSON).json()["subscribers"]
        return next((int(each["dead"]) for each in listed if each["address"] == address), 0)

    def read(self, node: BusServer, addresses: Iterable[str], accepted: Iterable[str]) -> None:
        """Ask for all lists and pages, in each of these media types."""
        events = self.ask(node, "GET", "/events", JSON).json()["events"]
        of_one = [f"/dashboard/subscriber?address={each}" for each in addresses]
        of_one += [f"{path}{event['id']}" for event in events[:5] for path in ("/events/", "/dashboard/event?id=")]
        for path in (*self._pages, *of_one):
            for accept in accepted:
                self.ask(node, "GET", path, ("Accept", accept))

    def assert_hidden(self) -> None:
        """No credential, and no part that is secret by itself, is anywhere."""
        for node in self.nodes:
            self.texts[f"log {node.port}"] = node.log_text().encode()
        hidden = [self.key, *self.values, *(value.removeprefix("whsec_") for value in self.values[1:])]
        raw = [base64.b64decode(value.removeprefix("whsec_")) for value in self.values[1:3]]
        assert found_in(self.texts, [*map(str.encode, hidden), *raw]) == []


def _secret() -> str:
    return f"whsec_{base64.b64encode(secrets.token_bytes(32)).decode()}"


def files_in(folder: Path) -> Iterator[tuple[str, bytes]]:
    """All files in a folder, by their names."""
    yield from ((str(path), path.read_bytes()) for path in folder.rglob("*") if path.is_file())


def test_what_is_written_down_is_found() -> None:
    """Each code that is looked for is found in a longer text."""
    for text in (b"a-credential-1", secrets.token_bytes(24)):
        for before in range(7):
            longer = b"x" * before + text + b"y"
            for written in (longer, base64.b64encode(longer), longer.hex().encode()):
                assert any(form in written for form in traces_of(text))


def test_a_bus_on_a_file_writes_no_credential_down(tmp_path: Path) -> None:
    """Neither in an answer, a list, a page or an error, nor in its log at debug, its journal or the log of that."""
    with BusServer(tmp_path, SETTINGS | {"EVENTBUS_LOG_FORMAT": "json"}) as bus:
        hidden = Hidden([bus], PAGES)
        hidden.exercise()
        hidden.texts |= files_in(tmp_path)
        assert any(name.endswith("-wal") for name in hidden.texts)
        bus.terminate()
    hidden.texts |= {f"{name} at the end": text for name, text in files_in(tmp_path)}
    hidden.assert_hidden()


@NEEDS_REDIS
@pytest.mark.parametrize("pages", [LISTS, pytest.param(PAGES, marks=pytest.mark.soak)], ids=["lists", "pages"])
def test_nodes_on_redis_write_no_credential_down(tmp_path: Path, pages: Sequence[str]) -> None:
    """Nor is any in a command that Redis gets, in a key, a value or its append-only file, though it is passed on."""
    with RedisServer(tmp_path) as redis, cluster_on(tmp_path, redis, [redis.url] * 2, SETTINGS) as cluster:
        hidden = Hidden(cluster.nodes, pages)
        with RedisMonitor(redis) as monitor, redis_py.from_url(redis.url) as client:
            hidden.exercise()
            hidden.texts["commands"] = monitor.text
            for key in client.scan_iter(count=1_000):
                hidden.texts[f"key {key!r}"] = key
                hidden.texts[f"dump of {key!r}"] = client.dump(key) or b""
                hidden.texts[f"value of {key!r}"] = _value(client, key)
        assert b"sealed" in hidden.texts["commands"]
        hidden.texts |= files_in(tmp_path)
        assert any(name.endswith(".aof") and b"sealed" in text for name, text in hidden.texts.items())
        hidden.assert_hidden()


def _value(client: Any, key: bytes) -> bytes:
    """A key's value as its kind has it: a dump may be compressed."""
    read = {
        b"string": client.get, b"hash": client.hgetall, b"stream": client.xrange,
        b"list": lambda key: client.lrange(key, 0, -1), b"set": client.smembers,
        b"zset": lambda key: client.zrange(key, 0, -1, withscores=True),
    }  # fmt: skip
    kind = client.type(key)
    return repr(read[kind](key)).encode() if kind in read else b""
