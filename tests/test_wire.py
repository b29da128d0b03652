"""The line out against true servers: they refuse, stall, drip, cut, redirect and never end."""

from __future__ import annotations

import asyncio
import gzip
import logging
import socket
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from naru.app import open_gateway
from naru.config import Settings
from naru.domain.errors import NoAnswer, NotSent
from naru.wire import CONNECTIONS_PER_HOST_MAX, Answer, Timeouts, Wire, is_public_address, read_url

Behaviour = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None]]

QUICK = Timeouts(connect=0.5, read=0.5, total=1.0)


class RawServer:
    """Speaks bytes, so that it can break every rule of HTTP. Keeps each request's head and body."""

    def __init__(self, behave: Behaviour) -> None:
        self.behave = behave
        self.requests: list[bytes] = []
        self.connections = 0

    async def meet(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            await self.behave(reader, writer)
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            writer.close()

    async def read_request(self, reader: asyncio.StreamReader) -> bytes:
        head = await reader.readuntil(b"\r\n\r\n")
        length = 0
        for line in head.split(b"\r\n"):
            if line.lower().startswith(b"content-length:"):
                length = int(line.split(b":")[1])
        request = head + await reader.readexactly(length)
        self.requests.append(request)
        return request


@asynccontextmanager
async def raw_server(
    answer: bytes | Callable[[RawServer], Behaviour], tls: ssl.SSLContext | None = None
) -> AsyncIterator[tuple[str, RawServer]]:
    async def say(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        assert isinstance(answer, bytes)
        await raw.read_request(reader)
        writer.write(answer)
        await writer.drain()

    raw = RawServer(say)
    if not isinstance(answer, bytes):
        raw.behave = answer(raw)
    server = await asyncio.start_server(raw.meet, "127.0.0.1", 0, ssl=tls)
    port = server.sockets[0].getsockname()[1]
    try:
        yield f"{'https' if tls else 'http'}://127.0.0.1:{port}", raw
    finally:
        server.close()


@pytest.fixture
async def wire() -> AsyncIterator[Wire]:
    async with Wire(allow_private=True, ports=None) as opened:
        yield opened


async def outcome(call: Awaitable[Answer]) -> str:
    try:
        return str((await call).status)
    except (NotSent, NoAnswer) as error:
        return type(error).__name__


async def test_it_sends_the_exact_bytes_and_brings_the_answer_back(wire: Wire) -> None:
    async with raw_server(b"HTTP/1.1 201 X\r\nA: b\r\nContent-Length: 2\r\n\r\nhi") as (url, raw):
        answer = await wire.post_json(f"{url}/pay?x=1", {"이름": "나루"})
    assert (answer.status, answer.headers["a"], answer.body, answer.whole) == (
        201,
        "b",
        b"hi",
        True,
    )
    head, body = raw.requests[0].split(b"\r\n\r\n")
    assert head.startswith(b"POST /pay?x=1 HTTP/1.1\r\n")
    assert b"\r\nContent-Type: application/json\r\n" in head + b"\r\n"
    assert body == '{"이름":"나루"}'.encode()


async def test_a_refused_connection_was_not_sent(wire: Wire) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
        with pytest.raises(NotSent, match="no connection"):
            await wire.get(f"http://127.0.0.1:{port}/")


async def test_an_unknown_name_was_not_sent(wire: Wire) -> None:
    with pytest.raises(NotSent):
        await wire.get("http://naru-has-no-such-name.invalid/", timeouts=Timeouts(3, 3, 5))


async def test_a_connection_that_never_comes_about_was_not_sent(wire: Wire) -> None:
    """A listener whose queue is full lets the handshake hang."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        fillers = [socket.socket() for _ in range(4)]
        for filler in fillers:
            filler.setblocking(False)
            filler.connect_ex(("127.0.0.1", port))
        with pytest.raises(NotSent, match="no connection in time"):
            await wire.get(f"http://127.0.0.1:{port}/", timeouts=QUICK)
        for filler in fillers:
            filler.close()


async def test_tls_that_cannot_be_trusted_was_not_sent(wire: Wire, tmp_path: Path) -> None:
    tls, ca_file = make_certificate(tmp_path, "127.0.0.1")
    async with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", tls) as (url, raw):
        with pytest.raises(NotSent, match="TLS"):
            await wire.post_json(url, {}, timeouts=QUICK)
        assert raw.requests == []
        async with Wire(allow_private=True, ports=None, ca_file=str(ca_file)) as trusting:
            assert (await trusting.post_json(url, {}, timeouts=QUICK)).status == 200


async def test_a_certificate_for_another_name_was_not_sent(tmp_path: Path) -> None:
    tls, ca_file = make_certificate(tmp_path, "192.0.2.1")
    async with (
        raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n", tls) as (url, raw),
        Wire(allow_private=True, ports=None, ca_file=str(ca_file)) as trusting,
    ):
        with pytest.raises(NotSent, match="TLS"):
            await trusting.post_json(url, {}, timeouts=QUICK)
        assert raw.requests == []


def never_answers(raw: RawServer) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await raw.read_request(reader)
        await reader.read()

    return behave


def cuts_at_once(raw: RawServer) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await raw.read_request(reader)

    return behave


def drips(raw: RawServer) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await raw.read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n")
        while not writer.is_closing():
            writer.write(b".")
            await writer.drain()
            await asyncio.sleep(0.05)

    return behave


def storms_with_continues(raw: RawServer) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await raw.read_request(reader)
        while not writer.is_closing():
            writer.write(b"HTTP/1.1 103 Early Hints\r\n\r\n")
            await writer.drain()
            await asyncio.sleep(0.01)

    return behave


def cuts_inside_the_body(raw: RawServer) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await raw.read_request(reader)
        writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 100\r\n\r\nhalf")
        await writer.drain()

    return behave


def talks_garbage(raw: RawServer) -> Behaviour:
    async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await raw.read_request(reader)
        writer.write(b"\x00\xffnot http at all\r\n\r\n")
        await writer.drain()

    return behave


@pytest.mark.parametrize(
    "server",
    [
        never_answers,
        cuts_at_once,
        drips,
        storms_with_continues,
        cuts_inside_the_body,
        talks_garbage,
    ],
)
async def test_once_bytes_may_have_left_every_failure_is_no_answer_within_the_deadline(
    wire: Wire, server: Callable[[RawServer], Behaviour]
) -> None:
    async with raw_server(server) as (url, raw):
        began = asyncio.get_running_loop().time()
        with pytest.raises(NoAnswer):
            await wire.post_json(f"{url}/approve", {"a": 1}, timeouts=QUICK)
        assert asyncio.get_running_loop().time() - began < 2.0
        assert len(raw.requests) == 1, "a POST is never sent a second time by itself"


async def test_a_post_on_a_kept_connection_that_breaks_is_no_answer_and_is_not_repeated(
    wire: Wire,
) -> None:
    """The other side may have read it before it hung up: a second approval could be a second charge."""

    def answers_once(raw: RawServer) -> Behaviour:
        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await raw.read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            await writer.drain()
            await raw.read_request(reader)

        return behave

    async with raw_server(answers_once) as (url, raw):
        await wire.post_json(url, {"try": 1})
        with pytest.raises(NoAnswer):
            await wire.post_json(url, {"try": 2})
        assert (raw.connections, len(raw.requests)) == (1, 2)


async def test_a_cancelled_call_leaves_the_wire_usable(wire: Wire) -> None:
    async with raw_server(never_answers) as (url, raw):
        call = asyncio.create_task(wire.get(url))
        while not raw.requests:
            await asyncio.sleep(0.01)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
    async with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (url, _):
        assert (await wire.get(url)).status == 200


HUNG = 100


async def one_beside_those_that_hang(wire: Wire) -> tuple[str, int]:
    """How one more call ends while so many to the same host hang, and how many the host holds then."""

    def hangs_first(raw: RawServer) -> Behaviour:
        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            request = await raw.read_request(reader)
            if request.startswith(b"GET /well "):
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                await writer.drain()
            else:
                await reader.read()

        return behave

    patient = Timeouts(connect=30, read=30, total=30)
    async with raw_server(hangs_first) as (url, raw):
        hung = [
            asyncio.create_task(outcome(wire.get(f"{url}/ill", timeouts=patient)))
            for _ in range(HUNG)
        ]
        async with asyncio.timeout(20):
            while len(raw.requests) < min(HUNG, CONNECTIONS_PER_HOST_MAX):
                await asyncio.sleep(0.01)
        ended = await outcome(
            wire.get(f"{url}/well", timeouts=Timeouts(connect=2, read=5, total=5))
        )
        held = raw.connections
        for each in hung:
            each.cancel()
        await asyncio.gather(*hung, return_exceptions=True)
    return ended, held


async def test_the_lines_to_pgs_are_not_shared_by_host(database_url: str) -> None:
    """Two channels may have one host: a hundred calls of the first that hang take nothing from the
    second. By channel they are counted in naru/payments/pg_load.py."""
    settings = Settings(database_url=database_url, secret=bytes(32))
    async with open_gateway(settings) as gateway:
        ended, held = await one_beside_those_that_hang(gateway.pg_wire)
    print(f"beside {held - 1} calls that hang one more to the same host ends in {ended}")
    assert (ended, held) == ("200", HUNG + 1)


async def test_the_lines_to_strangers_are_shared_by_host(wire: Wire) -> None:
    """The control: a wire as it is without a word of limits, where one host has only its share."""
    ended, held = await one_beside_those_that_hang(wire)
    print(
        f"of {HUNG} calls that hang {held} have a line; one more to the same host ends in {ended}"
    )
    assert (ended, held) == ("NotSent", CONNECTIONS_PER_HOST_MAX)


async def test_an_endless_body_is_cut_at_the_limit(wire: Wire) -> None:
    def endless(raw: RawServer) -> Behaviour:
        async def behave(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            await raw.read_request(reader)
            writer.write(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")
            while not writer.is_closing():
                writer.write(b"1000\r\n" + b"x" * 4096 + b"\r\n")
                await writer.drain()

        return behave

    async with raw_server(endless) as (url, _):
        answer = await wire.get(url, max_body=10_000, timeouts=Timeouts(1, 1, 5))
    assert (answer.status, len(answer.body), answer.whole) == (200, 10_000, False)


async def test_a_gzip_bomb_stays_folded(wire: Wire) -> None:
    bomb = gzip.compress(b"\0" * 10_000_000)
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n" % len(bomb)
    async with raw_server(head + bomb) as (url, raw):
        answer = await wire.get(url)
    assert answer.body == bomb
    assert b"Accept-Encoding: identity" in raw.requests[0]


async def test_a_redirect_is_an_answer_and_is_not_followed(wire: Wire) -> None:
    async with raw_server(
        b"HTTP/1.1 302 X\r\nLocation: /elsewhere\r\nContent-Length: 0\r\n\r\n"
    ) as (url, raw):
        assert (await wire.get(url)).status == 302
    assert len(raw.requests) == 1


async def test_cookies_are_not_kept(wire: Wire) -> None:
    async with raw_server(
        b"HTTP/1.1 200 OK\r\nSet-Cookie: a=b; Path=/\r\nContent-Length: 0\r\n\r\n"
    ) as (url, raw):
        await wire.get(url)
        await wire.get(url)
    assert all(b"cookie" not in request.lower() for request in raw.requests)


async def test_a_proxy_in_the_environment_is_ignored(
    wire: Wire, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with (
        raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (url, raw),
        raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (proxy, proxied),
    ):
        monkeypatch.setenv("http_proxy", proxy)
        monkeypatch.setenv("HTTP_PROXY", proxy)
        await wire.get(url)
        assert (len(raw.requests), proxied.requests) == (1, [])


async def test_the_transcript_names_host_and_path_but_no_query_and_no_body(
    wire: Wire, caplog: pytest.LogCaptureFixture
) -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nanswer") as (url, _):
        with caplog.at_level(logging.DEBUG):
            await wire.post_json(f"{url}/hook?token=hush", {"card": "4092"})
    assert f"POST {url}/hook -> 200" in caplog.text
    for secret in ("hush", "4092", "answer"):
        assert secret not in caplog.text


async def test_errors_do_not_repeat_the_query(wire: Wire) -> None:
    with pytest.raises(NotSent) as refused:
        await wire.get("http://127.0.0.1:1/hook?token=hush")
    assert "hush" not in str(refused.value)


# --- addresses that strangers name -----------------------------------------------------------------

FORBIDDEN = [
    "0.0.0.0",
    "0.1.2.3",
    "10.0.0.5",
    "100.64.0.1",
    "100.100.100.200",
    "127.0.0.1",
    "127.255.255.254",
    "168.63.129.16",
    "169.254.169.254",
    "172.16.0.1",
    "172.31.255.255",
    "192.0.0.8",
    "192.0.0.192",
    "192.0.2.1",
    "192.88.99.1",
    "192.168.0.1",
    "198.18.0.1",
    "198.19.255.255",
    "198.51.100.1",
    "203.0.113.1",
    "224.0.0.1",
    "239.255.255.250",
    "240.0.0.1",
    "255.255.255.255",
    "::",
    "::1",
    "::127.0.0.1",
    "::8.8.8.8",
    "::ffff:127.0.0.1",
    "::ffff:10.0.0.5",
    "::ffff:169.254.169.254",
    "64:ff9b::7f00:1",
    "64:ff9b::a00:5",
    "64:ff9b::a9fe:a9fe",
    "64:ff9b:1::1",
    "100::1",
    "2001::1",
    "2001:0:7f00:1::1",
    "2001:2::1",
    "2001:10::1",
    "2001:20::1",
    "2001:db8::1",
    "2002:7f00:1::",
    "2002:a00:5::1",
    "2002:808:808::1",
    "2620:4f:8000::1",
    "3fff::1",
    "5f00::1",
    "fc00::1",
    "fd00::1",
    "fd00:ec2::254",
    "fe80::1",
    "fe80::1%eth0",
    "fec0::1",
    "ff02::1",
    "ff0e::1",
]
ALLOWED = [
    "8.8.8.8",
    "1.1.1.1",
    "52.78.100.19",
    "172.15.255.255",
    "172.32.0.1",
    "192.0.1.1",
    "198.17.255.255",
    "223.255.255.255",
    "2606:4700:4700::1111",
    "2a00:1450:4001::1",
    "2400:cb00::1",
    "::ffff:8.8.8.8",
    "64:ff9b::808:808",
]


@pytest.mark.parametrize("address", FORBIDDEN)
def test_special_networks_are_forbidden(address: str) -> None:
    assert not is_public_address(address)


@pytest.mark.parametrize("address", ALLOWED)
def test_public_addresses_are_allowed(address: str) -> None:
    assert is_public_address(address)


@pytest.mark.parametrize("text", ["", "localhost", "127.1", "0x7f.0.0.1", "8.8.8.8.", "\x00", "²"])
def test_what_is_no_address_is_no_public_address(text: str) -> None:
    assert not is_public_address(text)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "shop.example/hook",
        "//shop.example/hook",
        "ftp://shop.example/",
        "file:///etc/passwd",
        "javascript:alert(1)",
        "http:/shop.example/",
        "http://",
        "http:///hook",
        "http://user@shop.example/",
        "http://user:pw@shop.example/",
        "http://shop.example@127.0.0.1/",
        "http://shop.example\\@127.0.0.1/",
        "http://shop.example/\\x",
        "http://shop.example%2f@127.0.0.1/",
        "http://%31%32%37.0.0.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.0.0.1/",
        "http://0177.0.0.1/",
        "http://127.1/",
        "http://127.0.1/",
        "http://127.0.0.01/",
        "http://256.1.1.1/",
        "http://1.2.3.4.5/",
        "http://ⓛocalhost/",
        "http://127。0。0。1/",
        "http://１２７.0.0.1/",
        "http://한글.example/",
        "http://shop.example\r\nX: y/",
        "http://shop.example/\r\nX: y",
        "http://shop.example/\x00",
        "http://shop.example/\ud800",
        "http://shop.example /",
        "http://shop..example/",
        "http://-/ /",
        "http://" + "a" * 64 + ".example/",
        "http://[::1/",
        "http://[::1%25eth0]/",
        "http://[1::2::3]/",
        "http://shop.example:0/",
        "http://shop.example:65536/",
        "http://shop.example:99999999/",
        "http://shop.example:８０/",
        "http://shop.example:-1/",
        "http://shop.example/" + "a" * 3000,
    ],
)
def test_addresses_that_are_not_plain_are_refused(url: str) -> None:
    with pytest.raises(NotSent):
        read_url(url)


@pytest.mark.parametrize(
    ("url", "host", "port"),
    [
        ("https://shop.example/hook?a=1", "shop.example", 443),
        ("http://SHOP.example:8080", "shop.example", 8080),
        ("http://shop.example/결제?이름=나루", "shop.example", 80),
        ("https://xn--bj0bj06e.example/", "xn--bj0bj06e.example", 443),
        ("http://8.8.8.8/", "8.8.8.8", 80),
        ("http://[2606:4700::1111]:443/", "2606:4700::1111", 443),
        ("https://my_shop.example", "my_shop.example", 443),
    ],
)
def test_plain_addresses_are_read(url: str, host: str, port: int) -> None:
    parsed = read_url(url)
    assert (parsed.raw_host, parsed.port) == (host, port)


async def test_only_the_web_ports_are_called_unless_others_are_allowed() -> None:
    async with Wire() as guarded:
        with pytest.raises(NotSent, match="port 6379"):
            await guarded.get("http://shop.example:6379/")


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "[::ffff:127.0.0.1]"])
async def test_a_guarded_wire_opens_no_connection_to_this_machine(host: str) -> None:
    async with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (url, raw):
        port = url.rpartition(":")[2]
        async with Wire(ports=None) as guarded:
            with pytest.raises(NotSent, match="forbidden network"):
                await guarded.get(f"http://{host}:{port}/", timeouts=QUICK)
        assert raw.connections == 0


async def test_the_guard_judges_the_resolved_address_and_refuses_mixed_answers(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """One public and one private address behind a name: a resolver under the attacker's control."""

    def two_answers(host: str, port: int, *rest: object, **more: object) -> list[object]:
        return [
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("192.0.1.1", port)),
            (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", port)),
        ]

    async with raw_server(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n") as (url, raw):
        port = url.rpartition(":")[2]
        monkeypatch.setattr(socket, "getaddrinfo", two_answers)
        async with Wire(ports=None) as guarded:
            with pytest.raises(NotSent, match="forbidden network"):
                await guarded.get(f"http://shop.example:{port}/", timeouts=QUICK)
        assert raw.connections == 0


def make_certificate(folder: Path, address: str) -> tuple[ssl.SSLContext, Path]:
    """A self-signed certificate for an IP address: the server's context, and the file to trust."""
    import ipaddress

    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "naru test")])
    now = datetime.now(UTC)
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .add_extension(
            x509.SubjectAlternativeName([x509.IPAddress(ipaddress.ip_address(address))]),
            critical=False,
        )
        .sign(key, hashes.SHA256())
    )
    certificate_file, key_file = folder / "cert.pem", folder / "key.pem"
    certificate_file.write_bytes(certificate.public_bytes(serialization.Encoding.PEM))
    key_file.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
    )
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate_file, key_file)
    return context, certificate_file
