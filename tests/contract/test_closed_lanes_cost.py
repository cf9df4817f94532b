"""What is asked about closed lanes takes as many steps in a SQLite journal however many lanes are open."""

import math
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from eventbus.core.addresses import parse_address
from eventbus.core.model import Options, Subscriber
from eventbus.core.records import Checkpoint
from eventbus.delivery.lane.lane_record import new_record
from eventbus.journal.sqlite.connection import connect
from eventbus.journal.sqlite.queries import SqliteQueries
from eventbus.journal.sqlite.statements import save_checkpoint
from tests.support.lanes import EPOCH

CLOSED, OPEN = 20, 2_000


@pytest.mark.parametrize(
    "ask",
    [
        lambda queries: queries.newest_closed(5, 10),
        lambda queries: queries.closed_lanes(math.inf, 10),
        SqliteQueries.closed_size,
    ],
    ids=["newest_closed", "closed_lanes", "closed_size"],
)
def test_open_lanes_cost_nothing(tmp_path: Path, ask: Callable[[SqliteQueries], object]) -> None:
    """Commits wait behind these reads, which a client makes slow by registering otherwise."""
    db = connect(str(tmp_path / "bus.db"))
    queries, steps = SqliteQueries(db), 0

    def note() -> None:
        nonlocal steps
        steps += 1

    def steps_of_asking() -> int:
        nonlocal steps
        steps = 0
        ask(queries)
        return steps

    def save(first: int, count: int, ended_at: float | None) -> None:
        addresses = [parse_address(f"127.0.0.1:9/{number}") for number in range(first, first + count)]
        records = [new_record(Subscriber(address, Options()), EPOCH, 0) for address in addresses]
        save_checkpoint(db, Checkpoint(EPOCH, 0, lanes=tuple(replace(one, ended_at=ended_at) for one in records)))

    save(0, CLOSED, EPOCH)
    db.set_progress_handler(note, 1)
    alone = steps_of_asking()
    db.set_progress_handler(None, 1)
    save(CLOSED, OPEN, None)
    db.set_progress_handler(note, 1)
    beside_others = steps_of_asking()
    db.close()
    assert 0 < beside_others < 2 * alone
