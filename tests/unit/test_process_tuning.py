"""What the process asks of the interpreter and of the C library."""

import platform
import subprocess
import sys

import pytest

#: Frees large blocks between small ones, and prints how many MiB of them the process still has.
PROGRAM = """
import gc, sys
from pathlib import Path
from eventbus.web.server.process_tuning import SWITCH_SECONDS, tune_process
def resident() -> int:
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4_096 // 1_048_576
if "tuned" in sys.argv:
    tune_process()
    assert sys.getswitchinterval() == SWITCH_SECONDS
before = resident()
for size in (2_000_000, 4_000_000, 8_000_000):
    bytearray(size)
large = [(bytearray(500_000), bytearray(2_000)) for _ in range(400)]
small = [each for _, each in large]
del large
gc.collect()
print(resident() - before)
"""


def left(*arguments: str) -> int:
    """MiB that are left of 200 MiB in large blocks."""
    command = [sys.executable, "-c", PROGRAM, *arguments]
    return int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="other C libraries have no such parameter")
def test_large_blocks_go_back_to_the_system() -> None:
    """Of large bodies nothing is left once they are freed, whatever small objects have come between them."""
    assert left("tuned") < 20
    assert left() > 100  # of itself the C library keeps it
