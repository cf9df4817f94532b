"""``/openapi.json`` and ``/docs``: the HTTP interface, for programs and for people."""

from functools import cache
from pathlib import Path

from flask import Blueprint, Response, render_template, request, send_from_directory

from eventbus.web.access import needs
from eventbus.web.openapi.document import SERVER, document
from eventbus.web.openapi.html_text import inline, paragraphs, value_type
from eventbus.web.openapi.page import view_of
from eventbus.web.proxy_prefix import prefix_of
from eventbus.web.replies import Reply, as_json

HTML = "text/html; charset=utf-8"
#: Nothing is loaded but the page's own style sheet, nothing runs, and nobody may frame it.
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; style-src 'self'; img-src 'self' data:; base-uri 'none'; form-action 'none'; "
        "frame-ancestors 'none'"
    ),
    "X-Content-Type-Options": "nosniff",
}
STATIC = Path(__file__).with_name("static")

blueprint = Blueprint("reference", __name__, template_folder="templates")


@blueprint.get("/openapi.json")
@needs()
def openapi() -> Reply:
    """Return the document."""
    prefix = prefix_of(request.environ)
    return as_json({**document(), "servers": [{**SERVER, "url": prefix}]} if prefix else document())


@blueprint.get("/docs")
@needs()
def docs() -> Reply:
    """Return the document as a page."""
    return Reply(_page(), 200, HTML, dict(HEADERS))


@blueprint.get("/static/<path:name>")
@needs()
def static_file(name: str) -> Response:
    """Return the page's style sheet."""
    response = send_from_directory(STATIC, name)
    response.headers["X-Content-Type-Options"] = "nosniff"
    return response


@cache
def _page() -> bytes:
    """Render the page, once: the document does not change while the process runs."""
    functions = {"value_type": value_type, "inline": inline, "paragraphs": paragraphs}
    return render_template("reference.html", **view_of(document()), **functions).encode()
