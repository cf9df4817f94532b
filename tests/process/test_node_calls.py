"""Two nodes with tokens on one Redis: no token is written there, and what others write there is not done."""

import json
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote

import pytest
import redis as redis_py

from tests.support.caller import JSON, Caller
from tests.support.cluster import Cluster, cluster_on
from tests.support.deadline import eventually
from tests.support.raw_client import Response
from tests.support.redis_monitor import RedisMonitor
from tests.support.redis_server import NEEDS_REDIS, RedisServer
from tests.support.server import BusServer
from tests.support.subscriber import RecordingSubscriber

pytestmark = NEEDS_REDIS
ADMIN, OTHER, SUBSCRIBER, PUBLISHER = (f"{name}-token-of-0123456789" for name in ("admin", "other", "subs", "publ"))
SECRETS = (ADMIN, OTHER, SUBSCRIBER, PUBLISHER)
TOKENS = {
    "EVENTBUS_ADMIN_TOKENS": f"{ADMIN},{OTHER}",
    "EVENTBUS_SUBSCRIBE_TOKENS": SUBSCRIBER,
    "EVENTBUS_PUBLISH_TOKENS": PUBLISHER,
}


@pytest.fixture
def cluster(tmp_path: Path) -> Iterator[Cluster]:
    """Two nodes, and a Redis that keeps every command on disk."""
    with RedisServer(tmp_path) as redis, cluster_on(tmp_path, redis, [redis.url] * 2, TOKENS) as found:
        yield found


def ask(node: BusServer, method: str, target: str, token: str = ADMIN, body: bytes = b"") -> Response:
    """One request with a token, and with the same as a cookie and in the query, where none belongs."""
    headers = [("Authorization", f"Bearer {token}"), ("Cookie", f"token={token}")]
    target = f"{target}{'&' if '?' in target else '?'}token={token}"
    return Caller(node.port).call(method, target, headers, body)


def test_no_token_is_written_to_redis(cluster: Cluster, tmp_path: Path) -> None:
    """All that nodes ask each other, by each kind of token, leaves none in its commands or its append-only file."""
    with RedisMonitor(cluster.redis) as monitor, RecordingSubscriber() as subscriber:
        one = f"?address={quote(subscriber.address)}"
        for node in cluster.nodes:
            assert ask(node, "POST", f"/registerAndKeepAlive{one}", SUBSCRIBER).text == "success"
            event = ask(node, "POST", "/sendMessage", PUBLISHER, b"{}")
            assert event.text == "success"
            for token in (ADMIN, OTHER):
                for method, target in (
                    ("POST", f"/replay{one}&from=earliest"),
                    *((method, f"/deadLetters{one}") for method in ("GET", "HEAD", "DELETE")),
                    ("POST", f"/deadLetters/replay{one}"),
                    ("GET", f"/dashboard/subscriber{one}"),
                    ("POST", "/deadLetters/replay?all=true"),
                    ("DELETE", "/deadLetters?all=true"),
                    *(("GET", path) for path in ("/deadLetters", "/metrics", "/", "/listSubscribers")),
                    *(("GET", f"/dashboard/{page}") for page in ("subscribers", "deadLetters", "event?id=none")),
                    ("GET", f"/events/{event.header('Eventbus-Event-Id') or 'none'}"),
                ):
                    assert ask(node, method, target, token).status in (200, 404), target
            assert ask(node, "GET", "/listSubscribers", SUBSCRIBER).header("Eventbus-Nodes") == "2 of 2"
        for node in cluster.nodes:
            assert ask(node, "DELETE", f"/deregister{one}", SUBSCRIBER).text == "success"
        assert b"/deadLetters/replay" in monitor.text
    files = [path.read_bytes() for path in tmp_path.rglob("*.aof")]
    assert b"/deadLetters/replay" in b"".join(files)
    for secret in SECRETS:
        for written in (monitor.text, *files):
            assert secret.encode() not in written
            assert quote(secret).encode() not in written


def test_a_call_that_is_written_by_hand_is_not_done(cluster: Cluster) -> None:
    """Whoever can write to Redis, and knows no token, deregisters nobody, be it with a call's own form or without."""
    first, second = cluster.nodes
    with RecordingSubscriber() as subscriber, redis_py.from_url(cluster.redis.url) as client:
        address = f"address={quote(subscriber.address)}"
        assert ask(first, "POST", f"/registerAndKeepAlive?{address}").text == "success"
        request = {"REQUEST_METHOD": "DELETE", "PATH_INFO": "/deregister", "QUERY_STRING": address}
        request |= {
            "SERVER_PROTOCOL": "HTTP/1.1",
            "SERVER_NAME": "",
            "SERVER_PORT": "",
            "HTTP_AUTHORIZATION": "Bearer x",
        }
        nodes = [name.decode() for name in client.zrange("{eventbus}:nodes", 0, -1)]
        for node in nodes:
            told = {"to": node, "name": "a" * 32, "until": 2**53, "scopes": ["admin"], "request": request}
            for text in (json.dumps(request).encode(), b"\n" + json.dumps(told).encode(), b"\xff"):
                client.set(f"{{eventbus}}:call:{'a' * 32}", text, px=20_000)
                client.rpush(f"{{eventbus}}:calls:{node}", b"a" * 32 + b" nobody")
                eventually(lambda: not client.exists(f"{{eventbus}}:call:{'a' * 32}"), 10)
            client.rpush(f"{{eventbus}}:calls:{node}", b"\xff\xff")
        assert "it is not signed by any of this node's tokens" in first.log_text() + second.log_text()
        for node in cluster.nodes:
            listed = Caller(node.port).call("GET", "/listSubscribers", [("Authorization", f"Bearer {ADMIN}"), JSON])
            assert listed.header("Eventbus-Nodes") == "2 of 2"
            assert [each["address"] for each in listed.json()["subscribers"]] == [subscriber.address]
        assert "Traceback" not in first.log_text() + second.log_text()


def test_tokens_are_rotated_node_by_node(tmp_path: Path) -> None:
    """A node that has the new token too, and one that has the old one only, answer each other's clients."""
    new = f"{SUBSCRIBER}-new"
    both = {"EVENTBUS_SUBSCRIBE_TOKENS": f"{SUBSCRIBER},{new}"}
    with RedisServer(tmp_path) as redis, cluster_on(tmp_path, redis, [redis.url], both) as cluster:
        older = tmp_path / "older"
        older.mkdir()
        with (
            BusServer(older, {"EVENTBUS_JOURNAL": redis.url, "EVENTBUS_SUBSCRIBE_TOKENS": SUBSCRIBER}) as old,
            RecordingSubscriber() as subscriber,
        ):
            address = f"address={quote(subscriber.address)}"
            assert ask(old, "POST", f"/registerAndKeepAlive?{address}", SUBSCRIBER).text == "success"
            for token in (SUBSCRIBER, new):
                answer = ask(cluster.nodes[0], "POST", f"/registerAndKeepAlive?{address}", token)
                assert answer.text == "success"
                listed = ask(cluster.nodes[0], "GET", "/listSubscribers", token)
                assert listed.header("Eventbus-Nodes") == "2 of 2"
            assert ask(old, "GET", "/listSubscribers", new).status == 401
