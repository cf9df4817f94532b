"""``eventbus check``, and how a file of declared subscribers differs from what is registered.

Imports the server, and only when it runs.
"""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from eventbus.cli.command import command
from eventbus.cli.context import READABLE_FILE, json_option
from eventbus.cli.exit_status import FAILURE, SUCCESS, CommandFailed
from eventbus.cli.renderer import Column, Table
from eventbus.cli.screen import Screen, pluralize
from eventbus.client import Bus, Subscriber
from eventbus.core.target_path import with_path

if TYPE_CHECKING:
    from eventbus.core.declarations import Declaration, Declarations


@command("check", "eventbus check subscribers.toml", "eventbus check subscribers.toml --json | jq '.faults[].text'")
@click.argument("file", type=READABLE_FILE, envvar="EVENTBUS_SUBSCRIBERS")
@json_option
def check(file: Path, as_json: bool) -> None:  # noqa: FBT001 - click names it
    """Check a file of declared subscribers.

    Without FILE it is that of EVENTBUS_SUBSCRIBERS. Prints what is wrong, with the line. No bus is asked. Exit status
    1 where something is wrong.
    """
    found = read_declarations(file)
    screen = Screen.of_this_process(as_json=as_json)
    if as_json:
        faults = [{"line": fault.line, "text": fault.text} for fault in found.faults]
        screen.value({"subscribers": len(found.subscribers), "faults": faults})
    elif not found.faults:
        screen.note(f"{file} declares {pluralize(len(found.subscribers), 'subscriber')}.")
    else:
        for fault in found.faults:
            screen.safe_line(fault.at(str(file)))
    click.get_current_context().exit(FAILURE if found.faults else SUCCESS)


def read_declarations(file: Path, environment: Mapping[str, str] | None = None) -> "Declarations":
    """Read a file of declared subscribers, with the credentials in an environment, if it is given. Raises OSError."""
    from eventbus.core.declarations import parse_declarations  # noqa: PLC0415 - only when it runs
    from eventbus.core.toml_tables import MAX_FILE_BYTES  # noqa: PLC0415

    with file.open("rb") as opened:
        return parse_declarations(opened.read(MAX_FILE_BYTES + 1), environment)


@dataclass(frozen=True, slots=True)
class Drift:
    """A subscriber of the file or of the bus, and how they differ; nothing where it is as the file says."""

    address: str
    path: str | None
    group: str | None
    difference: str = ""

    @property
    def name(self) -> str:
        """Return the address with its path, and its group."""
        name = with_path(self.address, self.path)
        return name if self.group is None else f"{name} in {self.group}"


def print_drift(screen: Screen, bus: Bus, name: str) -> None:
    """Print how a file, else that of the environment, differs from the bus; fail where it does. Raises UsageError."""
    rows = drift_from(_file_of(name), bus.subscribers())
    differing = sum(bool(one.difference) for one in rows)
    if screen.as_json:
        for one in rows:
            difference = one.difference or None
            screen.value({"address": one.address, "path": one.path, "group": one.group, "difference": difference})
    elif rows:
        columns = Column("subscriber"), Column("difference")
        screen.table(Table.of(columns, [(one.name, one.difference or "none") for one in rows]))
    screen.note(f"{pluralize(len(rows), 'declared subscriber')}, {differing} of them not as the file says.")
    click.get_current_context().exit(FAILURE if differing else SUCCESS)


def _file_of(name: str) -> Path:
    found = name or os.environ.get("EVENTBUS_SUBSCRIBERS", "").strip()
    if not found:
        raise click.UsageError("Name the file of declared subscribers, or set EVENTBUS_SUBSCRIBERS")
    return Path(found)


def drift_from(file: Path, registered: list[Subscriber]) -> list[Drift]:
    """Compare a file with the live subscribers. Raises OSError, and CommandFailed for a file that is wrong."""
    found = read_declarations(file)
    if found.faults:
        raise CommandFailed(f"{found.faults[0].at(str(file))} ('eventbus check' finds all that is wrong)")
    return drift_between(found.subscribers, registered)


def drift_between(declared: "tuple[Declaration, ...]", registered: list[Subscriber]) -> list[Drift]:
    """Compare declared subscribers with the live ones: those of the file first, in its order."""
    return list(_drift(declared, registered))


def _drift(declared: "tuple[Declaration, ...]", registered: list[Subscriber]) -> Iterator[Drift]:
    from eventbus.core.addresses import parse_address  # noqa: PLC0415 - only when it runs

    there = {parse_address(one.address).with_target(one.path or "").key: one for one in registered}
    for each in declared:
        address, one = each.address, there.pop(each.key, None)
        difference = "is not registered" if one is None else _difference(each, one)
        yield Drift(address.text, address.target or None, each.group, difference)
    for one in there.values():
        if one.declared:
            yield Drift(one.address, one.path, one.group, "is not in the file")


def _difference(each: "Declaration", one: Subscriber) -> str:
    """Return how a registered subscriber differs from what the file says; nothing where it does not."""
    from eventbus.core.option_table import options_of  # noqa: PLC0415 - only when it runs

    if each.group != one.group:
        return f"is in {_group(one.group)}, not in {_group(each.group)}"
    if not one.declared:
        return "is registered by itself"
    wanted = {option.name: getattr(each.terms, option.name) for option in options_of(type(each.terms))}
    wanted |= {"draining": each.drain, "credentials": tuple(map(str, each.kinds))}
    del wanted["lease"]
    differing = [name for name, value in wanted.items() if _plain(value) != _plain(getattr(one, name))]
    texts = [(name, _text(name, getattr(one, name)), _text(name, wanted[name])) for name in differing]
    return ", ".join(f"{name} is {there}, not {declared}" for name, there, declared in texts)


def _group(name: str | None) -> str:
    return "no group" if name is None else f"the group {name}"


def _plain(value: Any) -> Any:
    return tuple(value) if isinstance(value, list) else value


def _text(name: str, value: Any) -> str:
    """Write the value of an option as a file has it; one word stands for none."""
    if isinstance(value, tuple | list):
        text = ",".join(_text(name, each) for each in value)
    else:
        text = f"{value:g}" if isinstance(value, float) else str(value)
    return text or ("everything" if name == "topics" else "none")
