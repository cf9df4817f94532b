"""The command ``eventbus``: its subcommands, and how it exits."""

import logging
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from io import TextIOWrapper
from typing import Any, NoReturn

import click

from eventbus import __version__
from eventbus.cli import (
    attempts,
    backup,
    bench,
    completion,
    control,
    dead_letters,
    declared,
    events,
    journal,
    listen,
    register,
    replay,
    scheduled,
    send,
    serve,
    subscribers,
    tokens,
)
from eventbus.cli.command import Group
from eventbus.cli.doctor import diagnosis
from eventbus.cli.escape import escape
from eventbus.cli.exit_status import FAILURE, INTERRUPTED, SUCCESS, USAGE_ERROR, Stopped

NAME = "eventbus"


class Program(Group):
    """The root command. Exits with a status, and prints one sentence on standard error where something failed."""

    def main(self, args: Sequence[str] | None = None, *_: Any, **__: Any) -> NoReturn:
        """Run, and exit. Replace click's messages and statuses by this program's."""
        logging.getLogger(NAME).addHandler(logging.NullHandler())  # each command prints by itself what matters
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # characters that the terminal does not have
        try:
            status = self._run(args)
        except click.exceptions.NoArgsIsHelpError as error:
            click.echo(error.format_message(), err=True)
            status = USAGE_ERROR
        except click.ClickException as error:
            status = _print_error(_sentence(error), getattr(error, "status", error.exit_code))
        except click.Abort:
            status = INTERRUPTED
        except Stopped as stopped:
            status = stopped.status
        except (BrokenPipeError, _OutputClosed):
            status = _discard_output()
        except UnicodeError:
            status = _print_error("The command line is not UTF-8; topics, addresses and names are.", USAGE_ERROR)
        except OSError as error:
            status = _print_error(
                f"{error.strerror or error}{f': {error.filename!r}' if error.filename else ''}.", FAILURE
            )
        sys.exit(status)

    def _run(self, args: Sequence[str] | None) -> int:
        """Run the command, write all of its output, and return its status."""
        returned = super().main(args, NAME, standalone_mode=False)
        sys.stdout.flush()
        return returned if isinstance(returned, int) else SUCCESS

    def invoke(self, ctx: click.Context) -> Any:
        """Run a subcommand. Replace the errors for which click would print a blank line or exit by itself."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.Abort from None
        except BrokenPipeError:
            raise _OutputClosed from None


class _OutputClosed(BaseException):
    """Nobody reads the output any more."""


def _sentence(error: click.ClickException) -> str:
    """Return what is wrong, and for a wrong command line which help to read."""
    sentence = " ".join(error.format_message().split())
    if not isinstance(error, click.UsageError):
        return sentence
    path = error.ctx.command_path if error.ctx else NAME
    return f"{sentence.rstrip('.')}; see '{path} --help'."


def _print_error(sentence: str, status: int) -> int:
    with suppress(OSError):  # nobody reads it
        click.echo(f"{NAME}: {escape(sentence)}", err=True)
    return status


def _discard_output() -> int:
    """Redirect standard output, so that Python does not fail when it flushes it at the end."""
    with suppress(OSError, ValueError):  # it is no file
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
    return SUCCESS


@click.group(
    cls=Program,
    examples=(
        "eventbus serve",
        "eventbus send orders.created '{\"order\": 42}'",
        "eventbus listen 'orders.*'",
        "eventbus COMMAND --help",
    ),
    epilog="The bus is EVENTBUS_URL, or --url; a token is EVENTBUS_TOKEN, or --token-file. "
    "Exit status: 0 done, 1 refused, 2 wrong command line, 3 no bus reached, 130 by Ctrl-C.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def program() -> None:
    """An HTTP event bus: start one, publish to it, listen to it, inspect it and repair it."""


#: All commands, in the order of the help. To add one, decorate a function in a module of its own by ``@command``, and
#: list it here.
COMMANDS = (
    serve.serve,
    send.send,
    listen.listen,
    subscribers.subscribers,
    register.register,
    register.deregister,
    declared.check,
    control.pause,
    control.resume,
    control.retry,
    control.skip,
    events.events,
    events.event,
    attempts.attempts,
    scheduled.scheduled,
    dead_letters.dead_letters,
    replay.replay,
    backup.backup,
    backup.restore,
    journal.journal,
    tokens.token,
    bench.bench,
    diagnosis.doctor,
    completion.completion,
)
for _command in COMMANDS:
    program.add_command(_command)


def main() -> NoReturn:
    """Run the command line."""
    program.main()
