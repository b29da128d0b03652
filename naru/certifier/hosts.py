"""Whom the certifier may attack: this machine; with `--real`, hosts that the adapter lists by name.

A tool that robs shops must not be turned on strangers, by nobody's slip and by nobody's redirect.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Iterable
from urllib.parse import urlsplit


class NotAllowed(Exception):
    """This shop may not be attacked; the text says why, and what to do."""


def allowed_origin(url: str, *, real: bool, listed: Iterable[str]) -> str:
    """The origin that everything will be sent to. Raises NotAllowed before anything is sent."""
    parts = urlsplit(url if "//" in url else f"http://{url}")
    host = (parts.hostname or "").rstrip(".").lower()
    try:
        port = parts.port
    except ValueError:
        port, host = None, ""
    if parts.scheme not in ("http", "https") or not host or parts.username is not None:
        raise NotAllowed(f"{url!r} is no address such as http://127.0.0.1:8000.")
    if parts.path.strip("/") or parts.query or parts.fragment:
        raise NotAllowed("The address is the shop's origin alone: paths are the adapter's.")
    if not _is_loopback(host):
        if not real:
            raise NotAllowed(
                f"{host} is not this machine. The certifier attacks; a test host of your own is "
                "listed in the adapter ([hosts] allowed) and named with --real."
            )
        if host not in {each.rstrip(".").lower() for each in listed}:
            raise NotAllowed(
                f"{host} is not listed in the adapter: [hosts] allowed names each test host in full."
            )
    shown = f"[{host}]" if ":" in host else host
    return f"{parts.scheme}://{shown}" + (f":{port}" if port is not None else "")


def _is_loopback(host: str) -> bool:
    """Does this name mean this machine, and nothing else?"""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        pass
    if host != "localhost":
        # Any other name may mean somebody else by the next request.
        return False
    try:
        found = socket.getaddrinfo(host, None)
    except OSError:
        return False
    return all(ipaddress.ip_address(str(each[4][0])).is_loopback for each in found)
