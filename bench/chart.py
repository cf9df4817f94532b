"""Draws what ``make bench`` saved, as SVG.

python -m bench.chart [RESULTS] [FOLDER]
"""

import json
import sys
from pathlib import Path
from typing import Any
from xml.sax.saxutils import escape

#: Pixels.
WIDTH, ROW, LEFT, RIGHT = 800, 26, 300, 90
CHARTS = {
    "deliveries/s": "Deliveries a second",
    "cpu us/delivery": "Processor microseconds for one delivery, publishing included",
}


def chart(title: str, bars: list[tuple[str, float]]) -> str:
    """A bar for each name, on one scale; readable on light and dark pages."""
    most = max((value for _, value in bars), default=1.0) or 1.0
    height = 40 + ROW * len(bars)
    view = f'viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(title)}"'
    parts = [
        f'<svg xmlns="http://www.w3.org/2000/svg" {view} font-family="sans-serif" font-size="13">',
        "<style>text{fill:#24292f}@media(prefers-color-scheme:dark){text{fill:#e6edf3}}</style>",
        f'<text x="0" y="18" font-weight="bold">{escape(title)}</text>',
    ]
    for number, (name, value) in enumerate(bars):
        top, length = 32 + number * ROW, (WIDTH - LEFT - RIGHT) * value / most
        parts += [
            f'<text x="{LEFT - 8}" y="{top + 15}" text-anchor="end">{escape(name)}</text>',
            f'<rect x="{LEFT}" y="{top}" width="{length:.1f}" height="{ROW - 6}" fill="#2f81f7"/>',
            f'<text x="{LEFT + length + 6:.1f}" y="{top + 15}">{value:,.0f}</text>',
        ]
    return "\n".join([*parts, "</svg>", ""])


def main(results: str = "bench/results.json", folder: str = "docs") -> None:
    """Write one file for each figure."""
    rows: list[dict[str, Any]] = json.loads(Path(results).read_text())
    for figure, title in CHARTS.items():
        bars = [(row["scenario"], row[figure]) for row in rows if row[figure]]
        name = figure.replace("/", "-a-").replace(" ", "-")
        Path(folder, f"performance-{name}.svg").write_text(chart(title, bars))


if __name__ == "__main__":
    main(*sys.argv[1:])
