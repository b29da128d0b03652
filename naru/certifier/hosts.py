"""Whom the certifier may attack: this machine; with `--real`, hosts that the adapter lists by name.

A tool that robs shops must not be turned on strangers, by nobody's slip and by nobody's redirect. So an
address is read in one spelling only, and the origin that comes of it is put together anew: what was not
looked at is not sent to.
"""

from __future__ import annotations

import ipaddress
import re
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit

# As a browser, urllib3 and a resolver all read it: no other dots, no escapes, no zone of an interface.
_NAME = re.compile(r"[0-9a-z_]([0-9a-z_-]*[0-9a-z_])?(\.[0-9a-z_]([0-9a-z_-]*[0-9a-z_])?)*")


class NotAllowed(Exception):
    """This shop may not be attacked; the text says why, and what to do."""


def allowed_origin(url: str, *, real: bool, listed: Iterable[str]) -> str:
    """The origin that everything will be sent to. Raises NotAllowed before anything is sent.

    Nothing but the name `localhost` is looked up for that.
    """
    try:
        parts = urlsplit(url if "//" in url else f"http://{url}")
        host, port = (parts.hostname or "").removesuffix("."), parts.port
    except ValueError:  # brackets that are not closed, a port beyond 65535
        raise _no_address(url) from None
    address = _address(host)
    shown = f"[{address.compressed}]" if address is not None and address.version == 6 else host
    if (
        parts.scheme not in ("http", "https")
        or (address is None and not _NAME.fullmatch(host))
        or "@" in parts.netloc
        or port == 0
        or not url.isascii()
        or not url.isprintable()
    ):
        raise _no_address(url)
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise NotAllowed("The address is the shop's origin alone: paths are the adapter's.")
    if not _is_loopback(host, address):
        if not real:
            raise NotAllowed(
                f"{host} is not this machine. The certifier attacks; a test host of your own is "
                "listed in the adapter ([hosts] allowed) and named with --real."
            )
        if host not in {each.removesuffix(".").lower() for each in listed}:
            raise NotAllowed(
                f"{host} is not listed in the adapter: [hosts] allowed names each test host in full."
            )
    return f"{parts.scheme}://{shown}" + (f":{port}" if port is not None else "")


def _no_address(url: str) -> NotAllowed:
    return NotAllowed(f"{url!r} is no address such as http://127.0.0.1:8000.")


def _address(host: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        address = ipaddress.ip_address(host)
    except ValueError:
        return None
    # An interface's zone is no part of an origin.
    return None if getattr(address, "scope_id", None) else address


def _is_loopback(host: str, address: ipaddress.IPv4Address | ipaddress.IPv6Address | None) -> bool:
    """Does this name mean this machine, and nothing else?"""
    if address is not None:
        return address.is_loopback
    if host != "localhost":
        # Any other name may mean somebody else by the next request.
        return False
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return all(ipaddress.ip_address(str(each[4][0])).is_loopback for each in found)
