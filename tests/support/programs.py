"""Programs that are run as people run them: what they print is read while they run."""

import os
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.support.deadline import eventually
from tests.support.processes import group_runs

#: Seconds in which what is waited for has come.
MAX_WAIT_SECONDS = 30.0


class Program:
    """One run of a command; ``folder`` gets what it prints, ``environment`` is added to what it gets."""

    def __init__(
        self, command: Sequence[str], folder: Path, environment: Mapping[str, str], *, stdout: Path | None = None
    ) -> None:
        self._stdout = stdout or folder / "stdout"
        self._stderr = folder / "stderr"
        kept = {name: value for name, value in os.environ.items() if not name.startswith("EVENTBUS_")}
        with self._stdout.open("wb") as out, self._stderr.open("wb") as err:
            self._process = subprocess.Popen(
                command,
                cwd=folder,
                env={**kept, **environment},
                stdin=subprocess.PIPE,
                stdout=out,
                stderr=err,
                start_new_session=True,
            )

    def give(self, *lines: str) -> None:
        """Write lines to its standard input."""
        self._input.write("".join(f"{line}\n" for line in lines).encode())
        self._input.flush()

    def end_input(self) -> None:
        """Close its standard input."""
        self._input.close()

    @property
    def lines(self) -> list[str]:
        """The whole lines that it has printed so far."""
        return self._stdout.read_text().rpartition("\n")[0].splitlines()

    @property
    def errors(self) -> str:
        """What it has complained of so far."""
        return self._stderr.read_text()

    def wait_for_count(self, count: int) -> None:
        """Wait until it has printed so many lines."""
        self.wait(lambda: len(self.lines) >= count, f"{count} lines were not printed")

    def wait(self, condition: Callable[[], object], what: str) -> None:
        """Wait for a condition; where it does not come true, ``what`` and the program's errors are told."""
        try:
            eventually(condition, MAX_WAIT_SECONDS, what)
        except AssertionError as error:
            error.add_note(f"What the program complained of:\n{self.errors}")
            raise

    @property
    def runs(self) -> bool:
        """Whether it has not ended."""
        return self._process.poll() is None

    def send(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send a signal to the program, not to what it has started."""
        self._process.send_signal(number)

    def ended(self) -> int:
        """Wait until it has ended, and all that it has started; its exit status."""
        status = self._process.wait(MAX_WAIT_SECONDS)
        eventually(lambda: not group_runs(self._process.pid), MAX_WAIT_SECONDS, "what it has started still runs")
        return status

    @property
    def _input(self) -> IO[bytes]:
        assert self._process.stdin is not None
        return self._process.stdin

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._input.close()
        if group_runs(self._process.pid):
            os.killpg(self._process.pid, signal.SIGKILL)
        self._process.wait()
