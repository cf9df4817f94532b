"""Runs a coroutine for the load and the sink: on uvloop, which costs half as much, where it is installed."""

import asyncio
from collections.abc import Coroutine
from typing import Any

try:
    from uvloop import run
except ImportError:

    def run(main: Coroutine[Any, Any, None]) -> None:  # type: ignore[misc]
        """As asyncio runs it."""
        asyncio.run(main)


__all__ = ["run"]
