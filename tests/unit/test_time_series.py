"""The rules of the time series: rates since the sample before, and who has started or stopped failing."""

import pytest

from eventbus.services.time_series import MAX_SAMPLES, TimeSeries
from tests.support.lanes import BUSY, EPOCH, TAKEN, attempt
from tests.support.memory_node import A, B, MemoryNode


class Scene(MemoryNode):
    """A node of which samples are taken."""

    def __init__(self) -> None:
        super().__init__()
        self.series = TimeSeries(self.dispatcher, self.counters)

    def sample_at(self, now: float) -> None:
        """Take a sample at a moment."""
        self.now = now
        self.series.take()


def test_a_sample_has_rates_since_the_one_before() -> None:
    """Counts are divided by the seconds between two samples, however long those were."""
    scene = Scene()
    scene.sample_at(1.0)
    scene.counters.accepted_events += 10
    scene.counters.attempts["failed"] += 4
    for _ in range(6):
        scene.counters.arrival.observe(0.05)
    scene.sample_at(3.0)
    sample = scene.series.kept[-1]
    assert (sample.events, sample.deliveries, sample.failures) == (5.0, 3.0, 2.0)
    assert 0.025 < sample.arrival_p50 <= 0.05
    scene.sample_at(4.0)
    assert (scene.series.kept[-1].events, scene.series.kept[-1].arrival_p99) == (0.0, 0.0)


def test_a_sample_has_the_backlog_and_the_age_of_its_oldest_event() -> None:
    """Of all lanes together."""
    scene = Scene()
    scene.lane(A)
    scene.publish(None, None)
    scene.lane(B)
    scene.publish(None)
    scene.sample_at(11.0)
    sample = scene.series.kept[-1]
    assert (sample.at, sample.pending, sample.oldest) == (EPOCH + 11.0, 4, 10.0)


def test_each_subscriber_has_a_delivery_rate() -> None:
    """It is that of the last interval; who is not known has none."""
    scene = Scene()
    lane = scene.lane(A)
    scene.publish(None, None, None, None)
    scene.sample_at(1.0)
    for _ in range(4):
        attempt(lane, TAKEN, 1.0)
    scene.sample_at(3.0)
    assert (scene.series.rate(A), scene.series.rate(B)) == (2.0, 0.0)
    scene.sample_at(4.0)
    assert scene.series.rate(A) == 0.0


def test_samples_are_bounded() -> None:
    """The oldest go."""
    scene = Scene()
    for second in range(MAX_SAMPLES + 5):
        scene.sample_at(float(second))
    assert len(scene.series.kept) == MAX_SAMPLES
    assert scene.series.kept[0].at == EPOCH + 5


def test_a_subscriber_that_fails_is_logged_once(caplog: pytest.LogCaptureFixture) -> None:
    """One line when it starts to fail, and a note in its lane."""
    scene = Scene()
    lane = scene.lane(A, max_in_flight=1)
    scene.publish(*[None] * 40)
    now = 0.0
    for _ in range(30):
        now += 120.0
        lane.renew(scene.node.leases.renew(lane.subscriber, now, EPOCH + now), 40, now)
        attempt(lane, BUSY, now)
    scene.sample_at(now)
    scene.sample_at(now + 1)
    assert [record.message for record in caplog.records if "is failing" in record.message] == [
        f"subscriber {A} is failing: {lane.last_error}"
    ]
    assert any("is failing" in note for _, note in lane.notes)
