"""Runs the tests in shares, side by side: most of them wait for a server, and cost a processor next to nothing.

``python tests/side_by_side.py ARGUMENTS`` gives every share pytest's ARGUMENTS and its part of the test files.
The first share prints as it goes; what the others print follows, whole, when they have ended.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[1]
SHARES = 3
#: What pytest exits with where a share has no test that was asked for.
NO_TESTS = 5
#: Its place among the shares, for each: "0/2".
SHARE_NAME = "TESTS_SHARE"


def deal(files: Sequence[Path], shares: int) -> list[list[Path]]:
    """Deal the files out in turn; those of one folder and the same beginning tend to take the same time."""
    return [list(files[number::shares]) for number in range(shares)]


def run(arguments: Sequence[str]) -> int:
    """Run all shares; the first exit status that tells of a failure, else 0."""
    parts = deal(sorted(ROOT.glob("tests/*/test_*.py")), SHARES)
    with tempfile.TemporaryFile() as later:
        first, *others = [
            _start(number, part, arguments, None if number == 0 else later) for number, part in enumerate(parts)
        ]
        try:
            statuses = [first.wait(), *(other.wait() for other in others)]
        finally:
            for share in (first, *others):
                share.terminate()
        later.seek(0)
        sys.stdout.write(later.read().decode(errors="replace"))
    return next((status for status in statuses if status not in (0, NO_TESTS)), 0)


def _start(number: int, part: Sequence[Path], arguments: Sequence[str], output: IO[bytes] | None) -> subprocess.Popen:
    files = [str(path.relative_to(ROOT)) for path in part]
    environment = os.environ | {SHARE_NAME: f"{number}/{SHARES}", "PYTHONUNBUFFERED": "1"}
    cache = f"cache_dir=.pytest_cache/{number}"
    return subprocess.Popen(
        [sys.executable, "-m", "pytest", "-o", cache, *arguments, *files],
        cwd=ROOT,
        env=environment,
        stdout=output,
        stderr=None if output is None else subprocess.STDOUT,
    )


if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
