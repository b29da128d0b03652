"""A merchant and what its own staff allowed; the buyer's browser decides none of it."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from urllib.parse import urlsplit

# Native WebView SDKs put this address into m_redirect_url and stop the navigation to it (sdk.md §7).
APP_RETURN_HOST = "detectchangingwebview"
LOOPBACK = "loopback"
NULL_ORIGIN = "null"
_TIER_CODE = re.compile(r"[A-Z0-9]{3}")
# An origin stands in headers (frame-ancestors), where a comma or a semicolon begins something else.
_HOST = re.compile(r"[a-z0-9._-]+|\[[0-9a-f:.]+\]")


@dataclass(frozen=True, slots=True)
class Merchant:
    """Who sells. `allowed_*` hold exact origins, or the words `loopback` and `null`."""

    id: int
    user_code: str
    name: str
    live: bool = False
    allow_test_channels: bool = True
    allowed_origins: tuple[str, ...] = ()
    allowed_return_origins: tuple[str, ...] = ()
    allowed_webhook_origins: tuple[str, ...] = ()
    allowed_app_schemes: tuple[str, ...] = ()
    webhook_url: str | None = None
    webhook_format: str = "json"  # json | form
    webhook_mode: str = "ladder"  # ladder | v1 | once (webhooks/retry.py)
    webhook_secret: str | None = field(default=None, repr=False)
    confirm_url: str | None = None


@dataclass(frozen=True, slots=True)
class Tier:
    """A merchant (하위 상점) that an agency's token may act for. `code` is three of `[A-Z0-9]`."""

    merchant_id: int
    code: str
    name: str


def is_tier_code(text: str) -> bool:
    """Could a tier have this code?"""
    return _TIER_CODE.fullmatch(text) is not None


def origin_of(url: str) -> str | None:
    """`https://host[:port]` of an http(s) address, as a browser writes it; None for anything else.

    Refused are credentials, backslashes, blanks, control characters and hosts of anything but the
    letters of names (a browser says others in punycode): two readers could disagree about them.
    """
    if re.search(r"[\x00-\x20\x7f\\]", url):
        return None
    try:
        parts = urlsplit(url)
        port = parts.port
        host = parts.hostname or ""
        if ":" in host:
            host = f"[{ipaddress.IPv6Address(host).compressed}]"
    except ValueError:
        return None
    if parts.scheme not in ("http", "https") or not host or "@" in parts.netloc:
        return None
    if not _HOST.fullmatch(host) or port == 0:
        return None
    default = {"http": 80, "https": 443}[parts.scheme]
    return f"{parts.scheme}://{host}" + ("" if port in (None, default) else f":{port}")


def is_loopback(origin: str) -> bool:
    """True for localhost, *.localhost and loopback addresses."""
    host = urlsplit(origin).hostname or ""
    if host == "localhost" or host.endswith(".localhost"):
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def allows(allowed: tuple[str, ...], origin: str | None) -> bool:
    """Is this origin on the merchant's list? Lists may be written with default ports or in capitals."""
    if origin == NULL_ORIGIN:
        return NULL_ORIGIN in allowed
    read = None if origin is None else origin_of(origin)
    if read is None:
        return False
    if any(read == origin_of(each) for each in allowed):
        return True
    return LOOPBACK in allowed and is_loopback(read)


def allows_page(merchant: Merchant, origin: str | None) -> bool:
    """May a page of this origin open a payment? (the browser's own Origin header, not the page's word)"""
    return allows(merchant.allowed_origins, origin)


def allows_return(merchant: Merchant, url: str) -> bool:
    """May the buyer be sent to this m_redirect_url?"""
    origin = origin_of(url)
    if origin is not None and (urlsplit(url).hostname or "") == APP_RETURN_HOST:
        return True
    return allows(merchant.allowed_return_origins, origin)


def allows_webhook(merchant: Merchant, url: str) -> bool:
    """May the browser name this notice_url or confirm_url?"""
    return allows(merchant.allowed_webhook_origins, origin_of(url))
