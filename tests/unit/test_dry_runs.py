"""What a dry run tells of the last day's events: how many match, the newest of them, and whether it looked at all."""

import json

import pytest

from eventbus.core.errors import TooMany
from eventbus.core.model import Options
from eventbus.services import dry_runs
from eventbus.services.dry_runs import MAX_AT_ONCE, SPAN_SECONDS, PastEvents
from tests.support.memory_node import MemoryNode


class Scene(MemoryNode):
    """A node whose journal has events, accepted a second after each other."""

    def __init__(self, count: int, topic: str = "a") -> None:
        super().__init__()
        for number in range(count):
            self.journal.publish(topic, body=json.dumps({"n": number}).encode())
        self.dispatcher.recent.start(count)
        self.past = PastEvents(self.node)
        self.now = float(count)

    def found(self, **options: object) -> tuple[int, int, bool, list[str]]:
        """Events looked at, how many match, whether all were looked at, and the newest that match."""
        result = self.past.matching(Options(**options))
        return result.events, result.count, result.complete, [one.id for one in result.newest]


def test_events_are_counted_by_topics_and_filter() -> None:
    """Without a filter the topics count alone; of those that match the newest three are named, the newest first."""
    scene = Scene(2_500)
    assert scene.found() == (2_500, 2_500, True, ["id-2500", "id-2499", "id-2498"])
    assert scene.found(topics=("b",)) == (2_500, 0, True, [])
    low = '{"number":{"data.n":{"<":10}}}'
    assert scene.found(topics=("a",), filter=low) == (2_500, 10, True, ["id-10", "id-9", "id-8"])
    two = '{"any":[{"exact":{"data.n":2400}},{"exact":{"data.n":7}}]}'
    assert scene.found(filter=two) == (2_500, 2, True, ["id-2401", "id-8"])


def test_only_the_last_day_counts() -> None:
    """What is older is not looked at."""
    scene = Scene(10)
    scene.now = SPAN_SECONDS + 6.0
    assert scene.found() == (5, 5, True, ["id-10", "id-9", "id-8"])


def test_a_journal_without_events_matches_nothing() -> None:
    """Nothing was looked at, and that is all there is."""
    assert Scene(0).found(filter='{"exists":{"data.n":true}}') == (0, 0, True, [])


def test_it_ends_where_it_has_read_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    """After so many bytes it says that it is not complete; without a filter no body is read."""
    monkeypatch.setattr(dry_runs, "MAX_BYTES", 100)
    scene = Scene(2_500)
    events, count, complete, newest = scene.found(filter='{"exists":{"data.n":true}}')
    assert (count, complete, len(newest)) == (events, False, 3)
    assert 0 < events < 50
    assert scene.found()[:3] == (2_500, 2_500, True)


def test_it_ends_in_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """Without time nothing is looked at, and it says so."""
    monkeypatch.setattr(dry_runs, "MAX_SECONDS", 0.0)
    assert Scene(10).found() == (0, 0, False, [])


def test_there_are_few_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """While as many are under way as there may be, another one is refused; the next one is not."""
    scene = Scene(1)

    def again(moment: float) -> int:
        depth.append(moment)
        if len(depth) < MAX_AT_ONCE:
            scene.found()
        else:
            with pytest.raises(TooMany, match="4 dry runs are under way"):
                scene.found()
        return 0

    depth: list[float] = []
    monkeypatch.setattr(scene.journal, "position_at", again)
    scene.found()
    assert len(depth) == MAX_AT_ONCE
