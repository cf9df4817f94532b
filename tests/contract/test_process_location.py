"""A node that ran on this machine is known to have ended as soon as it has."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from eventbus.journal.redis.cluster.process_location import has_ended, this_process

pytestmark = pytest.mark.skipif(not Path("/proc/self/ns/pid").exists(), reason="there is no /proc here")


def test_a_process_that_runs_is_not_taken_for_one_that_has_ended() -> None:
    """This process runs."""
    assert this_process()
    assert not has_ended(this_process())


def test_a_process_that_has_ended_is_known() -> None:
    """A process that was here and has ended is known to have, while it is a zombie too."""
    boot, space, _, _ = this_process().split(" ")
    child = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    began = Path(f"/proc/{child.pid}/stat").read_text().rpartition(")")[2].split()[19]
    place = f"{boot} {space} {child.pid} {began}"
    assert not has_ended(place)
    child.kill()
    os.waitid(os.P_PID, child.pid, os.WEXITED | os.WNOWAIT)
    assert has_ended(place)
    child.communicate()
    assert has_ended(place)


def test_a_number_that_was_given_again_is_another_process() -> None:
    """A process with the same number that began at another time is another one."""
    boot, space, pid, began = this_process().split(" ")
    assert has_ended(f"{boot} {space} {pid} {int(began) + 1}")


@pytest.mark.parametrize("change", ["other-boot", "other-space", ""])
def test_of_a_process_elsewhere_nothing_is_known(change: str) -> None:
    """A process on another machine, or in another container, may run for all that is known here."""
    boot, space, _, _ = this_process().split(" ")
    place = {"other-boot": f"x {space} 1 1", "other-space": f"{boot} pid:[1] 1 1", "": ""}[change]
    assert not has_ended(place)
