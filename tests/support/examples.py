"""The examples in other languages: how each is run, and what its subscriber has handled."""

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Mapping
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import pytest

from tests.support.caller import Caller
from tests.support.ports import free_port
from tests.support.programs import Program
from tests.support.server import ROOT

#: What runs each language.
TOOLS = {"shell": "curl", "node": "node", "go": "go"}
#: Those whose subscribers are servers, and register.
SERVERS = ("node", "go")


def is_there(language: str) -> bool:
    """Whether this machine can run a language's examples."""
    return shutil.which(TOOLS[language]) is not None


@dataclass(frozen=True, slots=True)
class ExampleSubscriber:
    """A subscriber that runs, and the port that it listens on, 0 for none."""

    program: Program
    port: int

    @property
    def address(self) -> str:
        """By which it is registered."""
        return f"localhost:{self.port}"

    @property
    def bodies(self) -> list[str]:
        """Of the events that it has handled; the shell's is told whole events."""
        lines = self.program.lines
        return lines if self.port else [json.loads(line)["body"]["text"] for line in lines]

    def wait_for(self, *bodies: str) -> None:
        """Wait until it has handled each of these."""
        self.program.wait(lambda: set(bodies) <= set(self.bodies), "not all events came")

    def post(
        self, body: bytes | None, headers: Mapping[str, str], *, method: str = "POST", path: str = "/event"
    ) -> int:
        """Send it a request, as the bus does or not; the status."""
        return Caller(self.port).call(method, path, headers.items(), body).status


class Examples:
    """Builds and runs examples for the bus on this port; all that runs ends with it.

    ``environment`` is added to what subscribers get.
    """

    def __init__(self, port: int, folder: Path, environment: Mapping[str, str]) -> None:
        self.port = port
        self._folder = folder
        self._environment = environment
        self._running: dict[str, ExampleSubscriber] = {}
        self._stack = ExitStack()

    def command(self, language: str, role: str) -> list[str]:
        """What runs an example; the test skips where the language is not there."""
        if not is_there(language):
            pytest.skip(f"{TOOLS[language]} is not installed")
        folder = ROOT / "examples" / language
        if language == "go":
            return [str(self._built(folder / role / "main.go", self._folder / role))]
        return ["sh", str(folder / f"{role}.sh")] if language == "shell" else ["node", str(folder / f"{role}.mjs")]

    def publisher(self, language: str, topic: str) -> Program:
        """Start a publisher."""
        return self._start([*self.command(language, "publisher"), topic], {})

    def elsewhere(self, language: str, role: str, topic: str, port: int, token: str) -> Program:
        """Start an example for a bus on another port, with a token, and wait for nothing."""
        arguments = [topic] if role == "publisher" else self._arguments(language, topic)
        command = [*self.command(language, role), *arguments]
        return self._start(command, {"EVENTBUS_TOKEN": token}, port=port)

    def subscriber(self, language: str, topic: str, *, port: int | None = None, **options: Any) -> ExampleSubscriber:
        """Start a subscriber, and wait until the bus knows it, if it has an address; ``options`` are Program's."""
        arguments = self._arguments(language, topic, port)
        program = self._start([*self.command(language, "subscriber"), *arguments], self._environment, **options)
        found = ExampleSubscriber(program, int(arguments[0]) if language in SERVERS else 0)
        if found.port:
            program.wait(lambda: Caller(self.port).listed(found.address), "it was not registered")
        return found

    def member(self, language: str, topic: str, group: str) -> ExampleSubscriber:
        """Start a member of a group, and wait until the bus knows it; in shell it is what makes a server one."""
        port = free_port()
        if language == "shell":
            served = [sys.executable, str(ROOT / "examples/subscriber.py"), str(port)]
            command = [*self.command("shell", "member"), group, f"localhost:{port}", *served]
        else:
            command = [*self.command(language, "subscriber"), str(port), topic]
        environment = {**self._environment, "GROUP": group, "TOPIC": topic}
        found = ExampleSubscriber(self._start(command, environment), port)
        found.program.wait(lambda: Caller(self.port).listed(found.address), "it was not registered")
        return found

    def with_secrets(self, language: str, secrets: str) -> Program:
        """Start a subscriber with other secrets, and wait for nothing."""
        command = [*self.command(language, "subscriber"), str(free_port())]
        return self._start(command, {"EVENTBUS_SIGNING_SECRETS": secrets})

    def running(self, language: str, topic: str) -> ExampleSubscriber:
        """The one subscriber of a language that runs until the end."""
        if language not in self._running:
            self._running[language] = self.subscriber(language, topic)
        return self._running[language]

    def shell_subscriber(self, folder: Path, topic: str, *command: str, port: int | None = None) -> Program:
        """Start the shell's subscriber in a folder that is kept, with a command of its own."""
        arguments = ["position", topic, *command]
        return self._start([*self.command("shell", "subscriber"), *arguments], {}, folder=folder, port=port)

    @staticmethod
    def _arguments(language: str, topic: str, port: int | None = None) -> list[str]:
        return [str(port or free_port()), topic] if language in SERVERS else ["position", topic, "cat"]

    def _start(
        self,
        command: list[str],
        environment: Mapping[str, str],
        *,
        folder: Path | None = None,
        port: int | None = None,
        stdout: Path | None = None,
    ) -> Program:
        if folder is None:
            folder = self._folder / str(len(list(self._folder.iterdir())))
            folder.mkdir()
        own = {"EVENTBUS_URL": f"http://localhost:{port or self.port}", **environment}
        return self._stack.enter_context(Program(command, folder, own, stdout=stdout))

    def _built(self, source: Path, target: Path) -> Path:
        if not target.exists():
            own = {"GOCACHE": str(self._folder / "cache"), "GOFLAGS": "", "GOTOOLCHAIN": "local"}
            command = ["go", "build", "-o", str(target), str(source)]
            subprocess.run(command, check=True, cwd=self._folder, env={**os.environ, **own}, timeout=120)
        return target

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._stack.close()
