"""The help of each command, and the page that documents them."""

import re
import shlex
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from eventbus.cli.command import Command, Group
from eventbus.cli.program import program
from tests.support.option_docs import COMMANDS_PAGE, COMMON, commands, option_row, own_options

PAGE = COMMANDS_PAGE.read_text("utf-8")
COMMANDS = dict(commands())


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
    for file in ("report.pdf", "orders.ndjson", "token.txt", "secrets.txt", "subscribers.toml"):
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
    """In the words of the help, in a table of each command's own; ``python -m tests.support.option_docs`` writes it."""
    rows = [line for line in section(name).splitlines() if line.startswith("| `-")]
    assert rows == [option_row(option) for option in own_options(COMMANDS[name])]


def test_the_page_tells_what_all_commands_have() -> None:
    """Once, in the words of the help."""
    common = [one for one in COMMANDS["events"].params if one.name in COMMON]
    rows = [line for line in section("What all commands have").splitlines() if line.startswith("| `-")]
    assert rows == [option_row(one) for one in common if isinstance(one, click.Option)]


def test_the_page_tells_of_nothing_else() -> None:
    """Each heading of a command is one of a command."""
    headings = re.findall(r"^#{2,3} ([a-z-]+(?: [a-z]+)?)$", PAGE, re.MULTILINE)
    assert sorted(headings) == sorted(COMMANDS)
