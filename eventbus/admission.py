"""Who may register: whom there is room for, and who stands where something may be sent to."""

from eventbus.addresses import Address
from eventbus.delivery.dispatcher import Dispatcher
from eventbus.delivery.transport import Transport
from eventbus.errors import BadAddress, TooMany
from eventbus.model import Options, Subscriber, Terms
from eventbus.settings import Settings


class Admission:
    """Lets new subscribers in, or says why not."""

    def __init__(self, settings: Settings, dispatcher: Dispatcher, transport: Transport) -> None:
        self._settings = settings
        self._dispatcher = dispatcher
        self._transport = transport

    def subscriber(self, address: Address, terms: Terms) -> Subscriber:
        """A new subscriber: what it does not say is as the settings have it."""
        return Subscriber(address, terms.applied(Options(lease_seconds=self._settings.lease_seconds)))

    def admit(self, address: Address) -> None:
        """Look at a new address, which may take a moment. Raises BadAddress and TooMany."""
        self.check_room(address)
        reason = self._transport.refusal(address)
        if reason is not None:
            raise BadAddress(reason)

    def check_room(self, address: Address) -> None:
        """Whether one more may be there. Raises TooMany."""
        hosts, settings = self._dispatcher.hosts, self._settings
        count = len(self._dispatcher.lanes) + len(self._dispatcher.coming)
        if count >= settings.max_subscribers:
            raise TooMany(f"There are {count} subscribers; no more are let in (EVENTBUS_MAX_SUBSCRIBERS).")
        if hosts[address.host] >= settings.max_subscribers_per_host:
            raise TooMany(
                f"There are {hosts[address.host]} subscribers on {address.host}; no more are let in there"
                " (EVENTBUS_MAX_SUBSCRIBERS_PER_HOST)."
            )
