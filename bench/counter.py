"""Begins and ends the counting of instructions in this process, which callgrind has to run (see bench.instructions)."""

import os

from gevent.hub import get_hub


def count_instructions(*, on: bool) -> None:
    """Have the counter begin or stop. Raises RuntimeError where there is none."""
    command = f"callgrind_control -i {'on' if on else 'off'} {os.getpid()} >/dev/null"
    if get_hub().threadpool.apply(os.system, (command,)):  # it waits for this process, which must go on
        raise RuntimeError(f"{command} failed")
