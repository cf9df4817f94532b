"""Filters for measurements, and how one is evaluated by itself: NAME EVENTS (see bench.instructions).

None of them matches a body of the measurements, which is JSON.
"""

import json
import sys
from typing import Any

from bench.counter import count_instructions
from bench.sink import JSON_START
from eventbus.core.event_view import EventView
from eventbus.core.filters import parse_filter
from eventbus.core.model import Event

SIZE = 1_024
#: Begins with a number and a time, as the sink wants it.
JSON_BODY = JSON_START + b"0" * (SIZE - 9) + b'"}'


def _text(expression: Any) -> str:
    return json.dumps(expression, separators=(",", ":"))


#: By name: of the topic; of one value in the body; of nearly 4 KiB for one value in it, and for 95.
FILTERS = {
    "topic": _text({"exact": {"topic": "none"}}),
    "small": _text({"suffix": {"data.of": f"{1:032}"}}),
    "4 KiB": _text({"any": [{"suffix": {"data.of": f"{number:032}"}} for number in range(1, 70)]}),
    "4 KiB, 95 values": _text({"any": [{"suffix": {f"data.{number:02}": f"{number:013}"}} for number in range(95)]}),
}
WARM_UP = 16


def main(name: str, count: int) -> None:
    """Have counted what it takes to evaluate a filter for ``count`` events, each seen for the first time."""
    found = parse_filter(FILTERS[name])
    if found is None:
        raise ValueError(f"{name} is no filter")
    events = [Event(number, str(number), None, b"", JSON_BODY, 0.0, "") for number in range(WARM_UP + count)]
    for number, event in enumerate(events):
        if number == WARM_UP:
            count_instructions(on=True)
        if found.matches(EventView(event)):
            raise ValueError(f"{name} matches")
    count_instructions(on=False)


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]))
