"""A disk of a few MiB that can be filled: a tmpfs of its own."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

MIB = 1_048_576


def why_not() -> str | None:
    """Why no disk can be mounted here, if so."""
    if os.geteuid() != 0:
        return "only root may mount a disk"
    return None if shutil.which("mount") and shutil.which("umount") else "there is no mount command"


@contextmanager
def small_disk(folder: Path, size: int) -> Iterator["SmallDisk"]:
    """Mount a disk of so many bytes at ``folder``; where that is not allowed the test is skipped."""
    folder.mkdir()
    done = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", f"size={size}", "none", str(folder)],
        check=False,
        capture_output=True,
        text=True,
    )
    if done.returncode:
        pytest.skip(f"a disk cannot be mounted here: {done.stderr.strip()}")
    try:
        yield SmallDisk(folder)
    finally:
        subprocess.run(["umount", "--lazy", str(folder)], check=True)


class SmallDisk:
    """A mounted disk, and a file of no use that takes its room away."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._filler = folder / "filler"

    @property
    def journal(self) -> dict[str, str]:
        """The setting for a bus whose journal alone is on this disk."""
        return {"EVENTBUS_JOURNAL": f"sqlite:///{self.folder}/bus.db"}

    @property
    def free(self) -> int:
        """Bytes that can still be written."""
        found = os.statvfs(self.folder)
        return found.f_bavail * found.f_frsize

    def take(self, size: int) -> None:
        """Take so many bytes away."""
        self._filler.write_bytes(b"\x00" * size)

    def give_back(self) -> None:
        """Give back what was taken."""
        self._filler.unlink()
