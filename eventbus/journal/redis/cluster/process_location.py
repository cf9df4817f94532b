"""Where a process runs, so that another one on the same machine can see that it has ended. For Linux.

Peers wait until a dead node's time is over, since from afar a crash looks like a cut network. On its own machine the
system knows at once.
"""

import os
from contextlib import suppress
from pathlib import Path


def this_process() -> str:
    """Return where this process runs: boot id, PID namespace, PID and start time; empty where the system tells none."""
    with suppress(OSError):  # no Linux: a death here is noticed as late as one elsewhere
        pid = os.getpid()
        return f"{_space()} {pid} {_began(pid)}"
    return ""


def has_ended(location: str) -> bool:
    """Return whether a process is known to have ended: it ran on this machine, and has no PID there now."""
    boot, space, pid, began = (location.split(" ") + [""] * 4)[:4]
    try:
        if not began or f"{boot} {space}" != _space():
            return False
        return _began(int(pid)) != began
    except FileNotFoundError:
        return True
    except (OSError, ValueError):  # not readable on this machine
        return False


def _space() -> str:
    boot = Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    return f"{boot} {Path('/proc/self/ns/pid').readlink()}"


def _began(pid: int) -> str:
    """Return when a process began, in ticks since the boot (proc_pid_stat(5), field 22); a zombie has ended."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return "" if fields[0] == "Z" else fields[19]
