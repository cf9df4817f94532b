"""The scripts that Redis runs, as text: each begins with ``scripts/shared/prelude.lua``."""

import re
from functools import cache
from importlib.resources import files


@cache
def script(name: str) -> str:
    """Return a script with what it shares: a line of ``--+`` and a name stands for a file in ``scripts/shared``."""
    flags, text = re.match(r"((?:#!.*\n)?)((?s:.*))", _read(f"{name}.lua")).groups()  # type: ignore[union-attr]
    return flags + _shared("prelude") + re.sub(r"(?m)^--\+ (\w+)\n", lambda found: _shared(found[1]), text)


def _shared(name: str) -> str:
    return _read(f"shared/{name}.lua")


def _read(path: str) -> str:
    return files("eventbus.journal.redis").joinpath("scripts", path).read_text("utf-8")
