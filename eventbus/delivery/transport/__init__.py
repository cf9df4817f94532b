"""Sends events to subscribers: resolve the name, connect, send the request, read the response."""

from eventbus.delivery.transport.base import Route, Transport
from eventbus.delivery.transport.dialer import Dialer
from eventbus.delivery.transport.limits import TransportTiming
from eventbus.delivery.transport.session import SessionTransport

__all__ = ["Dialer", "Route", "SessionTransport", "Transport", "TransportTiming"]
