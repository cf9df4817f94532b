"""A command whose help opens with examples."""

from collections.abc import Callable, Sequence
from typing import Any

import click


class _WithExamples(click.Command):
    """Shows examples before all other help: command lines, each as it would be typed."""

    def __init__(self, *args: Any, examples: Sequence[str] = (), **options: Any) -> None:
        super().__init__(*args, **options)
        self.examples = tuple(examples)

    def format_help(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """Write the examples, and then what click writes."""
        write_examples(self.examples, formatter)
        super().format_help(ctx, formatter)


class Command(_WithExamples):
    """A command of ``eventbus``."""


class Group(_WithExamples, click.Group):
    """Several commands under one name."""

    command_class = Command

    def list_commands(self, ctx: click.Context) -> list[str]:
        """In the order in which they were added."""
        return list(self.commands)


def command(name: str, *examples: str) -> Callable[[Callable[..., Any]], Command]:
    """Make a function a command, with examples for its help."""
    return click.command(name, cls=Command, examples=examples)


def write_examples(examples: Sequence[str], formatter: click.HelpFormatter) -> None:
    """Write the examples as they are, however long."""
    formatter.write("Examples:\n")
    for example in examples:
        formatter.write(f"  {example}\n")
    formatter.write("\n")
