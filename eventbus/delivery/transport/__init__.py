"""The only door to the subscribers."""

from eventbus.delivery.transport.base import Route, Transport
from eventbus.delivery.transport.dialer import Dialer
from eventbus.delivery.transport.session import SessionTransport

__all__ = ["Dialer", "Route", "SessionTransport", "Transport"]
