"""What gunicorn loads if it is started here: patch first, then import the application from the package."""

from gevent import monkey

monkey.patch_all()

from eventbus.wsgi import app  # noqa: E402 - nothing may be imported before the patch

__all__ = ["app"]
