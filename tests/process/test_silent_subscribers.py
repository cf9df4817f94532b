"""Thousands of subscribers that never answer, each in its own way, delay those that answer by little."""

import time
from collections.abc import Iterator
from contextlib import ExitStack
from itertools import cycle, islice
from pathlib import Path

import gevent
import pytest

from tests.support.caller import Caller
from tests.support.ports import free_port
from tests.support.raw_server import Peer, RawServer
from tests.support.server import BusServer
from tests.support.silent_subscriber import SilentListener, SilentPort
from tests.support.subscriber import Answer, Received, RecordingSubscriber

#: What tarpits ask for, by turns; seconds.
TIMEOUTS = (1, 10, 60)
#: Healthy subscribers, events that are published to each, and seconds between two.
HEALTHY, EVENTS, PACE = 5, 40, 0.05
#: Seconds in which each event has to arrive, on whatever machine.
BOUND = 20


def consent(received: Received) -> Answer:
    """Take everything, and consent to it."""
    return 200, [("WebHook-Allowed-Origin", received.header("WebHook-Request-Origin") or "")], b""


def drip(peer: Peer) -> None:
    """Answer with a byte a second."""
    while peer.request() is not None:
        peer.drip(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", 1.0)


def pour(peer: Peer) -> None:
    """Answer with a body that has no end."""
    while peer.request() is not None:
        peer.send(b"HTTP/1.1 200 OK\r\nWebHook-Allowed-Origin: *\r\nContent-Length: 1000000000\r\n\r\n")
        while True:
            peer.send(b"x" * 1_024)
            gevent.sleep(0.05)


def tarpits(stack: ExitStack) -> Iterator[str]:
    """Addresses of tarpits, of each kind and on each host in turn, without end."""
    hosts = [stack.enter_context(SilentListener(f"127.0.0.{number}")).address for number in (2, 3)]
    gone = ("127.0.0.4", free_port())
    stack.enter_context(SilentPort(*gone))
    hosts.append(f"{gone[0]}:{gone[1]}")
    for number, talk in enumerate((drip, pour), 5):
        server = stack.enter_context(RawServer(talk, f"127.0.0.{number}"))
        hosts.append(server.address)
    hosts.append("https://" + stack.enter_context(SilentListener("127.0.0.7")).address)
    for number, host in enumerate(cycle(hosts)):
        yield f"{host}/{number}"


def p99(values: list[float]) -> float:
    """The value that 99 of 100 do not exceed."""
    return sorted(values)[len(values) * 99 // 100]


def arrivals(caller: Caller, healthy: list[RecordingSubscriber]) -> list[float]:
    """Seconds from publishing to arrival, for each event and subscriber."""
    ids = set()
    for number in range(EVENTS):
        if number % 20 == 0:  # for tarpits
            caller.publish(topic="bait")
        ids.add(caller.publish(repr(time.monotonic()).encode(), topic="calm"))
        gevent.sleep(PACE)
    for subscriber in healthy:
        subscriber.wait_for_ids(ids, BOUND)
    return [each.at - float(each.body) for subscriber in healthy for each in subscriber.received if each.id in ids]


@pytest.mark.parametrize("verify", ["none", "handshake"])
@pytest.mark.parametrize(("count", "rounds"), [(90, 1), pytest.param(5_000, 10, marks=pytest.mark.soak)])
def test_silent_subscribers_of_every_kind_delay_nobody(tmp_path: Path, count: int, rounds: int, verify: str) -> None:
    """Beside thousands of tarpits, each event is soon with subscribers that answer; how soon is printed."""
    settings = {"EVENTBUS_VERIFY": verify, "EVENTBUS_LOG_LEVEL": "warning", "EVENTBUS_MAX_IN_FLIGHT": "16"}
    if count > 1_000:
        del settings["EVENTBUS_MAX_IN_FLIGHT"]
    with ExitStack() as stack:
        bus = stack.enter_context(BusServer(tmp_path, settings))
        healthy = [stack.enter_context(RecordingSubscriber(consent)) for _ in range(HEALTHY)]
        caller = Caller(bus.port)
        for subscriber in healthy:
            caller.register(subscriber.address, topic="calm")
            subscriber.wait_for_ids([caller.publish(b"0", topic="calm")])
        quiet = p99([each for _ in range(rounds) for each in arrivals(caller, healthy)])
        for number, address in enumerate(islice(tarpits(stack), count)):
            caller.register(address, timeout=TIMEOUTS[number // 6 % 3], topic="bait")
        found = [p99(arrivals(caller, healthy)) for _ in range(rounds)]
        seen = ", ".join(f"{seconds:.3f}" for seconds in found)
        print(f"{count} tarpits, {verify}: p99 {quiet:.3f} s before, then {seen}")  # noqa: T201 - for who looks
        bus.kill()
