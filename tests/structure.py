"""The structure of the code, from its imports: units, levels and dependencies, as text or as a diagram.

A unit is a module or a package directly under ``eventbus``. A unit's level is one more than the highest level of the
units that it imports: level 1 imports none.

``python -m tests.structure`` prints the figures; ``python -m tests.structure FILE.svg`` draws them.
"""

import ast
import sys
from collections import defaultdict
from collections.abc import Iterator, Mapping
from html import escape
from pathlib import Path

ROOT = Path(__file__).parents[1]
PACKAGE = "eventbus"

#: Pixels of the drawing: a box, the room around it, and the width of the sheet.
BOX_WIDTH, BOX_HEIGHT, GAP_X, GAP_Y, MARGIN = 150, 40, 24, 46, 24

Dependencies = Mapping[str, frozenset[str]]


def module_of(path: Path) -> str:
    """Return the dotted name of the module in a file."""
    parts = path.relative_to(ROOT).with_suffix("").parts
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imported(source: str) -> Iterator[str]:
    """Yield the modules of the project that a source imports, wherever in it, each as ``module.name``."""
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names if alias.name.partition(".")[0] == PACKAGE)
        elif isinstance(node, ast.ImportFrom) and (node.module or "").partition(".")[0] == PACKAGE:
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def unit_of(module: str, units: frozenset[str]) -> str:
    """Return the unit that a module, or a name in it, belongs to."""
    unit = module.split(".")[1] if "." in module else PACKAGE
    return unit if unit in units else PACKAGE


def dependencies() -> Dependencies:
    """Return which units each unit imports. The root, which holds the version alone, counts for none."""
    files = {module_of(path): path for path in sorted((ROOT / PACKAGE).rglob("*.py"))}
    units = frozenset(module.split(".")[1] for module in files if "." in module)
    found: dict[str, set[str]] = {unit: set() for unit in sorted(units)}
    for module, path in files.items():
        unit = unit_of(module, units)
        if unit in units:
            found[unit] |= {unit_of(target, units) for target in imported(path.read_text("utf-8"))} - {unit, PACKAGE}
    return {unit: frozenset(targets) for unit, targets in found.items()}


def cycle_in(graph: Dependencies) -> list[str]:
    """Return units that import each other in a circle; an empty list where none do."""
    state: dict[str, int] = {}
    trail: list[str] = []

    def visit(unit: str) -> list[str]:
        state[unit] = 1
        trail.append(unit)
        for target in sorted(graph[unit]):
            if state.get(target) == 1:
                return trail[trail.index(target) :]
            if target not in state and (found := visit(target)):
                return found
        trail.pop()
        state[unit] = 2
        return []

    for unit in graph:
        if unit not in state and (found := visit(unit)):
            return found
    return []


def levels(graph: Dependencies) -> dict[str, int]:
    """Return each unit's level. The graph has no cycle."""
    known: dict[str, int] = {}

    def level(unit: str) -> int:
        if unit not in known:
            known[unit] = 1 + max((level(target) for target in graph[unit]), default=0)
        return known[unit]

    return {unit: level(unit) for unit in graph}


def needed(graph: Dependencies) -> dict[str, set[str]]:
    """Return the dependencies that do not follow from others: what a drawing shows."""

    def reach(unit: str) -> set[str]:
        return set().union(*({target} | reach(target) for target in graph[unit])) if graph[unit] else set()

    return {
        unit: {t for t in targets if not any(t in reach(o) for o in targets - {t})} for unit, targets in graph.items()
    }


def drawing(graph: Dependencies) -> str:
    """Draw the units, the highest level on top, with the dependencies that do not follow from others, as SVG."""
    rows: dict[int, list[str]] = defaultdict(list)
    for unit, level in levels(graph).items():
        rows[level].append(unit)
    top, widest = max(rows), max(map(len, rows.values()))
    width = 2 * MARGIN + widest * (BOX_WIDTH + GAP_X) - GAP_X
    height = 2 * MARGIN + top * (BOX_HEIGHT + GAP_Y) - GAP_Y
    corner: dict[str, tuple[float, float]] = {}
    for level, units in rows.items():
        left = (width - len(units) * (BOX_WIDTH + GAP_X) + GAP_X) / 2
        for place, unit in enumerate(sorted(units)):
            corner[unit] = left + place * (BOX_WIDTH + GAP_X), MARGIN + (top - level) * (BOX_HEIGHT + GAP_Y)
    parts = [
        (
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" role="img"'
            ' font-family="system-ui, sans-serif" font-size="14">'
        ),
        (
            "<title>Which unit of eventbus imports which. Arrows lead down; those that follow from others are left out."
            "</title>"
        ),
        (
            '<defs><marker id="tip" viewBox="0 0 8 8" refX="7" refY="4" markerWidth="7" markerHeight="7" orient="auto">'
            '<path d="M0 0L8 4L0 8z" fill="#667"/></marker></defs>'
        ),
        f'<rect width="{width}" height="{height}" fill="#fff"/>',
    ]
    for unit, targets in needed(graph).items():
        x, y = corner[unit]
        for target in sorted(targets):
            to_x, to_y = corner[target]
            parts.append(
                f'<path d="M{x + BOX_WIDTH / 2:g} {y + BOX_HEIGHT:g}L{to_x + BOX_WIDTH / 2:g} {to_y - 2:g}"'
                ' stroke="#667" fill="none" marker-end="url(#tip)"/>'
            )
    for unit, (x, y) in corner.items():
        parts.append(
            f'<rect x="{x:g}" y="{y:g}" width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="6" fill="#eef3fa" stroke="#345"/>'
            f'<text x="{x + BOX_WIDTH / 2:g}" y="{y + BOX_HEIGHT / 2 + 5:g}" text-anchor="middle">{escape(unit)}</text>'
        )
    return "\n".join([*parts, "</svg>", ""])


def report(graph: Dependencies) -> str:
    """Return the figures, and each unit with its level and what it imports."""
    count, level_of = sum(map(len, graph.values())), levels(graph)
    lines = [f"{len(graph)} units on {max(level_of.values())} levels, {count} dependencies"]
    lines += [
        f"{level_of[unit]:>2}  {unit:<16} {', '.join(sorted(graph[unit])) or '-'}"
        for unit in sorted(graph, key=lambda unit: (-level_of[unit], unit))
    ]
    return "\n".join(lines)


def main(arguments: list[str]) -> None:
    """Print the figures, or write the drawing to a file."""
    graph = dependencies()
    if circle := cycle_in(graph):
        sys.exit(f"these import each other: {' > '.join([*circle, circle[0]])}")
    if arguments:
        Path(arguments[0]).write_text(drawing(graph), "utf-8")
    sys.stdout.write(f"{report(graph)}\n")


if __name__ == "__main__":
    main(sys.argv[1:])
