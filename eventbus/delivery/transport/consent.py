"""Asks a subscriber whether it consents to deliveries, as CloudEvents' web hooks do before the first one.

https://github.com/cloudevents/spec/blob/v1.0.2/cloudevents/http-webhook.md#4-abuse-protection
"""

import re
from collections.abc import Mapping

import gevent
import requests
from requests.adapters import BaseAdapter

from eventbus import __version__
from eventbus.core.model import Subscriber
from eventbus.delivery.lane.outcome import Consent

ANY_ORIGIN = "*"
_RATE = re.compile(r"[1-9][0-9]{0,8}\Z")


def request_consent(adapter: BaseAdapter, subscriber: Subscriber, origin: str, authorization: str = "") -> Consent:
    """Ask once, within the subscriber's timeout; never raise for what a subscriber does.

    The specification leaves ``Authorization`` open here. It is sent, since what stands before a subscriber may want it
    for any method; and it is for this address anyway.
    """
    address, timeout = subscriber.address, subscriber.options.timeout
    headers = {"Host": address.authority, "User-Agent": f"eventbus/{__version__}", "WebHook-Request-Origin": origin}
    if authorization:
        headers["Authorization"] = authorization
    request = requests.Request("OPTIONS", address.url, headers).prepare()
    request.url = address.url  # as it is: escapes are changed when a request is prepared
    with gevent.Timeout(timeout) as deadline:
        try:
            response = adapter.send(request, stream=True, timeout=timeout)
            response.close()
        except gevent.Timeout as timer:
            if timer is not deadline:
                raise
            return Consent(given=False, error="timed out when it was asked for its consent")
        except (OSError, ValueError) as error:
            return Consent(given=False, error=f"could not be asked for its consent: {error}")
    return parse_consent(response.status_code, response.headers, origin)


def parse_consent(status: int, headers: Mapping[str, str], origin: str) -> Consent:
    """Return the consent in a response: a 2xx status and the origin (in upper or lower case) or ``*`` as allowed."""
    if not 200 <= status < 300:
        return Consent(given=False, error=f"answered {status} when it was asked for its consent")
    allowed = headers.get("WebHook-Allowed-Origin", "").strip()
    if allowed.lower() not in (ANY_ORIGIN, origin.lower()):
        allows = f"allows {allowed[:100]!r}" if allowed else "allows nobody"
        return Consent(given=False, error=f"{allows} and not the origin {origin}")
    rate = headers.get("WebHook-Allowed-Rate", ANY_ORIGIN).strip()
    if rate == ANY_ORIGIN:
        return Consent(given=True)
    if not _RATE.match(rate):
        return Consent(given=False, error=f"allows a rate that is no number: {rate[:100]!r}")
    return Consent(given=True, per_minute=int(rate))
