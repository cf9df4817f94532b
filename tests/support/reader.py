"""A reader who does what a page says, from its first line to its last, and looks whether it comes out as shown."""

import os
import re
import sys
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self

from tests.support.deadline import eventually
from tests.support.page import Block, Step, blocks_of, blotted, checked, steps_of
from tests.support.ports import FOUR_DIGITS, free_port
from tests.support.server import ROOT, BusServer
from tests.support.terminal import Terminal, Typed

#: The ports that pages name; each reading takes others, so that nothing that runs here is in its way.
_PORT = re.compile(r"\b(?:3000|80\d\d)\b")
#: What starts a bus. A page without it takes one for granted.
_STARTS_A_BUS = re.compile(r"^\$ .*(?:eventbus serve|make run|Procfile)", re.MULTILINE)
#: Left out of the environment, so that a developer's own settings change no page.
_FOREIGN = ("EVENTBUS_", "WEB_CONCURRENCY", "GUNICORN_CMD_ARGS", "FLASK_", "PORT", "PYTEST_", "PYTHON", "DYNO")
#: Seconds in which a command ends, or prints what the page shows.
SECONDS = 30.0


def tools_of_the_tests(folder: Path) -> dict[str, str]:
    """An environment in which everything is installed, the command too; a folder takes what that needs."""
    folder.mkdir()
    command = folder / "eventbus"
    command.write_text(f'#!/bin/sh\nexec {sys.executable} -m eventbus "$@"\n')
    command.chmod(0o755)
    path = os.pathsep.join([str(folder), str(Path(sys.prefix) / "bin"), os.environ["PATH"], "/usr/sbin"])
    return {"PATH": path, "PYTHONPATH": str(ROOT)}


class Reader:
    """Reads one page in one folder; ``environment`` is added to what each terminal has."""

    def __init__(self, page: Path, folder: Path, environment: Mapping[str, str]) -> None:
        text = page.read_text("utf-8")
        self._folder = folder
        self._ports = _ports_for({*_PORT.findall(text), "3000"})
        self._blocks = blocks_of(self._own_ports(text))
        self._bus = None if _STARTS_A_BUS.search(text) else BusServer(folder, port=int(self._ports["3000"]))
        usual = {
            "PORT": self._ports["3000"],
            "EVENTBUS_URL": f"http://localhost:{self._ports['3000']}",
            "PYTHONUNBUFFERED": "1",  # as on a terminal, which this is not
        }
        kept = {name: value for name, value in os.environ.items() if not name.startswith(_FOREIGN)}
        self._environment = {**kept, **usual, **environment}
        self._open = ExitStack()
        self._staying: list[tuple[Step, Typed]] = []

    def bring(self, *names: str) -> None:
        """Bring files of the clone into the folder."""
        for name in names:
            self._write(name, self._own_ports((ROOT / name).read_text("utf-8")))

    def read(self) -> None:
        """Do all that the page says, but what is done once, before everything else."""
        self._terminal = self._opened()
        doing: dict[tuple[str, str], Callable[[Block], None]] = {
            ("console", ""): self._type,
            ("console", "stays"): self._leave,
            ("python", ""): self._run,
        }
        for block in self._blocks:
            if block.file is not None:
                self._write(block.file, block.text)
            elif do := doing.get((block.language, block.note)):
                do(block)
        for step, typed in self._staying:
            self._look_at(step, typed)

    def install(self, terminal: Terminal, seconds: float) -> None:
        """Do what is done once, each command in so many seconds."""
        for block in self._blocks:
            for step in steps_of(block) if block.note == "install" else []:
                typed = terminal.run(step.command, seconds)
                assert typed.status == 0, told(step, typed)

    def _type(self, block: Block) -> None:
        for step in steps_of(block):
            if step.output:
                self._type_until_shown(step)
            else:
                typed = self._terminal.run(step.command, SECONDS)
                assert (typed.status, typed.output) == (0, ""), told(step, typed)

    def _type_until_shown(self, step: Step) -> None:
        """A reader looks again where something takes a moment to come."""
        tries: list[Typed] = []

        def shown() -> bool:
            tries[:] = [self._terminal.run(step.command, SECONDS)]
            return tries[0].status == 0 and _shows(tries[0], step)

        try:
            eventually(shown, SECONDS)
        except AssertionError as error:
            raise AssertionError(told(step, tries[0])) from error

    def _look_at(self, step: Step, typed: Typed) -> None:
        """What a command that goes on running has printed begins with what the page shows of it."""
        try:
            eventually(lambda: blotted(typed.output).startswith(blotted(step.output)), SECONDS)
        except AssertionError as error:
            raise AssertionError(told(step, typed)) from error

    def _leave(self, block: Block) -> None:
        """Open another terminal, and leave the last command running there."""
        terminal = self._opened()
        *before, last = steps_of(block)
        for step in before:
            assert terminal.run(step.command, SECONDS).status == 0, step.command
        self._staying.append((last, terminal.begin(last.command)))

    def _run(self, block: Block) -> None:
        """Run a program, in which warnings are errors."""
        self._write(".program.py", checked(block.text))
        typed = self._terminal.run("python -W error .program.py", SECONDS)
        assert typed.status == 0, told(Step(block.text, ""), typed)

    def _opened(self) -> Terminal:
        return self._open.enter_context(Terminal(self._folder, self._environment))

    def _own_ports(self, text: str) -> str:
        return _PORT.sub(lambda found: self._ports.get(found[0], found[0]), text)

    def _write(self, name: str, text: str) -> None:
        path = self._folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, "utf-8")

    def __enter__(self) -> Self:
        if self._bus is not None:
            self._open.enter_context(self._bus)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._open.close()


def _ports_for(named: set[str]) -> dict[str, str]:
    """A free port for each that a page names, in the same order, so that what is sorted stays so."""
    return dict(zip(sorted(named), sorted(str(free_port(FOUR_DIGITS)) for _ in named), strict=True))


def _shows(typed: Typed, step: Step) -> bool:
    return blotted(typed.output) == blotted(step.output)


def told(step: Step, typed: Typed) -> str:
    """What a command should have done, and what it did."""
    wanted = f"{step.command}\n--- the page shows\n{blotted(step.output)}\n"
    return f"{wanted}--- it printed\n{blotted(typed.output)}\n--- status {typed.status}, and said\n{typed.errors}"
