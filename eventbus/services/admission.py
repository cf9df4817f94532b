"""Who may register: subscribers for which there is room, at addresses that may be delivered to."""

from collections.abc import Collection

import gevent

from eventbus.core.addresses import Address
from eventbus.core.credentials import Kinds
from eventbus.core.errors import BadAddress, TooMany
from eventbus.core.model import Options, Subscriber, Terms
from eventbus.core.registration_rate import REGISTRATIONS_PER_SECOND, RegistrationRate
from eventbus.core.settings import Settings
from eventbus.delivery.dispatcher import Dispatcher
from eventbus.delivery.transport import Transport


class Admission:
    """Admits new subscribers, or raises why not."""

    def __init__(self, settings: Settings, dispatcher: Dispatcher, transport: Transport) -> None:
        self._settings = settings
        self._dispatcher = dispatcher
        self._transport = transport
        self._new = RegistrationRate(settings.max_subscribers_per_host)

    def subscriber(self, address: Address, terms: Terms, credentials: Kinds = ()) -> Subscriber:
        """Return a new subscriber; options that it does not give have the settings' defaults."""
        options = terms.applied(Options(lease=self._settings.lease_seconds))
        return Subscriber(address, options, credentials, declared=terms.declared)

    def admit(self, address: Address) -> frozenset[str]:
        """Check a new address, which may take seconds; return the IPs it resolves to. Raises BadAddress and TooMany."""
        self.check_room(address)
        reason, ips = self._transport.check_address(address)
        if reason is not None:
            raise BadAddress(reason)
        self.check_room(address, ips)
        return ips

    def count_restored(self, address: Address) -> None:
        """Have a subscriber that a former process admitted counted at what its name resolves to; wait for nothing."""
        if self._dispatcher.registry.hosts.begin_resolving(address.key):
            gevent.spawn(self._resolve, address)

    def _resolve(self, address: Address) -> None:
        self._dispatcher.registry.hosts.resolve(address.key, self._transport.check_address(address).ips)

    def check_rate(self, address: Address) -> None:
        """Count an address of which the journal has no record yet. Raises TooMany."""
        if not self._new.take(address.host, self._dispatcher.clock.monotonic()):
            raise TooMany(
                f"Too many new addresses on {address.host}: at most {self._settings.max_subscribers_per_host} at once"
                f" (EVENTBUS_MAX_SUBSCRIBERS_PER_HOST), and {REGISTRATIONS_PER_SECOND:g} a second after that."
            )

    def check_room(self, address: Address, ips: Collection[str] = ()) -> None:
        """Raise TooMany where there is no room for one more subscriber that resolves to these IP addresses."""
        hosts, settings = self._dispatcher.registry.hosts, self._settings
        count = self._dispatcher.registry.occupied
        if count >= settings.max_subscribers:
            raise TooMany(f"There are {count} subscribers; no more are let in (EVENTBUS_MAX_SUBSCRIBERS).")
        for host in (address.host, *ips):
            if hosts[host] >= settings.max_subscribers_per_host:
                led = "" if host == address.host else f", to which {address.host} leads"
                raise TooMany(
                    f"There are {hosts[host]} subscribers on {host}{led}; no more are let in there"
                    " (EVENTBUS_MAX_SUBSCRIBERS_PER_HOST)."
                )
