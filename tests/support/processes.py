"""What Linux's /proc tells about processes (proc(5))."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


@dataclass(frozen=True, slots=True)
class Process:
    """One line of /proc/PID/stat, as far as it is needed."""

    pid: int
    state: str  # Z is a zombie: ended, but not yet waited for
    parent: int
    group: int
    session: int
    threads: int

    @property
    def runs(self) -> bool:
        """Whether any of it still runs: a zombie's other threads may, and hold its files and ports."""
        return self.state != "Z" or self.threads > 1


def processes() -> Iterator[Process]:
    """All processes that can be seen."""
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            fields = (folder / "stat").read_text().rpartition(")")[2].split()
        except (FileNotFoundError, ProcessLookupError):
            continue  # it ended in between
        yield Process(int(folder.name), fields[0], int(fields[1]), int(fields[2]), int(fields[3]), int(fields[17]))


def running_children(pid: int) -> list[int]:
    """The processes that this one started and that still run."""
    return [process.pid for process in processes() if process.parent == pid and process.runs]


def group_runs(group: int) -> bool:
    """Whether any process of this group still runs."""
    return any(process.group == group and process.runs for process in processes())


def session_members(session: int) -> list[int]:
    """The processes of this session that still run, in whichever process group."""
    return [process.pid for process in processes() if process.session == session and process.runs]


def resident_bytes(pid: int) -> int:
    """Memory that this process holds in RAM."""
    return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * PAGE_BYTES
