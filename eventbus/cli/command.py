"""A command, and a group of commands, whose help opens with examples."""

from collections.abc import Callable, Sequence
from typing import Any

import click

from eventbus.core.override import override


class Command(click.Command):
    """A command of ``eventbus``; ``examples`` are command lines, each as it would be typed."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.examples = tuple(examples)

    @override
    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        formatter.write("Examples:\n")
        for example in self.examples:  # as they are, however long
            formatter.write(f"  {example}\n")
        formatter.write("\n")
        super().format_help(ctx, formatter)


class Group(Command, click.Group):
    """Several commands under one name, in the order in which they were added."""

    command_class = Command

    @override
    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(self.commands)


def command(name: str, *examples: str) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a command, with examples for its help."""
    return click.command(name, cls=Command, examples=examples)
