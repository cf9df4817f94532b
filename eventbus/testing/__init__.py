"""For the tests of services that use the bus: a bus that only records, deliveries without one, and a live server.

``pytest_plugins = ["eventbus.testing.plugin"]`` in a conftest.py adds the fixtures.
"""

from eventbus.testing.batches import deliver_many
from eventbus.testing.deliveries import deliver, signed_headers
from eventbus.testing.fake import FakeBus
from eventbus.testing.server import LiveServer

__all__ = ["FakeBus", "LiveServer", "deliver", "deliver_many", "signed_headers"]
