"""The help of each command, and the page that tells of all of them."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from eventbus.cli.command import Command, Group
from eventbus.cli.program import program

PAGE = (Path(__file__).parents[2] / "docs/commands.md").read_text("utf-8")
#: What every command has that speaks to a bus; the page tells of it once.
COMMON = ("url", "token_file", "timeout", "as_json")


def commands(group: click.Group = program, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command by what is typed, groups too."""
    for name, command in group.commands.items():
        yield f"{before}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{before}{name} ")


COMMANDS = dict(commands())


def options(command: click.Command) -> list[click.Option]:
    """The options of a command's own."""
    with click.Context(command) as ctx:
        every = command.get_params(ctx)
    common = () if command.name in ("serve", "completion") else COMMON
    return [
        one for one in every if isinstance(one, click.Option) and one.name not in common and "--help" not in one.opts
    ]


def row(option: click.Option) -> str:
    """An option as a row of the page's table: without its range, which is said where it is left."""
    with click.Context(click.Command("x")) as ctx:
        record = option.get_help_record(ctx)
    assert record is not None
    payload, _, extra = record[1].partition("  [")
    told = [word for word in extra.rstrip("]").split("; ") if word.startswith(("default", "required"))]
    return f"| `{record[0]}` | {payload}{f' ({told[0]})' if told else ''} |"


def section(name: str) -> str:
    """What the page says below a command's heading."""
    found = re.search(rf"^#+ {re.escape(name)}\n(.*?)(?=^#+ |\Z)", PAGE, re.MULTILINE | re.DOTALL)
    assert found is not None, f"the page has no heading {name!r}"
    return found[1]


@pytest.mark.parametrize("name", COMMANDS)
def test_help_opens_with_examples(name: str) -> None:
    """Each command's, and then says what it is for; a summary fits the list of commands."""
    result = CliRunner().invoke(program, [*name.split(), "--help"])
    assert result.exit_code == 0
    assert result.stdout.startswith(f"Examples:\n  {'' if name == 'completion' else 'e'}")
    assert f"Usage: eventbus {name} " in result.stdout
    assert "..." not in COMMANDS[name].get_short_help_str(limit=62)


@pytest.mark.parametrize("name", COMMANDS)
def test_examples_can_be_typed(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Every option and argument in them is one of the command."""
    monkeypatch.chdir(tmp_path)
    for file in ("report.pdf", "orders.ndjson", "token.txt", "secrets.txt"):
        (tmp_path / file).touch()
    command = COMMANDS[name]
    assert isinstance(command, Command | Group)
    assert command.examples
    for example in command.examples:
        typed = re.search(r"\beventbus ([^|>)]*)", example)
        assert typed is not None
        words = example[typed.start(1) :] if "'" in example else typed[1]
        parse(program, list(shlex.split(words.partition(" | ")[0].partition(" > ")[0].rstrip(')"'))))


def parse(group: click.Group, words: list[str], parent: click.Context | None = None) -> None:
    """Read the words as a command's, and do nothing."""
    with click.Context(group, parent=parent) as ctx:
        _, command, rest = group.resolve_command(ctx, words)
        assert command is not None
        if isinstance(command, click.Group):
            parse(command, rest, ctx)
        else:
            command.make_context(command.name, rest, parent=ctx)


@pytest.mark.parametrize("name", [name for name, command in COMMANDS.items() if not isinstance(command, click.Group)])
def test_the_page_tells_of_every_option(name: str) -> None:
    """In the words of the help, in a table for each command that has options of its own."""
    rows = [line for line in section(name).splitlines() if line.startswith("| `-")]
    assert rows == [row(option) for option in options(COMMANDS[name])]


def test_the_page_tells_what_all_commands_have() -> None:
    """Once, in the words of the help."""
    common = [one for one in COMMANDS["events"].params if one.name in COMMON]
    rows = [line for line in section("What all commands have").splitlines() if line.startswith("| `-")]
    assert rows == [row(one) for one in common if isinstance(one, click.Option)]


def test_the_page_tells_of_nothing_else() -> None:
    """Each heading of a command is one of a command."""
    headings = re.findall(r"^#{2,3} ([a-z-]+(?: [a-z]+)?)$", PAGE, re.MULTILINE)
    assert sorted(headings) == sorted(COMMANDS)
