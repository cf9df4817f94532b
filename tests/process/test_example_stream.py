"""The example of a subscriber in shell: it reads the stream, and keeps its position in a file."""

from collections.abc import Iterator
from itertools import count
from pathlib import Path

import pytest

from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.examples import Examples
from tests.support.programs import Program
from tests.support.server import BusServer

#: Prints an event's body, and runs for as long as there is no file called "go".
SLOW = 'echo begun; until [ -e go ]; do sleep 0.05; done; sed "s/.*\\"text\\":\\"\\([^\\"]*\\).*/\\1/"'
#: Fails the first time.
FAILING = 'mkdir failed || exec sed "s/.*\\"text\\":\\"\\([^\\"]*\\).*/\\1/"; exit 1'
_topics = count()


@pytest.fixture
def examples(bus: BusServer, tmp_path: Path) -> Iterator[Examples]:
    """Runs examples for the bus that runs for all tests."""
    folder = tmp_path / "examples"
    folder.mkdir()
    with Examples(bus.port, folder, {}) as runs:
        yield runs


@pytest.fixture
def topic() -> str:
    """A topic that no other test has."""
    return f"streamed.{next(_topics)}"


def stopped(program: Program) -> int:
    """Send SIGTERM, and wait; the status."""
    program.send()
    return program.ended()


def test_it_goes_on_where_it_was(examples: Examples, caller: Caller, topic: str, tmp_path: Path) -> None:
    """A new position begins with the oldest event; what comes in its absence is handled later."""
    ids = [caller.publish(topic=topic)]
    for _ in range(2):
        program = examples.shell_subscriber(tmp_path, topic, "cut", "-c8-43")
        program.wait_for_count(1)
        assert program.lines == [ids[-1]]
        assert stopped(program) == 0
        assert (tmp_path / "position").read_text() == f"{ids[-1]}\n"
        ids.append(caller.publish(topic=topic))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["examples", "position", "stderr", "stdout"]


def test_a_command_that_fails_is_run_again(examples: Examples, caller: Caller, topic: str, tmp_path: Path) -> None:
    """An event that could not be handled comes again, and those behind it wait."""
    for body in (b"first", b"second"):
        caller.publish(body, topic=topic)
    program = examples.shell_subscriber(tmp_path, topic, "sh", "-c", FAILING)
    program.wait_for_count(2)
    assert program.lines == ["first", "second"]
    assert "is run again" in program.errors


def test_an_end_waits_for_the_command(examples: Examples, caller: Caller, topic: str, tmp_path: Path) -> None:
    """At SIGTERM the event under way is handled to its end, its position is kept, and no other is begun."""
    first, _ = caller.publish(b"first", topic=topic), caller.publish(b"second", topic=topic)
    program = examples.shell_subscriber(tmp_path, topic, "sh", "-c", SLOW)
    program.wait_for_count(1)
    program.send()
    (tmp_path / "go").touch()
    assert program.ended() == 0, program.errors
    assert program.lines == ["begun", "first"]
    assert (tmp_path / "position").read_text() == f"{first}\n"


def test_a_position_that_never_was_begins_with_the_oldest(
    examples: Examples, caller: Caller, topic: str, tmp_path: Path
) -> None:
    """A file with an id that the bus does not know begins with what the bus has, and is put right."""
    (tmp_path / "position").write_text("nothing-of-that-name\n")
    event_id = caller.publish(topic=topic)
    program = examples.shell_subscriber(tmp_path, topic, "cut", "-c8-43")
    program.wait_for_count(1)
    assert program.lines == [event_id]
    assert stopped(program) == 0
    assert (tmp_path / "position").read_text() == f"{event_id}\n"


def test_what_the_bus_refuses_ends_it(examples: Examples, tmp_path: Path) -> None:
    """An invalid pattern is an error, and not asked for again and again."""
    program = examples.shell_subscriber(tmp_path, "orders..created", "cat")
    assert program.ended() == 1
    assert "400" in program.errors


def test_it_waits_for_a_bus_that_is_away(examples: Examples, bus: BusServer, topic: str, tmp_path: Path) -> None:
    """While there is no bus it tries again, and can be ended meanwhile."""
    program = examples.shell_subscriber(tmp_path, topic, "cat", port=1)
    eventually(lambda: program.errors.count("Failed to connect") >= 2, 30)
    assert stopped(program) == 0
