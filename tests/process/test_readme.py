"""The README does what it says."""

import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.deadline import eventually
from tests.support.transcript import Step, steps_of, without_times

ROOT = Path(__file__).parents[2]
#: What the README's commands find in their folder.
NEEDED = ("Makefile", "requirements.txt", "gunicorn.conf.py", "wsgi.py", "eventbus", "examples")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A copy of what a clone holds, with the environment that ``make run`` would make."""
    for name in NEEDED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, tmp_path / name)
    environment = Path(sys.prefix)
    (tmp_path / ".venv").symlink_to(environment)
    if not (environment / ".run").exists():
        pytest.skip("these tests do not run in the environment that make has made")
    return tmp_path


@pytest.fixture
def started(folder: Path) -> Iterator[list[subprocess.Popen[bytes]]]:
    """Processes that the transcript leaves running; all are ended."""
    processes: list[subprocess.Popen[bytes]] = []
    yield processes
    for process in processes:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def run(step: Step, folder: Path) -> str:
    """What a command prints on standard output."""
    done = subprocess.run(["bash", "-c", step.command], cwd=folder, capture_output=True, check=False, timeout=30)
    return without_times(done.stdout.decode())


def leave_running(command: str, folder: Path) -> subprocess.Popen[bytes]:
    """Start a command in a process group of its own."""
    return subprocess.Popen(
        ["bash", "-c", f"exec {command.removesuffix(' &')}"],
        cwd=folder,
        start_new_session=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )


def test_the_transcript_runs_as_written(folder: Path, started: list[subprocess.Popen[bytes]]) -> None:
    """Each command of the README prints what the README shows, times aside."""
    steps = steps_of(ROOT / "README.md")
    assert steps[0].command == "make run"
    assert len(steps) > 8
    for step in steps:
        if step.command == "make run" or step.command.endswith(" &"):
            started.append(leave_running(step.command, folder))
        else:
            eventually(lambda step=step: run(step, folder) == step.output, 30)
