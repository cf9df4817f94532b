"""Where a process runs, so that another one on the same machine can tell that it runs no more. For Linux.

A node that died is waited for, since from afar nobody can tell that from a network that was cut. On its own machine the
system knows.
"""

import os
from contextlib import suppress
from pathlib import Path


def here() -> str:
    """This process: the boot of its machine, the space its number counts in, its number, and when it began."""
    with suppress(OSError):  # no Linux: then a death here is noticed as late as one elsewhere
        pid = os.getpid()
        return f"{_space()} {pid} {_began(pid)}"
    return ""


def runs_no_more(place: str) -> bool:
    """Whether a process is known to have ended: it was on this machine, and has no number there now."""
    boot, space, pid, began = (place.split(" ") + [""] * 4)[:4]
    try:
        if not began or f"{boot} {space}" != _space():
            return False
        return _began(int(pid)) != began
    except FileNotFoundError:
        return True
    except (OSError, ValueError):  # this machine does not tell
        return False


def _space() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def _began(pid: int) -> str:
    """When a process began, in ticks since the boot (proc_pid_stat(5), field 22); a zombie has ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]
