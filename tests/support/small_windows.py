"""Lanes whose memory holds a few deliveries, so that a short history already fills it."""

import pytest

from eventbus.delivery import reader
from eventbus.delivery.lane import ranges, retries


def shrink_windows(monkeypatch: pytest.MonkeyPatch, window: int, low_water: int) -> None:
    """Let a lane hold ``window`` events, read on below ``low_water``, and keep three retries in memory."""
    for module in (ranges, reader):
        monkeypatch.setattr(module, "WINDOW", window)
        monkeypatch.setattr(module, "LOW_WATER", low_water)
    monkeypatch.setattr(reader, "PAGE_EVENTS", 3)
    monkeypatch.setattr(retries, "IN_MEMORY", 3)
    monkeypatch.setattr(reader, "DEFERRED_ROWS", 12)
