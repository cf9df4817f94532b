"""The examples that take batches, against a true bus."""

import runpy
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.accounts import settled
from tests.support.batches import publish_lines
from tests.support.caller import Caller
from tests.support.deadline import eventually
from tests.support.ports import free_port
from tests.support.programs import Program
from tests.support.server import ROOT

EXAMPLES = ROOT / "examples"
needs_node = pytest.mark.skipif(shutil.which("node") is None, reason="node is not installed")


@pytest.mark.parametrize(
    "command",
    [
        [sys.executable, EXAMPLES / "batches.py"],
        pytest.param(["node", EXAMPLES / "node/batches.mjs"], marks=needs_node),
    ],
    ids=["python", "node"],
)
def test_an_example_takes_batches(caller: Caller, tmp_path: Path, command: list[str | Path]) -> None:
    """It handles each event once, in order, and rejects the one that it never can handle."""
    port = free_port()
    with Program([*map(str, command), str(port)], tmp_path, {}) as program:
        address = f"localhost:{port}"
        caller.register(address, batch=10, ordered=True)
        publish_lines(caller, b"\n".join(b'{"number": %d}' % number for number in range(20)))
        text = caller.publish(b"text", ("Content-Type", "text/plain"))
        publish_lines(caller, b'{"number": 20}')
        eventually(settled(caller, address, delivered=21, dead=1), 20)
        (letter,) = caller.call("GET", f"/deadLetters?address={address}").json()["dead_letters"]
        assert (letter["event"], letter["reason"]) == (text, "rejected")
        assert [line.replace(" ", "") for line in program.lines] == [f'{{"number":{number}}}' for number in range(21)]


def test_the_example_names_what_it_has_not_handled() -> None:
    """An error that may pass stops the request there: that event and those behind it come again."""
    handled: list[str] = []

    def handle(event: dict[str, str]) -> None:
        if event["id"] == "3":
            raise ValueError("never")
        if event["id"] == "4":
            raise OSError("not now")
        handled.append(event["id"])

    handle_all = runpy.run_path(str(EXAMPLES / "batches.py"))["handle_all"]
    handle_all.__globals__["handle"] = handle
    failed = handle_all([{"id": str(number)} for number in range(1, 5)] + [{"id": "5", "eventbusid": "own"}])
    assert handled == ["1", "2"]
    assert failed == [{"id": "3", "reject": "never"}, {"id": "4"}, {"id": "own"}]
