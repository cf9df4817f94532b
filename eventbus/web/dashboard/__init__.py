"""The dashboard: pages rendered on the server, each also available as JSON."""

from eventbus.web.dashboard.pages import blueprint

__all__ = ["blueprint"]
