"""Limits of the study server: how much, how often and how slowly participants may ask.

They stop one careless or hostile client from filling the memory, the disk, or all connections. They do not stop an
attack from many addresses: that is the task of a proxy.

Rates are token buckets: a client may make ``burst`` requests at once and ``rate`` a second from then on.
"""

import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass, field
from ipaddress import IPv6Address, ip_address


@dataclass(frozen=True, kw_only=True)
class Rate:
    """How often something may happen: ``burst`` times at once, then ``rate`` times a second."""

    rate: float
    burst: int


@dataclass(frozen=True, kw_only=True)
class Limits:
    """What the server accepts. A page of a question with its pictures is some ten requests.

    Attributes:
        header_bytes: of the first line and all headers of a request.
        headers: lines of headers of a request.
        form_bytes: of the body of a form; other requests have no body.
        patience: seconds from the connection, or the last response, until the next request's headers are complete; and
            from then until its body is; and until a client takes more of a response.
        connections: open at once.
        connections_of_one: from one address, unless it is a proxy's.
        of_address: requests from one address.
        of_participant: requests with one participant's cookie.
        starts: new participants from one address.
        participants: of one study; withdrawn ones do not count.
    """

    header_bytes: int = 16 * 1024
    headers: int = 100
    form_bytes: int = 1024
    patience: float = 20
    connections: int = 512
    connections_of_one: int = 256
    of_address: Rate = field(default_factory=lambda: Rate(rate=200, burst=4000))
    of_participant: Rate = field(default_factory=lambda: Rate(rate=20, burst=200))
    starts: Rate = field(default_factory=lambda: Rate(rate=1, burst=200))
    participants: int = 10_000


class Buckets:
    """The rates of many clients by name. Those that asked longest ago are forgotten first, so memory is bounded.

    Args:
        limit: of every client.
        most: clients that are remembered.
        clock: seconds.
    """

    def __init__(self, limit: Rate, most: int = 10_000, clock: Callable[[], float] = time.monotonic) -> None:
        self.limit, self.most, self.clock = limit, most, clock
        self._left: OrderedDict[str, tuple[float, float]] = OrderedDict()

    def wait(self, name: str) -> float:
        """Counts a request, and returns 0; or the seconds after which it would be allowed, and does not count it."""
        now = self.clock()
        left, since = self._left.pop(name, (float(self.limit.burst), now))
        left = min(self.limit.burst, left + (now - since) * self.limit.rate)
        allowed = left >= 1
        self._left[name] = (left - 1 if allowed else left, now)
        if len(self._left) > self.most:
            self._left.popitem(last=False)
        return 0.0 if allowed else (1 - left) / self.limit.rate


def network(address: str) -> str:
    """What counts as one address: an IPv4 address, or the 64 bits of an IPv6 address that one customer has."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return address
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped is not None:
            return str(parsed.ipv4_mapped)
        return str(IPv6Address(int(parsed) >> 64 << 64))
    return str(parsed)
