"""How often something may be done, and whose address counts."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Limit:
    """At most `most` times in `seconds` seconds, counted over all processes."""

    name: str
    most: int
    seconds: int

    @property
    def handful(self) -> int:
        """How many a process takes from the common count at once: a hundredth, so that what one
        takes and does not use is little."""
        return max(1, self.most // 100)


def stranger(address: str | None) -> str | None:
    """The name under which a client address is counted; None for one that is not counted.

    An address that is not of the public Internet belongs to a neighbour or to a proxy that nobody
    named in NARU_TRUSTED_PROXIES, and counting it would count everybody behind it together.
    An IPv6 line has 2^64 addresses, so its /64 is what counts.
    """
    try:
        read = ipaddress.ip_address((address or "").partition("%")[0])
    except ValueError:
        return None
    if isinstance(read, ipaddress.IPv6Address) and read.ipv4_mapped is not None:
        read = read.ipv4_mapped
    if not read.is_global:
        return None
    if isinstance(read, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((read, 64), strict=False))
    return str(read)
