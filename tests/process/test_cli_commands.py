"""The command as people and scripts run it, against a true bus: what it prints, and how it ends."""

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import uuid4

import pytest

from eventbus.client import Bus, Event, Inbox, Reject, Server, Terms
from tests.support.deadline import eventually
from tests.support.ports import free_port
from tests.support.server import ROOT, BusServer

COMMAND = (sys.executable, "-m", "eventbus")
#: Left out of the environment, so that a developer's own settings change no test.
_FOREIGN = ("EVENTBUS_", "PYTHON", "NO_COLOR", "PORT", "WEB_CONCURRENCY", "GUNICORN_CMD_ARGS")
#: Seconds in which a command has ended.
SECONDS = 30
Ended = subprocess.CompletedProcess[bytes]


def environment(port: int) -> dict[str, str]:
    """A clean one, in which warnings are errors."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
    own = {"EVENTBUS_URL": f"http://127.0.0.1:{port}", "PYTHONPATH": str(ROOT), "PYTHONWARNINGS": "error"}
    return {**kept, **own}


class Shell:
    """Types commands in a folder of their own."""

    def __init__(self, folder: Path, port: int) -> None:
        self.folder = folder
        self.port = port
        self._environment = environment(port)
        self._open = ExitStack()

    def run(self, *args: str, stdin: bytes = b"", **more: str) -> Ended:
        """A command that ends."""
        environment = self._environment | more
        return subprocess.run(
            [*COMMAND, *args],
            cwd=self.folder,
            env=environment,
            input=stdin,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )

    def does(self, *args: str, stdin: bytes = b"") -> str:
        """What a command prints that ends well."""
        ended = self.run(*args, stdin=stdin)
        assert ended.returncode == 0, ended.stderr
        return ended.stdout.decode()

    def begin(self, *args: str, **more: str) -> subprocess.Popen[bytes]:
        """A command that keeps running."""
        process = subprocess.Popen(
            [*COMMAND, *args], cwd=self.folder, env=self._environment | more, stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        )  # fmt: skip
        self._open.callback(_reap, process)
        return process

    def close(self) -> None:
        """End all that still run."""
        self._open.close()


def _reap(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    for stream in (process.stdout, process.stderr):
        if stream is not None:
            stream.close()


@pytest.fixture
def shell(bus: BusServer, tmp_path: Path) -> Iterator[Shell]:
    """A shell in which the shared bus is known."""
    opened = Shell(tmp_path, bus.port)
    yield opened
    opened.close()


@pytest.fixture
def topic() -> str:
    """A topic that is used by no other test."""
    return f"cli.{uuid4().hex}"


def line_of(process: subprocess.Popen[bytes]) -> str:
    """The next line that a command prints."""
    assert process.stdout is not None
    assert process.stderr is not None
    line = process.stdout.readline().decode()
    assert line, f"it ended: {process.stderr.read().decode()}"
    return line


def ended(process: subprocess.Popen[bytes]) -> tuple[int, str]:
    """A command's status, and what it printed on standard error."""
    _, payload = process.communicate(timeout=SECONDS)
    return process.returncode, payload.decode()


@contextmanager
def handling(client: Bus, topic: str, handler: Callable[[Event], None]) -> Iterator[str]:
    """A subscriber to a topic; its address."""
    inbox = Inbox(client)
    inbox.on(topic)(handler)
    with Server(inbox):
        assert inbox.wait_registered(SECONDS)
        yield inbox.address or ""


def test_what_is_sent_can_be_looked_at(shell: Shell, client: Bus, topic: str) -> None:
    """One event, then many at once; in lists, alone, and as it came."""
    position = shell.does("send", topic, "-", stdin=b"\x1b\xff").strip()
    lines = b"\n".join(b'{"n": %d}' % number for number in range(1_200))
    ids = shell.does("send", topic, "-", "--lines", stdin=lines).split()
    assert [event.data for event in client.events(after=position, topics=[topic])] == [{"n": n} for n in range(1_200)]
    listed = shell.does("events", "--topic", topic, "--limit", "2").splitlines()
    assert [line.split()[1] for line in listed] == ["id", position, ids[0]]
    assert json.loads(shell.does("event", ids[7], "--json"))["data"] == {"n": 7}
    assert shell.run("event", position, "--raw").stdout == b"\x1b\xff"


def test_a_listener_prints_what_comes(shell: Shell, client: Bus, topic: str) -> None:
    """As it comes, of its topics, after its position; and ends when it has so many."""
    position = client.publish(topic, "before").id
    listening = shell.begin("listen", f"{topic}.*", "--after", position, "--count", "2", "--json")
    client.publish("other", "x")
    for number in range(2):
        client.publish(f"{topic}.a", {"n": number})
        assert json.loads(line_of(listening))["data"] == {"n": number}
    assert ended(listening) == (0, "")


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_registered_listener_leaves_nothing(
    shell: Shell, client: Bus, topic: str, number: signal.Signals, status: int
) -> None:
    """It is a subscriber like any other, answers what it has printed, and deregisters when it is asked to end."""
    listening = shell.begin("listen", topic, "--register")
    (one,) = eventually(client.subscribers, SECONDS)
    assert one.topics == (topic,)
    event_id = client.publish(topic, "hello").id
    assert line_of(listening).split()[1:] == [topic, event_id]
    assert line_of(listening) == "  hello\n"
    eventually(lambda: client.deliveries(event_id)[0].state == "delivered", 10)
    listening.send_signal(number)
    assert ended(listening) == (status, f"Registered as {one.address}; Ctrl-C ends.\n")
    assert client.subscribers() == []


def test_a_listener_takes_batches_apart(shell: Shell, client: Bus, topic: str) -> None:
    """It prints the events of a request one by one, and leaves those behind the last one that is wanted to the bus."""
    listening = shell.begin("listen", topic, "--register", "--batch", "9", "--count", "3", "--json")
    (one,) = eventually(client.subscribers, SECONDS)
    assert (one.batch, one.batch_wait) == (9, 0)
    ids = client.publish_many(topic, [{"number": number} for number in range(5)])
    found = [json.loads(line_of(listening)) for _ in range(3)]
    assert [(event["id"], event["data"]) for event in found] == [(ids[n], {"number": n}) for n in range(3)]
    assert ended(listening) == (0, f"Registered as {one.address}; Ctrl-C ends.\n")
    assert [client.deliveries(each)[0].state for each in ids] == ["delivered"] * 3 + ["discarded"] * 2


def test_a_listener_in_a_group_gets_its_share_and_leaves_the_group_as_it_was(
    shell: Shell, client: Bus, topic: str
) -> None:
    """It is a member beside others, changes no option of the group, and only leaves when it is asked to end."""
    client.register(f"127.0.0.1:{free_port()}", topics=["none"], terms=Terms(group="heard", resume=True))
    listening = shell.begin("listen", topic, "--register", "--group", "heard")
    eventually(lambda: len(client.subscribers()) == 2, SECONDS)
    event_id = client.publish(topic, "hello").id
    assert line_of(listening).split()[1:] == [topic, event_id]
    assert line_of(listening) == "  hello\n"
    (group,) = client.subscribers().groups
    assert (group.resume, group.topics) == (True, tuple(sorted([topic, "none"])))
    assert "heard (2 members)" in shell.does("subscribers", "--group", "heard")
    listening.send_signal(signal.SIGTERM)
    assert ended(listening)[0] == 143
    assert len(client.subscribers()) == 1
    assert client.deregister(group="heard") == 0


def test_a_listener_says_why_it_cannot_register(shell: Shell) -> None:
    """By the bus's own words, at once; and a port that is taken is none to listen on."""
    refused = shell.run("listen", "--register", "0.0.0.0:" + str(free_port()))
    assert (refused.returncode, refused.stdout) == (1, b"")
    assert b"(status 400)" in refused.stderr
    taken = shell.run("listen", "--register", f"127.0.0.1:{shell.port}")
    assert taken.returncode == 1
    assert b"name another port" in taken.stderr


def test_a_listener_waits_for_a_bus_that_restarts(tmp_path: Path, topic: str) -> None:
    """``serve`` ends by SIGTERM as gunicorn does; what is published after it is back is printed."""
    port = free_port()
    shell = Shell(tmp_path, port)
    settings = ("serve", "--port", str(port), "--journal", "own.db")
    try:
        serving = shell.begin(*settings)
        client = Bus(f"http://127.0.0.1:{port}")
        position = client.publish(topic, "first").id  # which waits until the bus is there
        listening = shell.begin("listen", "--after", "earliest", "--raw")
        assert line_of(listening) == "first\n"
        serving.terminate()
        assert ended(serving)[0] == 0
        shell.begin(*settings, "--json")
        client.publish(topic, "second")
        assert line_of(listening) == "second\n"
        assert client.event(position).text == "first"
        held = shell.does("doctor", "--json") if sys.platform == "linux" else ""
        client.close()
        listening.send_signal(signal.SIGINT)
        assert ended(listening) == (130, "")
        assert held == "" or json.loads(held)["sound"]
    finally:
        shell.close()


def test_serve_stops_with_a_sentence(shell: Shell) -> None:
    """A setting that is wrong, in the status and the words of the bus."""
    ended = shell.run("serve", "--port", str(free_port()), EVENTBUS_LEASE_SECONDS="x")
    assert ended.returncode == 1
    assert ended.stderr.startswith(b"eventbus cannot start: EVENTBUS_LEASE_SECONDS must be")


def test_dead_letters_are_mended(shell: Shell, client: Bus, topic: str) -> None:
    """Seen with their reason, delivered again, and, of more than one, only with --yes."""
    answers: dict[str, Exception | None] = {"says": Reject("not\x1b[2Jthis")}

    def handle(_: Event) -> None:
        if answers["says"] is not None:
            raise answers["says"]

    with handling(client, topic, handle) as address:
        for number in range(3):
            client.publish(topic, {"n": number})
        letters = eventually(lambda: (found := [*client.dead_letters(address=address)])[2:] and found, SECONDS)
        listed = shell.does("dead-letters", "list", "--address", address)
        assert [line.split()[0] for line in listed.splitlines()[1:]] == [str(letter.id) for letter in letters]
        assert "  not\\x1b[2Jthis\n" in shell.does("dead-letters", "show", str(letters[1].id))
        answers["says"] = None
        assert shell.does("dead-letters", "replay", "--id", str(letters[0].id)) == "1\n"
        unasked = shell.run("dead-letters", "replay", "--address", address)
        assert (unasked.returncode, b"Replay 2 dead letters? Say --yes" in unasked.stderr) == (2, True)
        assert shell.does("dead-letters", "discard", "--id", str(letters[1].id)) == "1\n"
        assert shell.does("dead-letters", "replay", "--all", "--yes") == "1\n"
        eventually(lambda: client.subscribers()[0].delivered == 2, SECONDS)


def test_events_are_sent_for_later_listed_and_cancelled(shell: Shell, client: Bus, topic: str) -> None:
    """What is due comes; what is cancelled does not, and what has come cannot be cancelled."""
    came: list[str] = []
    with handling(client, topic, lambda event: came.append(event.id)):
        late = shell.does("send", topic, "1", "--in", "1h30m").strip()
        assert late in shell.does("scheduled", "list")
        soon = json.loads(shell.does("send", topic, "2", "--in", "0.3", "--json"))
        assert soon["scheduled_for"] is not None
        eventually(lambda: came == [soon["id"]], SECONDS)
        ended = shell.run("scheduled", "cancel", soon["id"], late)
        assert (ended.returncode, ended.stdout) == (1, f"{late}\n".encode())
        assert b"is in the journal and cannot be cancelled" in ended.stderr
    assert late not in [event.id for event in client.scheduled()]
    too_late = shell.run("send", topic, "3", "--in", "367d")
    assert (too_late.returncode, b"delay must be a number of seconds" in too_late.stderr) == (1, True)


def test_a_part_of_the_journal_is_replayed(shell: Shell, client: Bus, topic: str) -> None:
    """As many events as a dry run has counted, and it returns when they have been delivered."""
    got: list[bytes] = []
    ids = [client.publish(topic, str(number)).id for number in range(10)]
    with handling(client, topic, lambda event: got.append(event.body)) as address:
        places = ("--from", ids[2], "--to", ids[6])
        assert shell.does("replay", address, *places, "--dry-run") == "5\n"
        assert got == []
        assert json.loads(shell.does("replay", address, *places, "--json")) == {"events": 5}
        # an inbox takes an event once, so that these are all different
        assert sorted(got) == [b"2", b"3", b"4", b"5", b"6"]


def test_a_load_is_measured(shell: Shell, client: Bus) -> None:
    """Every event arrives at every subscriber once, at the rate that was asked for at most; and nobody stays."""
    measured = json.loads(
        shell.does("bench", "--events", "100", "--subscribers", "2", "--size", "64", "--rate", "400", "--json")
    )
    assert (measured["lost"], measured["duplicated"], measured["events"]) == (0, 0, 100)
    assert 0 < measured["publishes_a_second"] <= 450
    assert 0 < measured["arrival_p50"] <= measured["arrival_p99"]
    assert client.subscribers() == []


def test_a_load_that_is_stopped_leaves_no_subscriber(shell: Shell, client: Bus) -> None:
    """Whenever that is."""
    loading = shell.begin("bench", "--rate", "1", "--subscribers", "2")
    eventually(lambda: any(one.delivered for one in client.subscribers()), SECONDS)
    loading.send_signal(signal.SIGINT)
    assert ended(loading) == (130, "")
    assert client.subscribers() == []


def test_the_doctor_says_what_is_wrong(shell: Shell, client: Bus, bus: BusServer) -> None:
    """And how to fix it: warnings leave the status 0, what does not work makes it 1."""
    client.register(f"127.0.0.1:{free_port()}")
    journal = {"EVENTBUS_JOURNAL": f"sqlite:///{bus.journal}", "EVENTBUS_LEASE_SECOND": "1"}
    seen = shell.run("doctor", **journal)
    assert (seen.returncode, seen.stderr) == (0, b"")
    assert b"did you mean" in seen.stdout
    assert b"cannot be reached from here: Connection refused." in seen.stdout
    assert b"may publish, subscribe and administer: it has no tokens." in seen.stdout
    if sys.platform == "linux":
        assert b"is held by process" in seen.stdout
    away = shell.run("doctor", "--url", f"http://127.0.0.1:{free_port()}", "--json", PORT="x")
    assert (away.returncode, away.stderr) == (1, b"")
    payload = json.loads(away.stdout)
    assert {one["about"] for one in payload["findings"] if one["level"] == "wrong"} == {"settings", "bus"}
    assert all(one["mend"] for one in payload["findings"] if one["level"] != "ok")


@pytest.mark.parametrize(
    ("args", "status", "payload"),
    [
        (["event", "not-there"], 1, "eventbus: Event 'not-there' is not in the journal (status 404).\n"),
        (["subscribers", "--nonsense"], 2, "eventbus: No such option"),
        (["events", "--url", "http://127.0.0.1:1"], 3, "eventbus: No answer from the bus at http://127.0.0.1:1: "),
    ],
)
def test_an_error_is_one_sentence_and_a_status(shell: Shell, args: list[str], status: int, payload: str) -> None:
    """1 refused, 2 asked for wrongly, 3 not reached; nothing of it on standard output."""
    ended = shell.run(*args)
    assert (ended.returncode, ended.stdout) == (status, b"")
    assert ended.stderr.decode().startswith(payload)
    assert ended.stderr.count(b"\n") == 1


def test_a_reader_that_has_seen_enough_is_no_error(shell: Shell, client: Bus, topic: str) -> None:
    """As ``head`` is: quiet, and done."""
    client.publish_many(topic, ["x" * 100] * 1_500)
    listing = shell.begin("events", "--topic", topic, "--limit", "2000", "--json")
    assert line_of(listing)
    assert listing.stdout is not None
    listing.stdout.close()
    assert listing.stderr is not None
    assert (listing.stderr.read(), listing.wait(SECONDS)) == (b"", 0)


def test_ctrl_c_ends_quietly(shell: Shell, client: Bus, topic: str) -> None:
    """With the status that shells give to it."""
    position = client.publish(topic).id
    listening = shell.begin("listen", "--after", position, topic, "--raw")
    client.publish(topic, "here")
    assert line_of(listening) == "here\n"
    listening.send_signal(signal.SIGINT)
    assert ended(listening) == (130, "")
