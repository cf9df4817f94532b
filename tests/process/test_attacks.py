"""All attacks at once, from three addresses, beside publishers and subscribers that mean well."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import gevent
import pytest

from tests.support.accounts import account
from tests.support.authority import OPENSSL, Authority
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.nginx import Nginx, find_nginx
from tests.support.own_network import Neighbour, neighbours, why_not
from tests.support.ports import LOOPBACK
from tests.support.processes import resident_bytes
from tests.support.publisher import Published, Publisher
from tests.support.server import ROOT, BusServer
from tests.support.subscriber import RecordingSubscriber

MIB = 1_048_576
#: Attackers that are on this machine, where there can be no networks of their own.
HERE = [Neighbour(f"127.0.0.{number}", LOOPBACK) for number in (2, 3, 4)]
PUBLISHERS, SUBSCRIBERS = 3, 10
#: Seconds between two events of a publisher.
PACE = 0.05
#: Memory that the bus may hold in all.
MOST_MEMORY = 400 * MIB
#: Bytes that the journal may hold, which the attackers try to fill.
JOURNAL = 64 * MIB
#: Seconds after the attack until everything has to be as before, and in which then each event has to arrive.
CALM_AGAIN, USUAL = 5, 2
#: Seconds of a long attack, and in which 99 of 100 events are published, and arrive, in one. The attackers have the
#: same processors: so the same attack on another bus of this machine comes first, which tells the machine's part of it.
#: Where that alone takes long, the attack may take so many times as long.
LONG_SECONDS, MOST_P99, MOST_TIMES = 120, 0.5, 10
#: Part of the healthy publishes that may be refused in a long attack, and seconds that the event loop may be late,
#: beside those for which this machine let the test itself wait.
MOST_REFUSED, MOST_LAG = 0.01, 0.2
#: Seconds from publishing to arrival during the attack: on a machine whose processors the attackers use, too.
BEARABLE = 30


@dataclass
class Sight:
    """What publishers and subscribers have seen in a part of the test."""

    name: str
    published: list[Published]
    arrivals: list[float] = field(default_factory=list)  # seconds from publishing to each subscriber

    @property
    def publishing(self) -> list[float]:
        """Seconds that each publish took which was accepted."""
        return [seconds for each in self.published for seconds in each.latencies]

    def __str__(self) -> str:
        publish = self.publishing
        refused, failed = sum(each.refused for each in self.published), sum(each.failed for each in self.published)
        return (
            f"{self.name}: {len(publish)} accepted, {refused} refused, {failed} failed, publish p99"
            f" {p99(publish):.3f} s, end-to-end p99 {p99(self.arrivals):.3f} s"
        )


def p99(values: Sequence[float]) -> float:
    """The value that 99 of 100 do not exceed."""
    return sorted(values)[len(values) * 99 // 100] if values else 0.0


def times(quiet: Sight, run: Sight) -> float:
    """How many times as long 99 of 100 publishes took."""
    return p99(run.publishing) / max(p99(quiet.publishing), 0.001)


def bodies() -> Iterator[bytes]:
    """Bodies with the time at which they were sent."""
    while True:
        gevent.sleep(PACE)
        yield repr(time.monotonic()).encode()


class BusUnderAttack:
    """A bus, the front that clients use, and healthy clients."""

    def __init__(self, bus: BusServer, front: int, healthy: list[RecordingSubscriber]) -> None:
        self.bus, self.front, self.healthy = bus, front, healthy
        self.accepted: set[str] = set()
        self.most_memory = 0
        self.most_late = 0.0  # seconds by which a sleep of the test's was too long

    def look(self, name: str, seconds: float) -> Sight:
        """Publish for some seconds, and wait until all that was accepted has arrived."""
        began = time.monotonic()
        target = "/sendMessage?topic=calm.event"
        publishers = [
            Publisher(self.front, bodies(), connections=1, timeout=seconds + 60, target=target).start()
            for _ in range(PUBLISHERS)
        ]
        while time.monotonic() < began + seconds:
            self.most_memory = max(self.most_memory, resident_bytes(self.bus.worker_pid))
            slept = time.monotonic()
            gevent.sleep(0.1)
            self.most_late = max(self.most_late, time.monotonic() - slept - 0.1)
        for publisher in publishers:
            publisher.stop()
        sight = Sight(name, [publisher.join() for publisher in publishers])
        ids = {event for published in sight.published for event in published.accepted}
        for subscriber in self.healthy:
            subscriber.wait_for_ids(ids, 30)
            received = [each for each in subscriber.received if each.id in ids]
            sight.arrivals += [each.at - float(each.body) for each in received]
        self.accepted |= ids
        print(sight)  # noqa: T201 - for who looks
        return sight


def start_attackers(
    stack: ExitStack, front: int, attackers: Sequence[Neighbour], tarpits: int, files: Sequence[Path]
) -> list["subprocess.Popen[bytes]"]:
    """Start the attackers, which take what the machine has left: they would have machines of their own."""
    running = []
    for each in attackers:
        program = [sys.executable, "-m", "tests.support.attacker", each.ours, str(front), each.address, str(tarpits)]
        attacker = subprocess.Popen([*each.prefix, "nice", "-n", "10", *program, *map(str, files)], cwd=ROOT)
        stack.callback(attacker.wait)
        stack.callback(attacker.kill)
        running.append(attacker)
    return running


def look_beside(other: BusServer, attacked: BusUnderAttack, attack: Callable[[ExitStack, int], object]) -> Sight:
    """What healthy clients of a bus see while the same attackers attack another one on the same machine."""
    with ExitStack() as stack:
        stack.enter_context(other)
        attack(stack, other.port)
        sight = attacked.look("attack on another bus", LONG_SECONDS / 4)
        other.kill()
    return sight


@pytest.mark.parametrize(
    ("seconds", "tarpits"), [(6, 60), pytest.param(LONG_SECONDS, 1_500, marks=pytest.mark.soak, id="long")]
)
@pytest.mark.parametrize("proxied", [False, True], ids=["alone", "behind nginx"])
def test_attacks_hurt_nobody_else(tmp_path: Path, seconds: int, tarpits: int, proxied: bool) -> None:
    """Under all attacks at once nothing accepted is lost, memory is bounded, and soon after all is as before."""
    nginx = find_nginx()
    if proxied and nginx is None:
        assert not os.environ.get("CI"), "nginx is not installed, and CI is set"
        pytest.skip("nginx is not installed (Debian: apt-get install nginx)")
    with ExitStack() as stack:
        attackers = HERE if why_not() else stack.enter_context(neighbours(len(HERE)))
        settings, files = {"EVENTBUS_LOG_LEVEL": "warning", "EVENTBUS_JOURNAL_MAX_BYTES": str(JOURNAL)}, ()
        if OPENSSL:
            authority = Authority(tmp_path)
            files = authority.files(*(f"IP:{each.address}" for each in attackers))
            settings["EVENTBUS_CA_FILE"] = str(authority.ca_file)
        bus = stack.enter_context(BusServer(tmp_path, settings))
        front = bus.port
        if proxied:
            folder = tmp_path / "nginx"
            folder.mkdir()
            everywhere = {f"listen {LOOPBACK}:": "listen 0.0.0.0:"}
            front = stack.enter_context(Nginx(nginx or "", folder, bus.port, everywhere)).port
        healthy = [stack.enter_context(RecordingSubscriber()) for _ in range(SUBSCRIBERS)]
        for subscriber in healthy:
            Caller(front).register(subscriber.address, topic="calm.>", lease=3_600)
        attacked, pid = BusUnderAttack(bus, front, healthy), bus.worker_pid
        quiet = attacked.look("quiet", 2 if seconds < LONG_SECONDS else LONG_SECONDS / 4)
        attack, other = partial(start_attackers, attackers=attackers, tarpits=tarpits, files=files), tmp_path / "other"
        other.mkdir()
        control = quiet if seconds < LONG_SECONDS else look_beside(BusServer(other, settings), attacked, attack)
        running = attack(stack, front)
        attacked.most_memory, attacked.most_late = 0, 0.0
        run = attacked.look("attack", seconds)
        missing = partial(not_attempted, Caller(bus.port), attackers, files)
        eventually(lambda: not missing(), 30, "some of the attackers' subscribers were not attempted")
        lag, full, given_up = read_metrics(bus, "event_loop_lag_seconds", "journal_bytes", "journal_quota_total")
        for attacker in running:
            assert attacker.poll() is None, "an attacker has ended"
            attacker.kill()
        gevent.sleep(CALM_AGAIN)
        after = attacked.look("after", 2)
        print(  # noqa: T201 - for who looks
            f"memory at most {attacked.most_memory / MIB:.0f} MiB, event loop lag {lag:.3f} s,"
            f" the test's {attacked.most_late:.3f} s,"
            f" journal {full / MIB:.0f} MiB, {given_up:.0f} deliveries given up; {compare(quiet, control, run)}"
        )
        assert bus.worker_pid == pid
        assert sum(len(each.accepted) for each in run.published) > seconds
        assert attacked.most_memory < MOST_MEMORY
        assert p99(run.arrivals) < BEARABLE
        if seconds >= LONG_SECONDS:
            most = max(MOST_P99, MOST_TIMES * p99(control.arrivals))
            assert max(p99(run.publishing), p99(run.arrivals)) < most
            assert sum(each.refused + each.failed for each in run.published) <= MOST_REFUSED * len(run.publishing)
            assert lag < MOST_LAG + attacked.most_late
        assert not any(each.refused or each.failed for each in after.published)
        assert p99(after.arrivals) < USUAL
        check_accounts(bus, attacked)
        bus.kill()


def compare(quiet: Sight, control: Sight, run: Sight) -> str:
    """How much longer publishes took than in the quiet time, and than beside the same attack on another bus."""
    return (
        f"publish p99 {times(quiet, run):.1f} times as long as in the quiet time,"
        f" {times(control, run):.1f} times as long as during the attack on another bus"
    )


def check_accounts(bus: BusServer, attacked: BusUnderAttack) -> None:
    """All that was accepted has been delivered to each healthy subscriber."""
    for subscriber in attacked.healthy:
        found = eventually(lambda: account_settled(bus, subscriber.address), 10)  # noqa: B023 - called at once
        assert found["delivered"] >= len(attacked.accepted)
        assert (found["dead"], found["discarded"]) == (0, 0)


def read_metrics(bus: BusServer, *names: str) -> list[float]:
    """Some of the bus's metrics, each summed over its labels."""
    text = Caller(bus.port).call("GET", "/metrics").text
    found = [re.findall(rf"^eventbus_{name}(?:{{.*}})? (\S+)", text, re.MULTILINE) for name in names]
    return [sum(map(float, values)) for values in found]


def not_attempted(caller: Caller, attackers: Sequence[Neighbour], files: Sequence[Path]) -> list[str]:
    """The attackers' hosts that lack a kind of hostile subscriber, or failures of several kinds."""
    subscribers = caller.subscribers()
    found = []
    for host in [each.address for each in attackers]:
        hostile = [each for each in subscribers if f"{host}:" in each["address"]]
        parts = ("/wild-", "/down", "/reject", *(["https://"] if files else []))
        kinds = {str(each["last_error"]).partition(" ")[0] for each in hostile if each["last_error"]}
        if len(kinds) < 2 or not all(any(part in each["address"] for each in hostile) for part in parts):
            found.append(host)
    return found


def account_settled(bus: BusServer, address: str) -> dict[str, int] | None:
    """A subscriber's account, once nothing is pending."""
    found = account(Caller(bus.port), address)
    return None if found["pending"] else found
