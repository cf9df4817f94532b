"""The ``eventbus`` command: what people type, over ``eventbus.client``."""

from eventbus.cli.program import main

__all__ = ["main"]
