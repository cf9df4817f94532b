"""The pages of the documentation do what they say."""

import os
import re
import shutil
import sys
from pathlib import Path

import pytest

from tests.support.nginx import find_nginx
from tests.support.page import blocks_of, checked, steps_of
from tests.support.reader import Reader, tools_of_the_tests
from tests.support.server import ROOT
from tests.support.terminal import Terminal

DOCS = ROOT / "docs"
PAGES = {path.relative_to(DOCS).as_posix(): path for path in sorted(DOCS.rglob("*.md"))}
LINKING = [*PAGES.values(), ROOT / "README.md", ROOT / "CONTRIBUTING.md", ROOT / "SECURITY.md"]
#: What pages that are read in a clone use of it.
CLONE = {
    "how-to/behind-nginx.md": ["deploy/nginx.conf"],
    "how-to/heroku.md": ["Procfile", "gunicorn.conf.py", "wsgi.py"],
}
#: What is installed from a clone.
PACKAGE = ("eventbus", "pyproject.toml", "README.md", "LICENSE")
#: Seconds that one command of an installation may take.
INSTALL_SECONDS = 300.0


def does_something(path: Path) -> bool:
    """Whether a page has commands or programs."""
    return any(block.language in ("console", "python") for block in blocks_of(path.read_text("utf-8")))


@pytest.mark.parametrize("page", [name for name, path in PAGES.items() if does_something(path)])
def test_the_page_does_what_it_says(page: str, tmp_path: Path) -> None:
    """Done from top to bottom, each command prints what the page shows, and each value is what comes out."""
    if "nginx" in page and (os.geteuid() != 0 or find_nginx() is None):
        pytest.skip("needs nginx, and to be root")
    folder = tmp_path / "folder"
    folder.mkdir()
    with Reader(PAGES[page], folder, tools_of_the_tests(tmp_path / "bin")) as reader:
        reader.bring(*CLONE.get(page, []))
        reader.read()


@pytest.mark.soak
def test_the_tutorial_needs_only_what_it_installs(tmp_path: Path) -> None:
    """From a clone and a clean environment two services exchange events, the bus is killed, and nothing is amiss."""
    clone, folder = tmp_path / "eventbus", tmp_path / "tutorial"
    clone.mkdir()
    for name in PACKAGE:
        copy = shutil.copytree if (ROOT / name).is_dir() else shutil.copy2
        copy(ROOT / name, clone / name)
    ours = str(Path(sys.prefix) / "bin")
    others = [part for part in os.environ["PATH"].split(os.pathsep) if part != ours]
    path = os.pathsep.join([str(folder / ".venv/bin"), str(Path(sys.base_prefix) / "bin"), *others])
    with Reader(PAGES["tutorial.md"], folder, {"PATH": path}) as reader:
        with Terminal(tmp_path, {**os.environ, "PATH": path}) as terminal:
            reader.install(terminal, INSTALL_SECONDS)
        reader.read()


def anchors_of(path: Path) -> set[str]:
    """The anchors that GitHub gives to a page's headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text("utf-8"), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("path", LINKING, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(path: Path) -> None:
    """Files that a page links to are there, and so are the headings in them."""
    for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text("utf-8")):
        if "://" in target:
            continue
        name, _, anchor = target.partition("#")
        page = (path.parent / name).resolve() if name else path
        assert page.exists(), target
        assert not anchor or anchor in anchors_of(page), target


def test_whoever_learns_or_does_has_something_to_do() -> None:
    """The tutorial, the client's reference and each how-to page have examples, and the checks find them."""
    doing = {name for name, path in PAGES.items() if does_something(path)}
    assert {"tutorial.md", "client.md"} | {name for name in PAGES if name.startswith("how-to/")} <= doing
    shown = [block for name in doing for block in blocks_of(PAGES[name].read_text("utf-8"))]
    assert sum(len(steps_of(block)) for block in shown if block.language == "console") > 50
    assert sum(checked(block.text).count("assert _is") for block in shown if block.language == "python") > 25


def test_the_index_has_every_page() -> None:
    """Each page can be found from the first one."""
    linked = set(re.findall(r"\]\(([^)#\s]+)", PAGES["README.md"].read_text("utf-8")))
    assert set(PAGES) - {"README.md"} <= linked


#: Where commands are shown.
SHOWN = [
    *LINKING,
    *sorted((ROOT / "examples").rglob("*.*")),
    *sorted((ROOT / "eventbus/web").rglob("*.html")),
    *sorted((ROOT / "eventbus/web/openapi").glob("*.py")),
    *sorted((ROOT / "eventbus/cli").rglob("*.py")),
]


@pytest.mark.parametrize("path", SHOWN, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_a_command_that_publishes_says_what_it_sends(path: Path) -> None:
    """Without a type curl says that it sends a form, which a subscriber that takes JSON refuses."""
    text = path.read_text("utf-8").replace("\\\n", " ")
    found = [line for line in text.splitlines() if re.search(r"curl.*(/sendMessage|url/\$)", line)]
    assert all(re.search(r"Content-Type: |--json|batch=|\.\.\.", line) for line in found), found
