"""Console transcripts in Markdown: commands, and what they print."""

import re
from dataclasses import dataclass
from pathlib import Path

_BLOCK = re.compile(r"^```console\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_TIME = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ")


@dataclass(frozen=True)
class Step:
    """One command and the output that the page shows, with times blotted out."""

    command: str
    output: str


def steps_of(page: Path) -> list[Step]:
    """All commands of a page's console blocks, in their order."""
    steps: list[Step] = []
    for block in _BLOCK.findall(page.read_text("utf-8")):
        for part in re.split(r"^\$ ", block, flags=re.MULTILINE)[1:]:
            command, _, output = part.partition("\n")
            steps.append(Step(command, without_times(output)))
    return steps


def without_times(text: str) -> str:
    """The text with each time replaced, and no newline at its end."""
    return _TIME.sub("TIME", text).rstrip("\n")
