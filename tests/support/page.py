"""A page of documentation, taken apart into what its reader does: files, programs, and commands with what they print.

| block | what it is |
| --- | --- |
| `console` | commands after `$ `, which may go on after a backslash, and what each prints |
| `console stays` | the same in a terminal of its own, where the last command goes on running |
| `console install` | what a reader does once, before everything else |
| `python` | a program; `# =>` shows what the expression before it is. Blocks that follow each other are one program |
| `python` or `toml` that begins with `# NAME` | a file of that name |
"""

import re
from dataclasses import dataclass
from itertools import takewhile

_BLOCK = re.compile(r"^```(\w+) ?(\w*)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
_NAME = re.compile(r"# (\S+\.\w+)\n")
#: An expression and what it is.
_SHOWN = re.compile(r"^( *)(\S.*)  # => (.*)$", re.MULTILINE)
#: What differs each time: RFC 3339 times, events' ids, ages, and how long pytest took.
_DIFFERS = {
    re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d+)?(?:Z|\+00:00)"): "TIME",
    re.compile(r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b"): "ID",
    re.compile(r"\b\d+ (?:s|min)\b"): "AGE",
    re.compile(r"\bin [0-9.]+s\b"): "in SECONDS",
}
#: What stands between two columns.
_GAP = re.compile(r" {2,}")


@dataclass(frozen=True, slots=True)
class Block:
    """One fenced block: its language, what is said behind it, and its text."""

    language: str
    note: str
    text: str

    @property
    def file(self) -> str | None:
        """The name of the file that it is, if it is one."""
        found = _NAME.match(self.text) if self.language in ("python", "toml") else None
        return found[1] if found else None


@dataclass(frozen=True, slots=True)
class Step:
    """One command, and the output that the page shows."""

    command: str
    output: str


def blocks_of(text: str) -> list[Block]:
    """The blocks of a page, in their order; programs that follow each other are one."""
    blocks: list[Block] = []
    for block in (Block(*found) for found in _BLOCK.findall(text)):
        if blocks and _is_program(block) and _is_program(blocks[-1]):
            block = Block("python", "", blocks.pop().text + "\n" + block.text)  # noqa: PLW2901 - it grows
        blocks.append(block)
    return blocks


def _is_program(block: Block) -> bool:
    return block.language == "python" and block.file is None


def steps_of(block: Block) -> list[Step]:
    """The commands of a console block."""
    return [_step(part) for part in re.split(r"^\$ ", block.text, flags=re.MULTILINE)[1:]]


def _step(part: str) -> Step:
    lines = part.splitlines()
    more = len(list(takewhile(lambda line: line.endswith("\\"), lines)))
    return Step("\n".join(lines[: more + 1]), "\n".join(lines[more + 1 :]))


def checked(program: str) -> str:
    """The program, failing where an expression is not what the page says."""
    return _SHOWN.sub(r"\1_is = \2\n\1assert _is == \3, repr(_is)", program)


def blotted(text: str) -> str:
    """The text without what differs each time, the width of a table's columns among it."""
    for pattern, name in _DIFFERS.items():
        text = pattern.sub(name, text)
    return "\n".join(_GAP.sub("  ", line).strip() for line in text.strip().splitlines())
