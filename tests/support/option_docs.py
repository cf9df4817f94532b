"""The table of options in ``docs/protocol.md``. ``python -m tests.support.option_docs`` writes it again."""

import re
from collections.abc import Iterable
from pathlib import Path

from eventbus.core.options import Option, registration_options

PROTOCOL = Path(__file__).parents[2] / "docs/protocol.md"
HEAD = "| parameter | meaning | values | default |\n| --- | --- | --- | --- |\n"


def options_table(options: Iterable[Option]) -> str:
    """Return the table in Markdown, a row for each option."""
    rows = (f"| `{one.parameter}` | {one.help} | {one.kind.allowed} | {one.default_text} |\n" for one in options)
    return HEAD + "".join(rows)


if __name__ == "__main__":
    table = re.compile(re.escape(HEAD) + r"(\|.*\n)*")
    PROTOCOL.write_text(
        table.sub(lambda _: options_table(registration_options()), PROTOCOL.read_text("utf-8")), "utf-8"
    )
