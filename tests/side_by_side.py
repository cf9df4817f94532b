"""Runs the tests in shares, side by side: most of them wait for a server, and need little processor time.

``python tests/side_by_side.py ARGUMENTS`` gives every share pytest's ARGUMENTS and a part of the test files. The output
of the first share is printed at once, that of the others when they have ended.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO

ROOT = Path(__file__).parents[1]
SHARES = 4
#: pytest's exit status if no test was selected.
NO_TESTS = 5
#: The environment variable with the number of a share: "0/4".
SHARE_NAME = "TESTS_SHARE"
#: About how many seconds the slowest files take, by ``pytest --durations=0``, and each of the others in their folder.
SLOW_FILES = {
    "process/test_node_groups": 45, "process/test_example_groups": 25, "process/test_request_corpus": 20,
    "browser/test_groups": 18, "process/test_ordered_by_key": 14, "contract/test_group_machine": 15,
    "process/test_hostile_subscribers": 70, "contract/test_transport": 55, "process/test_redis_faults": 50,
    "process/test_expired": 45, "process/test_drain": 45, "process/test_attacks": 40, "process/test_disk_drill": 40,
    "process/test_strain": 35, "process/test_bench": 30, "process/test_docs": 55, "process/test_cli_commands": 27,
    "process/test_account": 26, "process/test_many_dead_hosts": 22, "process/test_dead_letters_mending": 21,
    "process/test_client_frameworks": 20, "process/test_client_hosts": 20, "process/test_examples": 19,
    "process/test_deploy": 16, "process/test_dead_letters": 16, "process/test_binds": 16,
    "process/test_client_inbox": 15, "contract/test_tls": 15, "process/test_sudden_silence": 14,
    "process/test_cli_terminal": 14, "process/test_dashboard_many": 14, "contract/test_early_responses": 14,
    "process/test_failing_events": 13, "process/test_feed": 13, "process/test_delivery_outcomes": 13,
    "process/test_crash": 13, "process/test_faults": 11, "web/test_forwarding": 11, "process/test_client_bus": 10,
    "process/test_changed_heads": 10, "process/test_audit": 10, "process/test_backlog": 9,
    "process/test_nodes": 44, "process/test_resume": 42, "process/test_retention": 30, "process/test_redis": 25,
    "process/test_strain_time": 23, "contract/test_redis_masters": 20, "process/test_openapi": 19,
    "contract/test_account_machine": 30, "contract/test_acknowledged": 18, "process/test_redis_memory": 18,
    "contract/test_shared_groups_machine": 17, "contract/test_torn_journal": 17, "process/test_held_bytes": 15,
    "browser/test_nodes": 15, "browser/test_login": 15, "browser/test_event_source": 15, "browser/test_live": 14,
    "process/test_tls_clients": 13, "process/test_ordered": 12, "process/test_redis_failover": 12,
}  # fmt: skip
OTHER_FILES = {"unit": 0.5, "web": 2, "contract": 3, "process": 5, "browser": 8}


def seconds(file: Path) -> float:
    """Return about how long a test file takes."""
    return SLOW_FILES.get(f"{file.parent.name}/{file.stem}", OTHER_FILES.get(file.parent.name, 1))


def deal(files: Sequence[Path], shares: int) -> list[list[Path]]:
    """Deal the files out, the slowest first, each to the share that has least to do."""
    dealt: list[list[Path]] = [[] for _ in range(shares)]
    for file in sorted(files, key=lambda file: (-seconds(file), file)):
        min(dealt, key=lambda part: sum(map(seconds, part))).append(file)
    return [sorted(part) for part in dealt]


def run(arguments: Sequence[str]) -> int:
    """Run all shares; return the first exit status of a failure, else 0."""
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
