"""Bodies inside JSON, a large one in steps."""

import json

import pytest

from eventbus.web.body_text import STEP_CHARACTERS, body_json, body_payload


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'say "yes"\n\\',
        "x\U0001f600é".encode() * STEP_CHARACTERS,
        b"\xff\x00" * STEP_CHARACTERS,
        b"x" * STEP_CHARACTERS,
    ],
)
def test_steps_make_the_same_json(body: bytes) -> None:
    """Whatever the characters are and wherever a step ends, it is the JSON that would be made in one go."""
    steps: list[None] = []
    made = body_json(body, lambda: steps.append(None))
    assert made == json.dumps(body_payload(body), separators=(",", ":")).encode()
    text = next(iter(body_payload(body).values()))
    assert len(steps) == max(0, -(-len(text) // STEP_CHARACTERS) - 1)
