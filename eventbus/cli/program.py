"""The whole command: its parts, and how each of its ends becomes an exit status."""

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
    bench,
    completion,
    dead_letters,
    events,
    journal,
    listen,
    register,
    replay,
    send,
    serve,
    subscribers,
)
from eventbus.cli.command import Group
from eventbus.cli.doctor import command as doctor
from eventbus.cli.escape import escape
from eventbus.cli.exit_status import FAILURE, INTERRUPTED, SUCCESS, USAGE_ERROR, Stopped

NAME = "eventbus"


class Program(Group):
    """Ends with a status and, where something went wrong, one sentence on standard error."""

    def main(self, args: Sequence[str] | None = None, *_: Any, **__: Any) -> NoReturn:
        """Run, and exit; what click would say, and how it would end, is put in this program's own way."""
        logging.getLogger(NAME).addHandler(logging.NullHandler())  # each command tells by itself what matters
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="backslashreplace")  # of what the terminal has no characters for
        try:
            status = self._ended(args)
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
            status = _print_error("What was typed is no UTF-8; topics, addresses and names are.", USAGE_ERROR)
        except OSError as error:
            status = _print_error(
                f"{error.strerror or error}{f': {error.filename!r}' if error.filename else ''}.", FAILURE
            )
        sys.exit(status)

    def _ended(self, args: Sequence[str] | None) -> int:
        """The status of what ended as it should, all of its output written."""
        returned = super().main(args, NAME, standalone_mode=False)
        sys.stdout.flush()
        return returned if isinstance(returned, int) else SUCCESS

    def invoke(self, ctx: click.Context) -> Any:
        """Keep from click what it would give a blank line or a status of its own."""
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise click.Abort from None
        except BrokenPipeError:
            raise _OutputClosed from None


class _OutputClosed(BaseException):
    """Whoever read the output has gone."""


def _sentence(error: click.ClickException) -> str:
    """What is wrong, and for what was typed wrongly where to look."""
    payload = " ".join(error.format_message().split())
    if not isinstance(error, click.UsageError):
        return payload
    path = error.ctx.command_path if error.ctx else NAME
    return f"{payload.rstrip('.')}; see '{path} --help'."


def _print_error(sentence: str, status: int) -> int:
    with suppress(OSError):  # nobody reads it
        click.echo(f"{NAME}: {escape(sentence)}", err=True)
    return status


def _discard_output() -> int:
    """Let nothing complain at the end that standard output cannot be written."""
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
    "Exit status: 0 done, 1 refused, 2 asked for wrongly, 3 no bus reached, 130 by Ctrl-C.",
)
@click.version_option(__version__, message="%(prog)s %(version)s")
def program() -> None:
    """An HTTP event bus: start one, publish to it, listen to it, look at it and mend it."""


for _command in (
    serve.serve,
    send.send,
    listen.listen,
    subscribers.subscribers,
    register.register,
    register.deregister,
    events.events,
    events.event,
    dead_letters.dead_letters,
    replay.replay,
    journal.journal,
    bench.bench,
    doctor.doctor,
    completion.completion,
):
    program.add_command(_command)


def main() -> NoReturn:
    """Run what was typed."""
    program.main()
