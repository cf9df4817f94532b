"""What gunicorn loads where it is started here: patch first, then the app that the package holds."""

from gevent import monkey

monkey.patch_all()

from eventbus.wsgi import app  # noqa: E402 - nothing may be imported before the patch

__all__ = ["app"]
