"""The page about the HTTP interface: all of the document, and nothing from elsewhere."""

import re
from html.parser import HTMLParser

import pytest

from eventbus.web.openapi.document import document
from eventbus.web.routes.reference import HEADERS
from tests.support.caller import Caller

DOCUMENT = document()
OPERATIONS = [
    (part, path, method, operation)
    for part in ("paths", "webhooks")
    for path, methods in DOCUMENT[part].items()
    for method, operation in methods.items()
]
#: Attributes by which a page loads something, and elements that have no end.
LOADING = {"src", "srcset", "data", "action", "poster", "background", "formaction"}
VOID = {"meta", "link", "br", "img", "input", "hr"}


class Page(HTMLParser):
    """What a page holds: its elements, the links within it, what it loads, and the text of each article."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.ids: list[str] = []
        self.links: list[str] = []
        self.loads: list[str] = []
        self.attributes: set[str] = set()
        self.articles: dict[str, str] = {}
        self.text = ""
        self._article = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Note an element."""
        found = {name: value or "" for name, value in attrs}
        self.tags.append(tag)
        self.attributes |= found.keys()
        self.ids += [found["id"]] if "id" in found else []
        self.loads += [value for name, value in found.items() if name in LOADING]
        if "href" in found:
            (self.loads if tag == "link" else self.links).append(found["href"])
        if tag == "article":
            self._article = found["id"]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        """Check that it ends what began last."""
        assert self.open.pop() == tag
        if tag == "article":
            self._article = ""

    def handle_data(self, data: str) -> None:
        """Keep the text."""
        self.text += data
        if self._article:
            self.articles[self._article] = self.articles.get(self._article, "") + data


@pytest.fixture
def page(caller: Caller) -> Page:
    """The page, read."""
    answer = caller.call("GET", "/docs")
    assert (answer.status, answer.header("Content-Type")) == (200, "text/html; charset=utf-8")
    return Page(answer.text)


@pytest.mark.parametrize(("part", "path", "method", "operation"), OPERATIONS, ids=lambda value: str(value)[:24])
def test_each_operation_is_on_the_page(
    page: Page, part: str, path: str, method: str, operation: dict[str, object]
) -> None:
    """An operation stands under its name with method, path, summary, every parameter and every answer."""
    article = page.articles[str(operation["operationId"])]
    assert method.upper() in article
    assert (path if part == "paths" else "<address>/event") in article
    assert str(operation["summary"]) in article
    for parameter in operation.get("parameters", ()):  # type: ignore[attr-defined]
        assert parameter["name"] in article
    statuses = set(re.findall(r"\b(?:\dXX|\d{3}|default)\b", article))
    everywhere = {"400", "408", "414", "417", "431", "500"} if part == "paths" else set()
    assert operation["responses"].keys() - everywhere <= statuses  # type: ignore[attr-defined]


def test_each_shape_is_on_the_page(page: Page) -> None:
    """A shape stands under its name with all of its properties."""
    for name, schema in DOCUMENT["components"]["schemas"].items():
        for key in schema.get("properties", ()):
            assert key in page.articles[name]


def test_what_any_request_may_get_is_on_the_page(page: Page) -> None:
    """The responses that are described once for all are there."""
    for response in DOCUMENT["components"]["responses"].values():
        assert response["description"].replace("`", "") in page.text


def test_the_page_is_sound(page: Page) -> None:
    """Every element ends, no name is given twice, and every link within the page leads somewhere."""
    assert page.open == []
    assert len(set(page.ids)) == len(page.ids)
    inside = {link[1:] for link in page.links if link.startswith("#")}
    assert inside <= set(page.ids)
    assert {link for link in page.links if not link.startswith("#")} == {"openapi.json"}


def test_the_page_loads_its_style_sheet_and_nothing_else(caller: Caller, page: Page) -> None:
    """No script, no style within it, nothing from another host: one style sheet, that itself loads nothing."""
    assert sorted(page.loads) == ["data:,", "static/reference.css"]
    assert not {"script", "style", "iframe", "object", "form", "base"} & set(page.tags)
    assert not {name for name in page.attributes if name == "style" or name.startswith("on")}
    sheet = caller.call("GET", "/static/reference.css")
    assert (sheet.status, sheet.header("Content-Type")) == (200, "text/css; charset=utf-8")
    assert not re.search(r"url\(|@import|https?:", sheet.text)


def test_the_page_may_load_nothing_else(caller: Caller) -> None:
    """The policy for browsers lets in the bus's own style sheets, and nobody may frame the page."""
    answer = caller.call("GET", "/docs")
    policy = answer.header("Content-Security-Policy") or ""
    rules = dict(rule.strip().split(" ", 1) for rule in policy.split(";"))
    assert rules.pop("style-src") == "'self'"
    assert rules.pop("img-src") == "'self' data:"
    assert rules == dict.fromkeys(("default-src", "base-uri", "form-action", "frame-ancestors"), "'none'")
    assert answer.header("X-Content-Type-Options") == "nosniff"
    assert policy == HEADERS["Content-Security-Policy"]


def test_light_and_dark_are_the_readers_choice(caller: Caller, page: Page) -> None:
    """The style sheet has both, and the page fits the width of a phone."""
    html, sheet = (caller.call("GET", path).text for path in ("/docs", "/static/reference.css"))
    assert "@media (prefers-color-scheme: dark)" in sheet
    assert 'content="width=device-width, initial-scale=1"' in html
    assert page.tags.count("h1") == 1


def test_head_of_the_page_has_no_body(caller: Caller) -> None:
    """``HEAD`` has the same length, and sends nothing."""
    full, head = (caller.call(method, "/docs") for method in ("GET", "HEAD"))
    assert (head.status, head.body) == (200, b"")
    assert head.header("Content-Length") == str(len(full.body))
