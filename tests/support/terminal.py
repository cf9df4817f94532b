"""A terminal of a reader: bash with job control, in which commands are typed one after another."""

import os
import signal
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from types import TracebackType
from typing import Self

from tests.support.deadline import eventually
from tests.support.processes import session_members


@dataclass(frozen=True, slots=True)
class Typed:
    """A command that was typed: where its output and its status appear."""

    folder: Path
    number: int

    @property
    def output(self) -> str:
        """What it, and what it left running, has printed on standard output so far."""
        return self._text("out")

    @property
    def errors(self) -> str:
        """The same of standard error."""
        return self._text("err")

    @property
    def status(self) -> int | None:
        """Its exit status; None while it runs."""
        text = self._text("status")
        return int(text) if text.endswith("\n") else None

    def _text(self, kind: str) -> str:
        path = self.folder / f"{self.number}.{kind}"
        return path.read_text(errors="replace") if path.exists() else ""


class Terminal:
    """Runs in ``folder``. Everything that was started in it ends with it."""

    def __init__(self, folder: Path, environment: Mapping[str, str]) -> None:
        self._kept = TemporaryDirectory()
        self._count = 0
        self._bash = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env=dict(environment),
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        self._type("set -m")  # jobs have numbers, and process groups, as where people type

    def begin(self, command: str) -> Typed:
        """Begin a command, and wait for nothing; it reads nothing from the keyboard."""
        self._count += 1
        typed = Typed(Path(self._kept.name), self._count)
        begin = f"{typed.folder}/{typed.number}"
        self._type(f"{{ {command}\n}} </dev/null >{begin}.out 2>{begin}.err; echo $? >{begin}.status")
        return typed

    def run(self, command: str, timeout: float = 30.0) -> Typed:
        """A command, when it has ended or has been left in the background."""
        typed = self.begin(command)
        try:
            eventually(lambda: typed.status is not None, timeout)
        except AssertionError as error:
            raise AssertionError(f"{command} had not ended, and said\n{typed.output}{typed.errors}") from error
        return typed

    def _type(self, line: str) -> None:
        assert self._bash.stdin is not None
        self._bash.stdin.write(f"{line}\n".encode())
        self._bash.stdin.flush()

    def close(self) -> None:
        """End everything that runs here."""
        eventually(self._nothing_runs, 10, "something of the terminal still ran")
        self._bash.communicate()
        self._kept.cleanup()

    def _nothing_runs(self) -> bool:
        """Kill what runs; whether nothing did."""
        members = session_members(self._bash.pid)
        for pid in members:
            with suppress(ProcessLookupError):  # it has ended by itself
                os.kill(pid, signal.SIGKILL)
        return not members

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()
