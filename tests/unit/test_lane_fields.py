"""A lane's fields have one writer: the lane. Read from the source; nothing is imported."""

import ast
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
LANE = ROOT / "eventbus" / "delivery" / "lane"
#: What belongs to the dispatcher, though a lane carries it.
DISPATCHERS = "queue_entry"


def path_of(target: ast.expr) -> list[str]:
    """Return the names of ``a.b.c``; nothing for what is not an attribute of a name."""
    names: list[str] = []
    while isinstance(target, ast.Attribute):
        names.insert(0, target.attr)
        target = target.value
    return [target.id, *names] if isinstance(target, ast.Name) and names else []


def targets(tree: ast.AST) -> Iterator[tuple[int, ast.expr]]:
    """Return what is assigned, with the line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            assigned: list[ast.expr] = list(node.targets)
        elif isinstance(node, ast.AugAssign | ast.AnnAssign):
            assigned = [node.target]
        else:
            continue
        for target in assigned:
            for each in target.elts if isinstance(target, ast.Tuple | ast.List) else [target]:
                yield node.lineno, each


def test_no_other_module_writes_the_fields_of_a_lane() -> None:
    """Others call the lane's methods; the dispatcher alone writes its own entry."""
    written = [
        f"{file.relative_to(ROOT)}:{line}: {'.'.join(path)}"
        for file in sorted((ROOT / "eventbus").rglob("*.py"))
        if LANE not in file.parents
        for line, target in targets(ast.parse(file.read_text("utf-8")))
        if (path := path_of(target))[:1] == ["lane"] and (path[1] != DISPATCHERS or file.name != "run_queue.py")
    ]
    assert written == []
