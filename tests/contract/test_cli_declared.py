"""What commands say of a file of declared subscribers: what is wrong in it, and how the bus differs from it."""

import json
from dataclasses import replace
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from eventbus.cli.context import CommandContext
from eventbus.cli.doctor import declared_file
from eventbus.cli.doctor.findings import Level
from eventbus.cli.program import program
from eventbus.client import Subscriber, Terms
from eventbus.testing import FakeBus

FILE = """[[subscriber]]
address = "h:1"
path = "/x"
topics = ["orders.*"]
timeout = 3
[[subscriber]]
address = "H:2/"
group = "mailer"
"""
AS_DECLARED = Terms(path="/x", timeout=3)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A file with two subscribers."""
    path = tmp_path / "subscribers.toml"
    path.write_text(FILE)
    return path


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> FakeBus:
    """The bus that commands speak to; all of its subscribers are declared."""
    fake = FakeBus()
    monkeypatch.setattr(CommandContext, "bus", lambda *_, **__: fake)
    listed = fake.subscribers
    monkeypatch.setattr(fake, "subscribers", lambda: [declared(one) for one in listed()])
    monkeypatch.delenv("EVENTBUS_SUBSCRIBERS", raising=False)
    return fake


def declared(one: Subscriber) -> Subscriber:
    """The same subscriber, as a file declares it."""
    return replace(one, declared=one.address != "h:3")


def typed(*args: str) -> Result:
    """Type a command."""
    return CliRunner().invoke(program, args)


def differences(*args: str) -> dict[str, str | None]:
    """What the command says of each subscriber, by its address."""
    result = typed("subscribers", "--declared", *args, "--json")
    found = [json.loads(line) for line in result.stdout.splitlines()]
    assert result.exit_code == (1 if any(one["difference"] for one in found) else 0)
    return {one["address"]: one["difference"] for one in found}


def test_check_prints_each_fault_with_its_place(file: Path) -> None:
    """And fails; a file without faults is counted."""
    good = typed("check", str(file))
    assert (good.exit_code, good.stdout, good.stderr) == (0, "", f"{file} declares 2 subscribers.\n")
    file.write_text(FILE + "timeout = 0\nleas = 3\n")
    bad = typed("check", str(file))
    assert (bad.exit_code, [line.partition(": ")[0] for line in bad.stdout.splitlines()]) == (
        1, [f"{file}:9", f"{file}:10"],
    )  # fmt: skip
    payload = json.loads(typed("check", str(file), "--json").stdout)
    assert (payload["subscribers"], [fault["line"] for fault in payload["faults"]]) == (0, [9, 10])
    assert typed("check", f"{file}.not").exit_code == 2


def test_check_takes_the_file_of_the_environment(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is what the bus would read; without any, the command line is wrong."""
    monkeypatch.setenv("EVENTBUS_SUBSCRIBERS", str(file))
    assert typed("check").stderr == f"{file} declares 2 subscribers.\n"
    monkeypatch.delenv("EVENTBUS_SUBSCRIBERS")
    assert typed("check").exit_code == 2


def test_what_differs_between_file_and_bus_is_listed(file: Path, bus: FakeBus) -> None:
    """Who is missing, who is there though no file has it, and which options are others."""
    name = str(file)
    assert differences(name) == {"h:1": "is not registered", "H:2/": "is not registered"}
    bus.register("h:1", topics=["orders.*"], terms=AS_DECLARED)
    bus.register("h:2", terms=Terms(group="mailer"))
    assert differences(name) == {"h:1": None, "H:2/": None}
    bus.register("h:1", topics=[], terms=Terms(path="/x", timeout=5))
    bus.register("h:4")
    assert differences(name) == {
        "h:1": "topics is everything, not orders.*, timeout is 5, not 3", "H:2/": None, "h:4": "is not in the file",
    }  # fmt: skip
    table = typed("subscribers", "--declared", name)
    assert "h:1?path=/x" in table.stdout
    assert "3 declared subscribers, 2 of them not as the file says." in table.stderr


def test_an_option_that_is_empty_has_a_word(file: Path, bus: FakeBus) -> None:
    """Where one side has none of an option, the difference says so."""
    file.write_text('[[subscriber]]\naddress = "h:1"\ndead_to = "dead"\nsecret_env = "S"\n')
    bus.register("h:1", topics=["a"], terms=Terms(rate="5/1"))
    assert differences(str(file)) == {
        "h:1": "topics is a, not everything, rate is 5/1, not none, dead_to is none, not dead, "
        "credentials is none, not secret"
    }


def test_who_registers_by_itself_is_as_no_file_says(file: Path, bus: FakeBus) -> None:
    """So is who is in another group."""
    file.write_text('[[subscriber]]\naddress = "h:3"\n[[subscriber]]\naddress = "h:2"\n')
    bus.register("h:3")
    bus.register("h:2", terms=Terms(group="mailer"))
    assert differences(str(file)) == {
        "h:3": "is registered by itself",
        "h:2": "is in the group mailer, not in no group",
    }


def test_the_file_is_that_of_the_environment(file: Path, bus: FakeBus, monkeypatch: pytest.MonkeyPatch) -> None:
    """Unless another one is named; without any, and with a broken one, the command says so."""
    assert "set EVENTBUS_SUBSCRIBERS" in typed("subscribers", "--declared").stderr
    monkeypatch.setenv("EVENTBUS_SUBSCRIBERS", str(file))
    assert differences() == {"h:1": "is not registered", "H:2/": "is not registered"}
    file.write_text("=")
    broken = typed("subscribers", "--declared")
    assert (broken.exit_code, f"{file}:1: Invalid statement" in broken.stderr) == (1, True)


def test_doctor_tells_of_the_file_and_of_what_differs(file: Path, bus: FakeBus) -> None:
    """A wrong file is wrong, since a bus does not take it; a difference is a warning."""
    assert [one.level for one in declared_file.diagnose(str(file))] == [Level.OK]
    bus.register("h:1", topics=["orders.*"], terms=AS_DECLARED)
    findings = declared_file.diagnose_drift(str(file), bus.subscribers())
    assert [(one.level, one.text) for one in findings] == [(Level.WARNING, "H:2/ in mailer is not registered.")]
    file.write_text(FILE + "timeout = 0\n")
    (wrong,) = declared_file.diagnose(str(file))
    assert (wrong.level, wrong.text.partition(": ")[0]) == (Level.WRONG, f"{file}:9")
    assert declared_file.diagnose_drift(str(file), []) == []
    file.unlink()
    (missing,) = declared_file.diagnose(str(file))
    assert (missing.level, "No such file" in missing.text) == (Level.WRONG, True)
    assert declared_file.diagnose_drift(str(file), []) == []
