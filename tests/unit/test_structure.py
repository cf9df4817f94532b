"""The figures that tests/structure.py gives of the code, and the drawing in the documentation."""

import ast
from pathlib import Path

import pytest

from tests.structure import ROOT, cycle_in, dependencies, drawing, levels, needed, report

DIAMOND = {
    "web": frozenset({"bus", "core"}),
    "bus": frozenset({"journal", "core"}),
    "journal": frozenset({"core"}),
    "core": frozenset[str](),
}
#: Units directly under ``eventbus``, at most: a reader takes them in at one look.
MAX_UNITS = 20
#: Lines of a file and of a function, at most.
MAX_FILE_LINES, MAX_FUNCTION_LINES = 250, 40


def test_a_level_is_one_more_than_the_highest_that_is_imported() -> None:
    """What imports nothing has level 1."""
    assert levels(DIAMOND) == {"core": 1, "journal": 2, "bus": 3, "web": 4}


def test_a_circle_of_imports_is_found() -> None:
    """Units that import each other are named in their order."""
    circle = {**DIAMOND, "core": frozenset({"bus"})}
    assert sorted(cycle_in(circle)) == ["bus", "core", "journal"] or sorted(cycle_in(circle)) == ["bus", "core"]
    assert cycle_in(DIAMOND) == []


def test_the_drawing_leaves_out_what_follows() -> None:
    """A dependency that another one brings is not drawn."""
    assert needed(DIAMOND) == {"web": {"bus"}, "bus": {"journal"}, "journal": {"core"}, "core": set()}
    assert drawing(DIAMOND).count("marker-end") == 3


def test_the_report_counts_all() -> None:
    """The first line has units, levels and all dependencies, those that follow from others included."""
    assert report(DIAMOND).splitlines()[0] == "4 units on 4 levels, 5 dependencies"


def test_units_are_few_and_none_import_each_other() -> None:
    """The top folder of the package holds entry points and packages, without a circle."""
    graph = dependencies()
    assert cycle_in(graph) == []
    assert len(graph) <= MAX_UNITS


def test_the_drawing_in_the_documentation_is_of_this_code() -> None:
    """``make diagram`` has been run since the last dependency came or went."""
    graph = dependencies()
    if cycle_in(graph):
        pytest.fail("units import each other")
    assert (ROOT / "docs" / "structure.svg").read_text("utf-8") == drawing(graph)


@pytest.mark.parametrize(
    "path", sorted((ROOT / "eventbus").rglob("*.py")), ids=lambda path: str(path.relative_to(ROOT))
)
def test_files_and_functions_are_as_short_as_the_rules_say(path: Path) -> None:
    """A file has at most 250 lines, a function 40, as CONTRIBUTING.md states."""
    source = path.read_text("utf-8")
    assert source.count("\n") <= MAX_FILE_LINES
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            assert (node.end_lineno or 0) - node.lineno < MAX_FUNCTION_LINES, node.name
