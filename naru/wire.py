"""The line out: the one place where this house speaks HTTP to others.

A request ends in one of three ways, and which one is told truthfully, because money hangs on it:

- an `Answer`: the other side said something, whatever its status;
- `NotSent`: no connection stood, so not one byte of the request left us (name not found, refused,
  TLS not agreed, forbidden address, no free connection in time);
- `NoAnswer`: a connection stood, so the request may have arrived; nobody here knows what became of it.

Addresses that strangers name (webhooks, confirm_url) go through a wire that refuses private and
special networks at the moment of connecting, after the name was resolved: a name that changes its
mind between a check and the connection gains nothing.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import logging
import re
import socket
import time
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from types import SimpleNamespace, TracebackType
from typing import Any

import aiohttp
import yarl
from aiohttp.abc import AbstractResolver, ResolveResult

from naru.domain.errors import NoAnswer, NotSent

log = logging.getLogger("naru.wire")

BODY_BYTES_MAX = 64 * 1024
URL_CHARACTERS_MAX = 2048
CONNECTIONS_MAX = 800
CONNECTIONS_PER_HOST_MAX = 64
# Shorter than the idle time of common servers (uvicorn 5 s), so that a request rarely meets a
# connection which the other side is closing: for a POST that would be a NoAnswer.
KEEPALIVE_SECONDS = 3.0


@dataclass(frozen=True, slots=True)
class Timeouts:
    """Seconds. `connect` is name, socket and TLS; `read` is one silence; `total` is everything.

    `total` is what stops an answer that drips one byte at a time.
    """

    connect: float = 10.0
    read: float = 30.0
    total: float = 40.0


@dataclass(frozen=True, slots=True)
class Answer:
    """What the other side said. `whole` is False when the body was cut at the limit."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    whole: bool = True


class AddressRefused(OSError):
    """The final address lies in a network that this wire does not call."""


# --- where a wire may go -------------------------------------------------------------------------

_V4_DENIED = tuple(
    ipaddress.IPv4Network(network)
    for network in (
        "0.0.0.0/8",  # "this network"; Linux connects 0.0.0.0 to itself
        "10.0.0.0/8",  # private (RFC 1918)
        "100.64.0.0/10",  # carrier-grade NAT (RFC 6598)
        "127.0.0.0/8",  # loopback
        "168.63.129.16/32",  # Azure's host agent, a public address that is always local
        "169.254.0.0/16",  # link-local, and the clouds' metadata services
        "172.16.0.0/12",  # private
        "192.0.0.0/24",  # IETF protocol assignments
        "192.0.2.0/24",  # documentation
        "192.31.196.0/24",  # AS112
        "192.52.193.0/24",  # AMT
        "192.88.99.0/24",  # 6to4 relays, deprecated
        "192.168.0.0/16",  # private
        "192.175.48.0/24",  # AS112
        "198.18.0.0/15",  # benchmarking
        "198.51.100.0/24",  # documentation
        "203.0.113.0/24",  # documentation
        "224.0.0.0/4",  # multicast
        "240.0.0.0/4",  # reserved, and broadcast
    )
)
# IPv6 is the other way round: only global unicast is open, less what is special inside it.
_V6_GLOBAL = ipaddress.IPv6Network("2000::/3")
_V6_DENIED = tuple(
    ipaddress.IPv6Network(network)
    for network in (
        "2001::/23",  # IETF protocol assignments; Teredo, ORCHID, benchmarking
        "2001:db8::/32",  # documentation
        "2002::/16",  # 6to4: an IPv4 address in disguise
        "2620:4f:8000::/48",  # AS112
        "3fff::/20",  # documentation
    )
)
# An IPv4 address in a coat: judged by what is inside.
_V4_COATS = (
    ipaddress.IPv6Network("::ffff:0:0/96"),  # IPv4-mapped
    ipaddress.IPv6Network("64:ff9b::/96"),  # NAT64, how an IPv6-only machine reaches IPv4
)


def is_public_address(text: str) -> bool:
    """May a stranger make us connect to this address? Anything that is no IP address: no.

    An own table, because `ipaddress.is_global` calls several special networks global and differs
    between Python versions (RELIABILITY §0).
    """
    try:
        address = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return False
    if isinstance(address, ipaddress.IPv6Address):
        if any(address in coat for coat in _V4_COATS):
            address = ipaddress.IPv4Address(int(address) & 0xFFFFFFFF)
        else:
            return address in _V6_GLOBAL and not any(address in net for net in _V6_DENIED)
    return not any(address in network for network in _V4_DENIED)


# Scheme, host, port and nothing else before the path: no credentials, no percent signs, no
# backslashes, no letters beyond ASCII. Two parsers cannot disagree about such a text.
_URL = re.compile(
    r"(?P<scheme>https?)://"
    r"(?P<host>\[[0-9A-Fa-f:.]{2,45}\]|[A-Za-z0-9._-]{1,253})"
    r"(?::(?P<port>[0-9]{1,5}))?"
    r"(?P<rest>[/?#].*)?",
    re.ASCII,
)
_UNPRINTABLE = re.compile(r"[\x00-\x20\x7f-\x9f\u2028\u2029\ud800-\udfff\\]")
_NUMBER = re.compile(r"[0-9]+|0[xX][0-9A-Fa-f]*")


def read_url(url: str, ports: Collection[int] | None = None) -> yarl.URL:
    """Read an http(s) address strictly. `ports` None allows all.

    Raises NotSent with the reason; the address itself is not in the sentence, for its query may be secret.
    """
    if len(url) > URL_CHARACTERS_MAX:
        raise NotSent("the address is too long")
    if _UNPRINTABLE.search(url):
        raise NotSent("the address holds characters that an address cannot hold")
    match = _URL.fullmatch(url)
    if match is None:
        raise NotSent("the address is not a plain http(s) address")
    host = match["host"].lower().strip("[]")
    _check_host(host, bracketed=match["host"].startswith("["))
    default_port = 443 if match["scheme"] == "https" else 80
    port = int(match["port"]) if match["port"] else default_port
    if not 0 < port < 65536 or (ports is not None and port not in ports):
        raise NotSent(f"port {port} is not called")
    try:
        parsed = yarl.URL(url)
    except ValueError:
        raise NotSent("the address is not a plain http(s) address") from None
    # The library shortens an IPv6 address: 0:0::1 becomes ::1, which is the same place.
    expected = ipaddress.IPv6Address(host).compressed if ":" in host else host
    if (parsed.raw_host or "").lower() not in (host, expected) or parsed.port != port:
        raise NotSent("the address is read in two ways")
    return parsed


def _check_host(host: str, *, bracketed: bool) -> None:
    """Raises NotSent for a host that is neither a name nor an IP address written in full."""
    if bracketed:
        if not _is(ipaddress.IPv6Address, host):
            raise NotSent("the address is not a plain http(s) address")
        return
    labels = host.rstrip(".").split(".")
    if any(not 0 < len(label) < 64 for label in labels):
        raise NotSent("the address is not a plain http(s) address")
    # 2130706433, 0x7f.1 and 0177.0.0.1 are all 127.0.0.1 to some resolver: a host that ends in a
    # number is a dotted quad written in full, or it is refused.
    if _NUMBER.fullmatch(labels[-1]) and not _is(ipaddress.IPv4Address, host):
        raise NotSent("the address hides an IP address")


def _is(kind: type[ipaddress.IPv4Address | ipaddress.IPv6Address], host: str) -> bool:
    try:
        kind(host)
    except ValueError:
        return False
    return True


class _GuardedResolver(AbstractResolver):
    """Refuses a name as soon as one of its addresses is forbidden: mixed answers are an attack."""

    def __init__(self) -> None:
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        found = await self._resolver.resolve(host, port, family)
        for result in found:
            if not is_public_address(result["host"]):
                raise AddressRefused("the name leads to a forbidden network")
        return found

    async def close(self) -> None:
        await self._resolver.close()


def _open_guarded_socket(address_info: tuple[Any, ...]) -> socket.socket:
    """Make the socket for exactly this address, or refuse; the last word before the connection."""
    family, kind, protocol, _, address = address_info
    if not is_public_address(str(address[0])):
        raise AddressRefused("the address lies in a forbidden network")
    return socket.socket(family=family, type=kind, proto=protocol)


# --- the wire ------------------------------------------------------------------------------------


class Wire:
    """A caller of HTTP. Open it inside a running loop, close it when the house closes.

    `allow_private` opens loopback and private networks (the demo, and PGs that the operator
    configured). `ports` are the ports called, None for all. `ca_file` is an own bundle of trusted roots.
    `at_once` and `at_once_per_host` limit the connections; who waits for one is given up as not sent.
    """

    def __init__(
        self,
        *,
        allow_private: bool = False,
        ports: Collection[int] | None = (80, 443),
        user_agent: str = "naru",
        ca_file: str | None = None,
        at_once: int = CONNECTIONS_MAX,
        at_once_per_host: int = CONNECTIONS_PER_HOST_MAX,
    ) -> None:
        self._allow_private = allow_private
        self._ports = frozenset(ports) if ports is not None else None
        self._user_agent = user_agent
        self._ca_file = ca_file
        self._at_once, self._at_once_per_host = at_once, at_once_per_host
        self._session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Wire:
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.close()

    async def close(self) -> None:
        """Close all connections; requests under way end in NoAnswer."""
        session, self._session = self._session, None
        if session is not None:
            await session.close()

    async def get(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
        max_body: int = BODY_BYTES_MAX,
    ) -> Answer:
        """Ask for a resource. Raises NotSent, NoAnswer."""
        return await self.request("GET", url, headers=headers, timeouts=timeouts, max_body=max_body)

    async def delete(
        self,
        url: str,
        *,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
        max_body: int = BODY_BYTES_MAX,
    ) -> Answer:
        """Ask for a removal. Raises NotSent, NoAnswer."""
        return await self.request(
            "DELETE", url, headers=headers, timeouts=timeouts, max_body=max_body
        )

    async def post_json(
        self,
        url: str,
        value: object,
        *,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
        max_body: int = BODY_BYTES_MAX,
    ) -> Answer:
        """Post a JSON text with the exact Content-Type `application/json`. Raises NotSent, NoAnswer."""
        body = json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()
        return await self.request(
            "POST",
            url,
            body=body,
            headers={"Content-Type": "application/json", **(headers or {})},
            timeouts=timeouts,
            max_body=max_body,
        )

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        timeouts: Timeouts | None = None,
        max_body: int = BODY_BYTES_MAX,
    ) -> Answer:
        """Send these exact bytes and read at most `max_body` bytes of the answer.

        Redirects are answers, not followed. Raises NotSent, NoAnswer.
        """
        address = read_url(url, self._ports)
        timeouts = timeouts or Timeouts()
        progress = SimpleNamespace(connected=False)
        began = time.monotonic()
        ending = "cancelled"
        try:
            answer = await self._exchange(
                method, address, body, headers or {}, timeouts, max_body, progress
            )
            ending = str(answer.status)
            return answer
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError) as error:
            why = _sentence(error)
            ending = why
            if progress.connected:
                raise NoAnswer(why) from error
            raise NotSent(why) from error
        finally:
            # Host and path only: queries and bodies may hold secrets, and stay out of every log.
            log.info(
                "%s %s://%s%s -> %s in %d ms",
                method,
                address.scheme,
                address.host_port_subcomponent,
                address.raw_path[:200],
                ending,
                (time.monotonic() - began) * 1000,
            )

    async def _exchange(
        self,
        method: str,
        address: yarl.URL,
        body: bytes | None,
        headers: Mapping[str, str],
        timeouts: Timeouts,
        max_body: int,
        progress: SimpleNamespace,
    ) -> Answer:
        async with self._open_session().request(
            method,
            address,
            data=body,
            headers=headers,
            allow_redirects=False,
            timeout=aiohttp.ClientTimeout(
                total=timeouts.total,
                connect=timeouts.connect,
                sock_connect=timeouts.connect,
                sock_read=timeouts.read,
                ceil_threshold=60,  # aiohttp rounds waits above 5 s up to whole seconds
            ),
            trace_request_ctx=progress,
        ) as response:
            read, whole = await _read_at_most(response, max_body)
            return Answer(response.status, response.headers.copy(), read, whole)

    def _open_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            limits: dict[str, Any] = {
                "limit": self._at_once,
                "limit_per_host": self._at_once_per_host,
                "keepalive_timeout": KEEPALIVE_SECONDS,
            }
            if not self._allow_private:
                limits["resolver"] = _GuardedResolver()
                limits["socket_factory"] = _open_guarded_socket
            if self._ca_file is not None:
                import ssl

                limits["ssl"] = ssl.create_default_context(cafile=self._ca_file)
            self._session = aiohttp.ClientSession(
                connector=aiohttp.TCPConnector(**limits),
                cookie_jar=aiohttp.DummyCookieJar(),
                trust_env=False,
                auto_decompress=False,
                trace_configs=[_watch_connections()],
                headers={"User-Agent": self._user_agent, "Accept-Encoding": "identity"},
                skip_auto_headers=("Content-Type",),
            )
        return self._session


def _watch_connections() -> aiohttp.TraceConfig:
    """Note the instant from which bytes may have left: a connection was made, or taken again."""

    async def connected(session: aiohttp.ClientSession, context: Any, event: Any) -> None:
        context.trace_request_ctx.connected = True

    watch = aiohttp.TraceConfig()
    watch.on_connection_create_end.append(connected)
    watch.on_connection_reuseconn.append(connected)
    return watch


async def _read_at_most(response: aiohttp.ClientResponse, limit: int) -> tuple[bytes, bool]:
    """The body up to `limit` bytes, and whether that was all. A cut connection is closed, not kept."""
    read = bytearray()
    async for piece in response.content.iter_any():
        read += piece
        if len(read) > limit:
            response.close()
            return bytes(read[:limit]), False
    return bytes(read), True


def _sentence(error: BaseException) -> str:
    """Why it failed, in our words: the library's messages may repeat the whole address."""
    cause: BaseException | None = error
    while cause is not None:
        if isinstance(cause, AddressRefused):
            return str(cause)
        cause = getattr(cause, "os_error", None) or cause.__cause__
    if isinstance(error, aiohttp.ConnectionTimeoutError):
        return "no connection in time"
    if isinstance(error, aiohttp.SocketTimeoutError | TimeoutError | asyncio.TimeoutError):
        return "no answer in time"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return "the name is not known"
    if isinstance(error, aiohttp.ClientSSLError):
        return "no trustworthy TLS connection"
    if isinstance(error, aiohttp.ClientConnectorError):
        return f"no connection: {error.os_error.strerror or type(error.os_error).__name__}"
    if isinstance(error, aiohttp.ServerDisconnectedError | aiohttp.ClientOSError):
        return "the connection was cut"
    return f"the answer cannot be read ({type(error).__name__})"
