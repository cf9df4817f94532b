"""What Redis runs for the buses, as text."""

import re
from importlib.resources import files

import pytest

from eventbus.journal.redis.lua import script

#: Commands that Redis refuses where memory is short, unless their script says that it may run then.
NEEDS_MEMORY = re.compile(r"call\('(?:SET|MSET|INCR|INCRBY|DECRBY|HSET|ZADD|SADD|RPUSH|LPUSH|XADD)'")
#: What takes what is new: events, and a copy of another journal.
TAKES = {"commit", "begin_copy"}
SCRIPTS = sorted(
    found.name.removesuffix(".lua")
    for found in files("eventbus.journal.redis").joinpath("scripts").iterdir()
    if found.is_file()
)


@pytest.mark.parametrize("name", sorted({*SCRIPTS} - TAKES))
def test_a_script_that_takes_nothing_new_may_run_where_memory_is_short(name: str) -> None:
    """Whatever is needed to deliver, settle and remove what was accepted is not refused at Redis's maxmemory."""
    text = script(name)
    assert text.startswith("#!lua flags=allow-oom\n") or not NEEDS_MEMORY.search(text)
