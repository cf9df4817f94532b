"""Clients that mean ill, or nothing at all: each gets an answer that blames it, and nobody else notices."""

import random
import re
import resource
import select
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress
from itertools import product

import gevent
import pytest

from eventbus.core.topics import MAX_PATTERNS, MAX_WORDS
from eventbus.core.wildcards import has_too_many
from tests.support.answers import TEXT, assert_accepted, assert_too_large
from tests.support.batches import BATCH, STRUCTURED, array, cloud_event, publish_cloud_events, written
from tests.support.caller import Caller
from tests.support.cpu import cpu_seconds
from tests.support.hostile_values import FORGED, HEADER_VALUES, HEADERS, JSON_BOMBS, PARAMETERS, QUERY_VALUES, SPARE
from tests.support.ports import LOOPBACK
from tests.support.processes import resident_bytes
from tests.support.raw_client import RawConnection, Response, render_request
from tests.support.server import BusServer

MIB = 1_048_576
ALIVE = render_request("GET", "/healthz")
CHUNKED = [("Transfer-Encoding", "chunked")]
PUBLISH_CHUNKS = render_request("POST", "/sendMessage", CHUNKED)
LOG_LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ (INFO|WARNING|ERROR|CRITICAL) [\w.]+ .+")
#: A request's beginning, and what follows of it one byte a second.
SLOW = {
    "a head": (b"", ALIVE),
    "a head's end": (ALIVE[:-2], b"X: a\r\n\r\n"),
    "a body": (render_request("POST", "/sendMessage", [("Content-Length", "60")]), b"x" * 60),
    "a chunk": (PUBLISH_CHUNKS + b"3c\r\n", b"x" * 60),
    "a chunk's size": (PUBLISH_CHUNKS, b"0" * 60),
    "a trailer": (PUBLISH_CHUNKS + b"1\r\nx\r\n0\r\n", b"X: " + b"x" * 60),
    "a head behind a request, that goes no further": (ALIVE + ALIVE[:5], b""),
}
BAD_REQUESTS = [
    ALIVE.replace(b"HTTP/1.1", b"HTTP/9.9"), ALIVE.replace(b"Host", b"Ho st"), ALIVE.replace(b"healthz", b"nowhere"),
    render_request("PUT", "/sendMessage"), render_request("POST", "/registerAndKeepAlive?address=%zz"),
    render_request("POST", "/sendMessage", [("Content-Type", STRUCTURED)], b"{"), PUBLISH_CHUNKS + b"x\r\n",
    render_request("POST", "/registerAndKeepAlive?address=a%0ab"), render_request("HEAD", "/nowhere"), ALIVE[:20],
]  # fmt: skip


@pytest.fixture(scope="module")
def bus(tmp_path_factory: pytest.TempPathFactory) -> Iterator[BusServer]:
    """A bus that waits a second for a request."""
    with BusServer(tmp_path_factory.mktemp("bus"), {"EVENTBUS_REQUEST_SECONDS": "1"}) as server:
        yield server


def assert_fair(response: Response) -> None:
    """The answer is a success, or says what the client did wrong."""
    assert 200 <= response.status < 300 or 400 <= response.status < 500, response
    if response.status >= 400:
        plain = response.header("Content-Type") == TEXT
        assert len((response.text if plain else response.json()["detail"]).split()) > 2, response
        assert response.text.isprintable() or not plain


def drip(raw: RawConnection, data: bytes) -> None:
    """Send these bytes, one each second, until the bus closes the connection."""
    with suppress(OSError):
        for number in range(len(data)):
            gevent.sleep(1)
            raw.send(data[number : number + 1])


@pytest.mark.parametrize(("begun", "rest"), SLOW.values(), ids=SLOW)
def test_a_slow_request_is_ended(bus: BusServer, begun: bytes, rest: bytes) -> None:
    """A head or a body that comes one byte a second is answered 408 with a sentence, and the connection ends."""
    with RawConnection(bus.port, timeout=5) as raw:
        raw.send(begun or rest[:1])
        dripping = gevent.spawn(drip, raw, rest if begun else rest[1:])
        response = raw.read()
        if begun.startswith(ALIVE):
            assert response.status == 200
            response = raw.read()
        assert_fair(response)
        assert (response.status, response.header("Connection")) == (408, "close")
        assert raw.at_end()
        dripping.kill()


@pytest.mark.parametrize(
    "parts",
    [[], [ALIVE], [render_request("PUT", "/sendMessage", [("Content-Length", "2")]), b"{}"]],
    ids=["nothing", "a request", "a request whose body nobody reads"],
)
def test_an_idle_connection_is_not_answered(bus: BusServer, parts: list[bytes]) -> None:
    """A connection that has nothing to say may be silent for longer than a head may take, and be used then."""
    with socket.create_connection((LOOPBACK, bus.port)) as connection:
        for number, part in enumerate(parts):
            connection.sendall(part)
            assert number or connection.recv(65_536).startswith(b"HTTP/1.1 ")
        assert not select.select([connection], [], [], 1.5)[0]
        connection.sendall(ALIVE)
        assert connection.recv(65_536).startswith(b"HTTP/1.1 200 ")


def test_the_head_of_a_stream_ends(bus: BusServer) -> None:
    """A HEAD for a stream is answered by a head alone, and the connection goes on."""
    with RawConnection(bus.port, timeout=5) as raw:
        assert raw.request("HEAD", "/events", [("Accept", "text/event-stream")]).status == 200
        assert raw.request("GET", "/healthz").status == 200


def test_a_body_that_is_too_large_is_refused_by_its_length(bus: BusServer) -> None:
    """A length over the limit is 413 before a byte of the body has come."""
    with RawConnection(bus.port, timeout=5) as raw:
        raw.send(render_request("POST", "/sendMessage", [("Content-Length", "200000000")]))
        assert_too_large(raw.read())
        assert raw.at_end()


def test_a_body_that_is_too_large_is_not_kept(bus: BusServer) -> None:
    """200 MB in chunks are 413, are not read to their end, and take less than 4 MiB of memory."""
    chunk, worker = b"10000\r\n" + b"x" * 65_536 + b"\r\n", bus.worker_pid
    Caller(bus.port).publish(b"x" * MIB)
    before = most = resident_bytes(worker)
    with RawConnection(bus.port) as raw:
        raw.send(PUBLISH_CHUNKS + chunk * 17)
        assert_too_large(raw.read())
        with pytest.raises(OSError, match=r"Broken pipe|reset"):
            for _ in range(3_200):
                raw.send(chunk)
                most = max(most, resident_bytes(worker))
    assert most - before < 4 * MIB


def test_a_body_in_tiny_chunks_costs_little(bus: BusServer) -> None:
    """A million chunks of one byte cost the bus less than a second, whether it takes them or not."""
    worker = bus.worker_pid
    began = cpu_seconds(worker)
    with RawConnection(bus.port) as raw:
        sending = gevent.spawn(raw.send, PUBLISH_CHUNKS + b"1\r\nx\r\n" * 1_000_000 + b"0\r\n\r\n")
        assert_fair(raw.read())
        sending.kill()
    assert cpu_seconds(worker) - began < 1


def test_idle_connections_are_in_nobodys_way(bus: BusServer) -> None:
    """Beside 1,000 connections that send nothing, events are published as ever."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, min(hard, 4_096)), hard))
    with ExitStack() as stack:
        for _ in range(1_000):
            stack.enter_context(socket.create_connection((LOOPBACK, bus.port)))
        for _ in range(50):
            assert_accepted(Caller(bus.port).call("POST", "/sendMessage", body=b"{}"))


@pytest.mark.parametrize(("method", "target", "name"), PARAMETERS, ids=lambda text: text.split("?")[0])
def test_no_parameter_breaks_anything(bus: BusServer, method: str, target: str, name: str) -> None:
    """Whatever a parameter holds, the answer is a success, or blames the client in a sentence."""
    caller = Caller(bus.port)
    for value in QUERY_VALUES.values():
        if target.startswith("/replay"):
            caller.register(SPARE)
        assert_fair(caller.call(method, f"{target}&{name}={value}"))
        caller.deregister(SPARE)


@pytest.mark.parametrize(("method", "target", "name"), HEADERS, ids=lambda text: text.split("?")[0])
def test_no_header_breaks_anything(bus: BusServer, method: str, target: str, name: str) -> None:
    """Whatever a header holds, the answer is a success or blames the client, and the journal can be read."""
    for value in HEADER_VALUES.values():
        assert_fair(Caller(bus.port).call(method, target, [(name, value)]))
    assert Caller(bus.port).call("GET", "/events?limit=1000").status == 200


@pytest.mark.parametrize("data", JSON_BOMBS.values(), ids=JSON_BOMBS)
@pytest.mark.parametrize("kind", [STRUCTURED, BATCH])
def test_json_that_is_a_burden_is_refused(bus: BusServer, kind: str, data: bytes) -> None:
    """What is nested too deeply, has too many digits, or a name twice, is 400."""
    event = written(cloud_event(data="D")).replace(b'"D"', data)
    for body in (event, data):
        response = publish_cloud_events(Caller(bus.port), array([body]) if kind == BATCH else body, kind)
        assert response.status == 400
        assert_fair(response)


def test_many_topics_take_little_memory(tmp_path_factory: pytest.TempPathFactory) -> None:
    """20,000 topics that were never seen before take less than 40 MiB, and are no names in the metrics."""
    with BusServer(tmp_path_factory.mktemp("topics")) as own:
        caller = Caller(own.port)
        caller.register(SPARE, topic="elsewhere.>")
        publish_types(caller, ["one"] * 10_000)
        before, told = own.resident_bytes(), len(caller.call("GET", "/metrics").body)
        for start in range(0, 20_000, 1_000):
            publish_types(caller, [f"topic-{number}.created" for number in range(start, start + 1_000)])
        assert own.resident_bytes() - before < 40 * MIB
        assert len(caller.call("GET", "/metrics").body) < told + 2_000


def publish_types(caller: Caller, types: list[str]) -> None:
    """Publish a batch of CloudEvents with these types."""
    batch = array([written(cloud_event(number, type=name)) for number, name in enumerate(types)])
    assert publish_cloud_events(caller, batch).status == 200


def test_slow_patterns_cost_little(tmp_path_factory: pytest.TempPathFactory) -> None:
    """Patterns with as many wildcards as are allowed, and 1,000 topics that match them, cost seconds and no more."""
    rng, shapes = random.Random(7), list(worst_patterns())  # noqa: S311 - the same topics each time
    with BusServer(tmp_path_factory.mktemp("patterns")) as own:
        caller, worker = Caller(own.port), own.worker_pid
        publish_types(caller, ["one"] * 1_000)
        began = cpu_seconds(worker)
        for number in range(0, len(shapes), MAX_PATTERNS):
            patterns = "&".join(f"topic={pattern}" for pattern in shapes[number : number + MAX_PATTERNS])
            assert caller.call("POST", f"/registerAndKeepAlive?address={LOOPBACK}:9/{number}&{patterns}").status == 200
        publish_types(caller, [".".join(rng.choices("ab", k=16)) for _ in range(1_000)])
        nearly = "&".join(f"topic=*.*{'.a' * 12}.b{number}.>" for number in range(64))
        assert caller.call("GET", f"/events?{nearly}").status == 200
        assert cpu_seconds(worker) - began < 20


def worst_patterns() -> Iterator[str]:
    """Patterns of all shapes that are allowed, all of which could match one topic."""
    for count in range(1, MAX_WORDS):
        for words in product("a*", repeat=count):
            if not has_too_many([*words, ">"]):
                yield ".".join([*words, ">"])


def test_topics_of_many_words_are_refused(bus: BusServer) -> None:
    """A topic or a pattern has 16 words at most."""
    for target in (f"/registerAndKeepAlive?address={SPARE}", "/sendMessage?"):
        assert Caller(bus.port).call("POST", f"{target}&topic={'a.' * 16}b").status == 400


def test_no_value_forges_a_line_of_the_log(bus: BusServer) -> None:
    """Whatever clients send, one record of the log is one line, and no line is theirs."""
    caller = Caller(bus.port)
    for method, target, name in PARAMETERS:
        for value in ("CR and LF", "a separator of lines"):
            caller.call(method, f"{target}&{name}={QUERY_VALUES[value]}")
    for method, target, name in HEADERS:
        for value in ("CR", "LF", "CR and LF"):
            caller.call(method, target, [(name, HEADER_VALUES[value])])
    lines = bus.log_text().splitlines()
    assert [line for line in lines if not LOG_LINE.fullmatch(line) or line.startswith(FORGED)] == []


def test_bad_requests_write_no_log(bus: BusServer) -> None:
    """1,000 bad requests, among them some that break off, write no line each."""
    before = len(bus.log_text().splitlines())
    for data in BAD_REQUESTS * 100:
        with RawConnection(bus.port) as raw:
            raw.send(data)
            if data != ALIVE[:20]:
                assert 400 <= raw.read(to_head=data.startswith(b"HEAD")).status < 500
    assert len(bus.log_text().splitlines()) - before < 20


MUCH_JSON = render_request("POST", "/sendMessage", [("Content-Type", STRUCTURED)], b"[" + b"{}," * 200_000 + b"0]")
#: What one client sends without end: requests before their answers have come, and a body in tiny chunks.
ENDLESS = {
    "requests": (b"", ALIVE * 200),
    "requests that are refused": (b"", render_request("PUT", "/sendMessage") * 200),
    "bodies that nobody reads": (b"", (render_request("PUT", "/sendMessage", CHUNKED) + b"1\r\nx\r\n0\r\n\r\n") * 100),
    "JSON that is much work": (b"", MUCH_JSON * 2),
    "chunks": (render_request("POST", "/sendMessage?batch=lines", CHUNKED), b"4\r\nxxxx\r\n" * 1_000),
}


def keep_sending(client: socket.socket, begun: bytes, more: bytes) -> None:
    """Send without end, or until the bus ends the connection."""
    with suppress(OSError):
        client.sendall(begun)
        while True:
            client.sendall(more)


@pytest.mark.parametrize(("begun", "more"), ENDLESS.values(), ids=ENDLESS)
def test_a_client_that_never_stops_keeps_nobody_waiting(bus: BusServer, begun: bytes, more: bytes) -> None:
    """Beside three clients that send faster than the bus answers, others are answered within seconds."""
    with ExitStack() as stack:
        for client in [stack.enter_context(socket.create_connection((LOOPBACK, bus.port))) for _ in range(3)]:
            for work in (gevent.spawn(keep_sending, client, begun, more), gevent.spawn(take_all, client)):
                stack.callback(work.kill)
        for _ in range(20):
            assert Caller(bus.port).call("GET", "/healthz").status == 200
            gevent.sleep(0.05)


def take_all(client: socket.socket) -> None:
    """Read what the bus answers, and throw it away."""
    with suppress(OSError):
        while client.recv(MIB):
            pass


def test_a_head_has_64_kib_in_all(bus: BusServer) -> None:
    """A head of 60 KiB is served, one byte at a time too; of longer ones no more is kept, and each is answered 431."""
    fields = [(f"a{number}", "x" * 8_000) for number in range(90)]
    worker = bus.worker_pid
    with ExitStack() as stack:
        raw = stack.enter_context(RawConnection(bus.port))
        assert raw.request("GET", "/healthz", fields[:7]).status == 200
        sending = gevent.spawn(send_in_pieces, raw, render_request("GET", "/healthz", fields[:2]))
        before = resident_bytes(worker)
        longer = [stack.enter_context(RawConnection(bus.port)) for _ in range(40)]
        for wire_of_many in longer:
            with suppress(OSError):
                wire_of_many.send(render_request("GET", "/healthz", fields)[:-2])
        assert [each.read().status for each in longer] == [431] * 40
        assert resident_bytes(worker) - before < 20 * MIB
        sending.join()
        assert raw.read().status == 200


def send_in_pieces(raw: RawConnection, data: bytes) -> None:
    """Send this one byte at a time, faster than a head has to come."""
    for place in range(len(data)):
        raw.send(data[place : place + 1])
        if place % 100 == 0:
            gevent.sleep(0)
