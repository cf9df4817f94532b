"""The README does what it says."""

import shutil
import sys
from pathlib import Path

import pytest

from tests.support.page import blocks_of, steps_of
from tests.support.reader import Reader, tools_of_the_tests
from tests.support.server import ROOT

#: What the README's commands find in their folder.
NEEDED = ("Makefile", "requirements.txt", "gunicorn.conf.py", "wsgi.py", "eventbus", "examples")


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    """A copy of what a clone holds, with the environment that ``make run`` would make."""
    folder = tmp_path / "clone"
    folder.mkdir()
    for name in NEEDED:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, folder / name)
    (folder / ".venv").mkdir()
    (folder / ".venv/bin").symlink_to(Path(sys.prefix) / "bin")
    (folder / ".venv/.run").touch()
    return folder


def test_the_readme_does_what_it_says(clone: Path, tmp_path: Path) -> None:
    """Each command of the README prints what the README shows, and each program comes out as shown."""
    environment = {**tools_of_the_tests(tmp_path / "bin"), "PYTHONPATH": str(clone)}
    with Reader(ROOT / "README.md", clone, environment) as reader:
        reader.read()


def test_the_readme_begins_with_a_bus_and_an_event() -> None:
    """The first commands start the bus, and show an event that arrives."""
    consoles = [block for block in blocks_of((ROOT / "README.md").read_text("utf-8")) if block.language == "console"]
    assert steps_of(consoles[0])[0].command == "make run"
    assert '{"order": 42}' in consoles[1].text
