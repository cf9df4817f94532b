import pytest

from bench.__main__ import PACED, format_figure, median_of, paced, table
from bench.chart import chart
from bench.run import Scenario
from bench.sink import PRECISION, Tally, bucket_of
from eventbus.delivery.transport.batch_request import element_of
from tests.support.events import event


def test_each_figure_is_the_median_of_the_rounds() -> None:
    """A figure is the median of all rounds, for itself; a text stays."""
    rounds = [{"scenario": "a", "x": x, "y": y, "lost": ""} for x, y in ((1.0, 9), (3.0, 8), (2.0, 7))]
    assert median_of(rounds) == {"scenario": "a", "x": 2.0, "y": 8, "lost": ""}


@pytest.mark.parametrize(("value", "text"), [(1234.5, "1,234"), (12.345, "12.3"), (0, "0"), ("", "")])
def test_figures_are_shown_as_people_read_them(value: object, text: str) -> None:
    """Three digits count; what is not known is left empty."""
    assert format_figure(value) == text


def test_the_table_is_markdown() -> None:
    """A line of names, a line of dashes, a line for each row."""
    assert table([{"scenario": "a", "x": 1}]) == "| scenario | x |\n| --- | ---: |\n| a | 1 |"


def test_latencies_are_measured_at_half_of_what_could_be_taken() -> None:
    """The fixed rate is half of the top rate, in full tens, with and without subscribers that are of no use."""
    assert [(each.rate, each.slow, each.dead) for each in paced(2_051, 4)] == [(1_020, 0, 0), (1_020, 1, 1)]
    assert Scenario(10) == PACED


@pytest.mark.parametrize("ms", [0.001, 0.5, 1.0, 3.3, 50.0, 20_000.0])
def test_a_latency_is_counted_to_a_twentieth(ms: float) -> None:
    """The bucket's bound is the latency or up to a twentieth more; what is below a millisecond shares one."""
    bound = PRECISION ** bucket_of(ms)
    assert ms <= bound <= max(1.0, ms * PRECISION * 1.0001)


def test_the_sink_counts_what_is_repeated() -> None:
    """An event that comes twice to a subscriber is two requests and one event."""
    tally = Tally()
    for subscriber, number in ((0, 1), (0, 1), (1, 1)):
        tally.take(subscriber, b"%016x%016x" % (number, 0), timed=True)
    assert (tally.stats()["events"], tally.stats()["distinct"]) == (3, 2)


def test_the_sink_counts_each_event_of_a_batch() -> None:
    """A request with several events counts as so many, whatever their bodies are."""
    tally = Tally()
    bodies = [b"%016x%016x" % (number, 0) + filling for number, filling in ((1, b"x" * 40), (2, b"x"), (3, b""))]
    elements = [element_of(event(number, body=body)).text for number, body in enumerate(bodies, 1)]
    tally.take(0, b"[%s]" % b",".join(elements), timed=True)
    assert (tally.stats()["events"], tally.seen[0]) == (3, {1, 2, 3})


def test_a_chart_escapes_what_it_shows() -> None:
    """A name is text, whatever it holds."""
    assert "<b>" not in chart("a", [("<b>", 1.0)])
