"""The least that Flask under gunicorn does: a view that is empty. What a publish costs is measured beside it."""

from gevent import monkey

monkey.patch_all()

from flask import Flask  # noqa: E402 - nothing may be imported before the patch

app = Flask(__name__)


@app.post("/sendMessage")
def empty() -> str:
    """Take nothing in, keep nothing."""
    return "success"


@app.get("/readyz")
def ready() -> str:
    """Say that it runs."""
    return "ready"
