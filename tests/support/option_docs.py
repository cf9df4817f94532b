"""The tables of options in ``docs/``. ``python -m tests.support.option_docs`` writes them."""

import re
from collections.abc import Iterable, Iterator
from pathlib import Path

import click

from eventbus.cli.program import program
from eventbus.core.option_table import Option
from eventbus.core.options import registration_options

DOCS = Path(__file__).parents[2] / "docs"
PROTOCOL, COMMANDS_PAGE = DOCS / "protocol.md", DOCS / "commands.md"
HEAD = "| parameter | meaning | values | default |\n| --- | --- | --- | --- |\n"
#: What every command has that speaks to a bus; the page tells of it once.
COMMON = ("url", "token_file", "timeout", "as_json")


def commands(group: click.Group = program, before: str = "") -> Iterator[tuple[str, click.Command]]:
    """Every command by what is typed, groups too."""
    for name, command in group.commands.items():
        yield f"{before}{name}", command
        if isinstance(command, click.Group):
            yield from commands(command, f"{before}{name} ")


def own_options(command: click.Command) -> list[click.Option]:
    """The options of a command's own."""
    with click.Context(command) as ctx:
        every = command.get_params(ctx)
    common = () if command.name in ("serve", "check", "completion") else COMMON
    return [
        one for one in every if isinstance(one, click.Option) and one.name not in common and "--help" not in one.opts
    ]


def option_row(option: click.Option) -> str:
    """An option as a row of the page's table: without its range, which is said where it is left."""
    with click.Context(click.Command("x")) as ctx:
        record = option.get_help_record(ctx)
    assert record is not None
    payload, _, extra = record[1].partition("  [")
    told = [word for word in extra.rstrip("]").split("; ") if word.startswith(("default", "required"))]
    flags = record[0].replace("|", r"\|")  # it would end the cell
    return f"| `{flags}` | {payload}{f' ({told[0]})' if told else ''} |"


def options_table(options: Iterable[Option]) -> str:
    """Return the protocol's table in Markdown, a row for each option."""
    rows = (f"| `{one.parameter}` | {one.help} | {one.kind.allowed} | {one.default_text} |\n" for one in options)
    return HEAD + "".join(rows)


def write() -> None:
    """Write the protocol's table, and that of each command."""
    protocol, page = PROTOCOL.read_text("utf-8"), COMMANDS_PAGE.read_text("utf-8")
    table = options_table(registration_options())
    PROTOCOL.write_text(re.sub(re.escape(HEAD) + r"(\|.*\n)*", lambda _: table, protocol), "utf-8")
    for name, command in commands():
        rows = "".join(f"{option_row(one)}\n" for one in own_options(command))
        heading, below, rest = re.split(rf"(?m)(^#+ {name}\n)", page, maxsplit=1)
        own, following, after = re.split(r"(?m)(^#+ |\Z)", rest, maxsplit=1)
        own = re.sub(r"(\| `-.*\n)+", lambda _, rows=rows: rows, own, count=1)
        page = f"{heading}{below}{own}{following}{after}"
    COMMANDS_PAGE.write_text(page, "utf-8")


if __name__ == "__main__":
    write()
