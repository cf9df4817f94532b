"""The dashboard: pages rendered on the server, each with the same as JSON."""

from eventbus.web.dashboard.pages import blueprint

__all__ = ["blueprint"]
