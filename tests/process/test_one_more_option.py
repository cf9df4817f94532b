"""One more subscription option of each kind: everything that derives from the table has it."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.one_more_option import VALUES

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def more() -> dict[str, Any]:
    """What the product does when the table has one more option of each kind."""
    command = [sys.executable, "-m", "tests.support.one_more_option"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=60)
    assert done.returncode == 0, done.stderr
    return dict(json.loads(done.stdout))


def subset(found: dict[str, Any]) -> dict[str, Any]:
    """The new options among others."""
    return {name: found[name] for name in VALUES}


def test_the_query_sets_a_new_option_and_json_shows_it(more: dict[str, Any]) -> None:
    """A registration that gives the options is answered with them."""
    assert subset(more["registered"]) == VALUES


def test_a_renewal_keeps_a_new_option(more: dict[str, Any]) -> None:
    """A renewal changes the option that it gives, and no other."""
    assert subset(more["renewed"]) == {**VALUES, "mode": "push"}


def test_a_wrong_value_of_a_new_option_is_refused(more: dict[str, Any]) -> None:
    """The error names the parameter, what is allowed, and the value."""
    assert more["refused"] == [
        "team must be a word of letters, not 'X'.",
        "retry_seconds must be a number from 1 to 86400, not '0.5'.",
        "share must be a number from 0.5 to 1000, not '1001'.",
        "batch_size must be a whole number from 1 to 500, not '1.5'.",
        "mode must be push or pull, not 'both'.",
        "metadata_only must be true or false, not 'yes'.",
        "label must be labels, not 'A'.",
    ]


def test_the_journal_keeps_a_new_option(more: dict[str, Any]) -> None:
    """It is in the record under its record's name, is read back, and has its default where an old record lacks it."""
    assert more["record"]["batch"] == 10
    assert subset(more["read"]) == VALUES
    assert subset(more["older"]) == {
        "team": "", "retry_seconds": 600, "share": 100, "batch_size": 1, "mode": "push", "metadata_only": False,
        "labels": [],
    }  # fmt: skip


def test_the_client_sends_and_reads_a_new_option(more: dict[str, Any]) -> None:
    """Terms take it, the query has it, and the subscriber that comes back has it."""
    assert set(more["query"]) == {
        "team=sales", "retry_seconds=2.5", "share=0.5", "batch_size=10", "mode=pull", "metadata_only=True",
        "label=a=b", "label=c=d",
    }  # fmt: skip
    assert subset(more["subscriber"]) == VALUES


def test_the_command_line_takes_a_new_option(more: dict[str, Any]) -> None:
    """``eventbus register`` has a flag for it, and so has whatever else registers; a fake bus knows it, too."""
    assert subset(more["typed"]) == VALUES
    assert subset(more["fake"]) == VALUES


def test_openapi_describes_a_new_option(more: dict[str, Any]) -> None:
    """It is a parameter of registering, and a property of a subscriber, with its range and its help text."""
    parameters = {one["name"]: one for one in more["parameters"]}
    assert parameters["team"]["description"] == "Name a team. It is `x`. Default: none."
    assert parameters["batch_size"]["schema"] == {"type": "integer", "minimum": 1, "maximum": 500}
    assert parameters["mode"]["schema"] == {"type": "string", "enum": ["push", "pull"]}
    assert parameters["metadata_only"]["schema"] == {"type": "string", "enum": ["true", "false"]}
    assert parameters["label"]["schema"]["items"]["pattern"] == "^(?:|[a-z=]+)$"
    assert more["properties"]["metadata_only"] == {"type": "boolean", "description": "Send no bodies."}
    assert more["properties"]["labels"]["maxItems"] == 64
    assert more["properties"].keys() >= VALUES.keys()


def test_the_dashboard_displays_a_new_option(more: dict[str, Any]) -> None:
    """The subscriber's page has its label and its value."""
    assert "<dt>Retry seconds</dt><dd>2.5 s</dd>" in more["dashboard"]
    assert "<dt>Metadata only</dt><dd>yes</dd>" in more["dashboard"]
    assert "<dt>Labels</dt><dd>a=b, c=d</dd>" in more["dashboard"]


def test_the_table_of_the_protocol_has_a_new_option(more: dict[str, Any]) -> None:
    """A row names the parameter, its meaning, its values and its default."""
    assert "| `batch_size` | Events in one delivery. | a whole number from 1 to 500 | 1 |\n" in more["docs"]
