"""The scripts that Redis runs, as text."""

import re
from functools import cache
from importlib.resources import files


@cache
def script(name: str) -> str:
    """A script's text; a line of ``--+`` and a name stands for the text of that one."""
    text = files("eventbus.journal.redis").joinpath("scripts", f"{name}.lua").read_text("utf-8")
    return re.sub(r"(?m)^--\+ (\w+)$", lambda found: script(found[1]), text)
