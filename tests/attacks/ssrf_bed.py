"""The inside of the SSRF test: run in a network namespace of its own, where every address is ours.

    unshare --net --mount python -m tests.attacks.ssrf_bed DSN HOW_MANY [is_global]

All addresses of both families lead to the loopback device, so that a connection to any of them stands
and is counted by the canaries; nothing can leave. A DNS server of the attacker answers every name.
Prints one JSON object. With `is_global` the guard asks Python's ipaddress: the control.
"""

from __future__ import annotations

import asyncio
import ipaddress
import json
import struct
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from urllib.parse import quote

import naru.wire
from naru.domain.errors import NotSent
from naru.domain.money import Money
from naru.domain.payment import Payment
from naru.payments.ask_merchant import Confirmed, ask_merchant
from naru.store import Store
from naru.webhooks.announce import addresses
from naru.webhooks.deliver import Deliverer
from naru.wire import Timeouts, Wire
from tests.support.gateway import ROOT_KEY
from tests.support.house import make_merchant, make_payment

GOOD = {4: "8.8.8.8", 6: "2001:4860:4860::8888"}
PORTS = (80, 443, 8080)
QUICK = Timeouts(connect=2.0, read=2.0, total=3.0)
ADDRESSES = [
    ipaddress.ip_address(line.split("\t")[0])
    for line in Path(__file__).with_name("ssrf_addresses.tsv").read_text("utf-8").splitlines()[1:]
]

Address = ipaddress.IPv4Address | ipaddress.IPv6Address


def build_network() -> None:
    """Every address of the world is this machine's, and names are asked at our own server."""

    def run(*words: str) -> None:
        subprocess.run(words, check=True, capture_output=True, timeout=10)

    run("ip", "link", "set", "lo", "up")
    run("ip", "route", "add", "local", "0.0.0.0/0", "dev", "lo")
    run("ip", "-6", "route", "add", "local", "::/0", "dev", "lo")
    run("ip", "address", "add", GOOD[4] + "/32", "dev", "lo")
    run("ip", "address", "add", GOOD[6] + "/128", "dev", "lo")
    run("mount", "--make-rprivate", "/")
    folder = Path(tempfile.mkdtemp(prefix="naru-ssrf-"))
    for name, text in (
        ("resolv.conf", "nameserver 127.0.0.1\noptions timeout:1 attempts:1\n"),
        ("nsswitch.conf", "hosts: dns\n"),
    ):
        (folder / name).write_text(text)
        run("mount", "--bind", str(folder / name), f"/etc/{name}")


# --- the attacker's DNS server: the name says how to answer ----------------------------------------


class Names(asyncio.DatagramProtocol):
    """`{how}-{address in hex}[-{n}].evil.test`; every answer lives for zero seconds."""

    def __init__(self) -> None:
        self.asked: Counter[tuple[str, int]] = Counter()
        self.transport: asyncio.DatagramTransport

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]

    def datagram_received(self, data: bytes, addr: tuple[str, int]) -> None:
        labels, place = [], 12
        while data[place]:
            labels.append(data[place + 1 : place + 1 + data[place]].decode("ascii", "replace"))
            place += 1 + data[place]
        [kind] = struct.unpack(">H", data[place + 1 : place + 3])
        question = data[12 : place + 5]
        answers = b"".join(self.answer(".".join(labels).lower(), kind))
        count = answers.count(b"\xc0\x0c") + answers.count(b"\xc0\xff")
        head = data[:2] + b"\x85\x80" + struct.pack(">HHHH", 1, count, 0, 0)
        self.transport.sendto(head + question + answers.replace(b"\xc0\xff", b""), addr)

    def answer(self, name: str, kind: int) -> Iterator[bytes]:
        how, _, rest = name.partition("-")
        digits = rest.partition(".")[0].partition("-")[0]
        try:
            bad = ipaddress.ip_address(bytes.fromhex(digits))
        except ValueError:
            return
        version = {1: 4, 28: 6}.get(kind)
        good = [] if version is None else [ipaddress.ip_address(GOOD[version])]
        bads = [bad] if bad.version == version else []
        self.asked[name, kind] += 1
        match how:
            case "one":
                found = bads
            case "goodfirst":
                found = good + bads
            case "badfirst":
                found = bads + good
            case "split":
                # One family is good, the other is not.
                found = bads if bad.version == version else good
            case "rebind":
                found = good if self.asked[name, kind] == 1 and bad.version == version else bads
            case "cname":
                if version is not None:
                    # A chain of three names; the last one has the address.
                    names = [f"hop{number}-{digits}.evil.test" for number in (1, 2)]
                    yield record(None, 5, encode(names[0]))
                    yield record(names[0], 5, encode(names[1]))
                    for each in bads:
                        yield record(names[1], kind, each.packed)
                return
            case _:
                found = []
        for each in found:
            yield record(None, kind, each.packed)


def encode(name: str) -> bytes:
    return b"".join(bytes([len(label)]) + label.encode() for label in name.split(".")) + b"\0"


def record(name: str | None, kind: int, data: bytes) -> bytes:
    """An answer with a life of zero seconds; a mark counts the records that name their owner in full."""
    owner = b"\xc0\x0c" if name is None else b"\xc0\xff" + encode(name)
    return owner + struct.pack(">HHIH", kind, 1, 0, len(data)) + data


# --- how an address can be written -----------------------------------------------------------------


def spellings(address: Address) -> dict[str, str]:
    """Web addresses that lead, or look as if they led, to this address."""
    digits = address.packed.hex()
    host = f"[{address}]" if address.version == 6 else str(address)
    found = {
        "plain": f"http://{host}/",
        "port 8080": f"http://{host}:8080/",
        "https": f"https://{host}/",
        "credentials": f"http://{GOOD[4]}@{host}/",
        "backslash": f"http://{GOOD[4]}\\@{host}/",
        "fragment": f"http://{host}#@{GOOD[4]}/",
        "percent": f"http://{quote(host, safe='[]:').replace('.', '%2e').replace('0', '%30')}/",
        "redirect": f"http://{GOOD[4]}/to/{digits}",
        **{
            f"name, {how}": f"http://{how}-{digits}.evil.test/"
            for how in ("one", "goodfirst", "badfirst", "split", "cname", "rebind")
        },
        "name, rebound": f"http://rebind-{digits}.evil.test/",
        "name in capitals with a dot": f"http://ONE-{digits}-1.EVIL.test./",
    }
    if isinstance(address, ipaddress.IPv4Address):
        number, parts = int(address), address.packed
        hexes = f"{number >> 16:x}:{number & 0xFFFF:x}"
        wide = str(address).translate({ord("0") + n: ord("０") + n for n in range(10)})
        inside = {
            "mapped": f"::ffff:{address}",
            "compatible": f"::{hexes}",
            "NAT64": f"64:ff9b::{hexes}",
            "6to4": f"2002:{hexes}::1",
            "Teredo": f"2001:0:{hexes}::1",
        }
        found |= {
            "integer": f"http://{number}/",
            "hex integer": f"http://0x{number:08x}/",
            "hex parts": "http://" + ".".join(hex(part) for part in parts) + "/",
            "octal parts": "http://" + ".".join(f"0{part:o}" for part in parts) + "/",
            "short": f"http://{parts[0]}.{number & 0xFFFFFF}/",
            "leading zero": f"http://{parts[0]}.{parts[1]}.{parts[2]}.0{parts[3]}/",
            "trailing dot": f"http://{address}./",
            "full-width digits": f"http://{wide}/",
            "ideographic stops": f"http://{str(address).replace('.', '。')}/",
            **{f"{how} literal": f"http://[{text}]/" for how, text in inside.items()},
            **{
                f"{how} behind a name": f"http://one-{ipaddress.ip_address(text).packed.hex()}.evil.test/"
                for how, text in inside.items()
            },
        }
    else:
        found |= {
            "written in full": f"http://[{address.exploded}]/",
            "capitals": f"http://[{str(address).upper()}]/",
            "zone": f"http://[{address}%25lo]/",
            "bare": f"http://{address}/",
        }
    return found


# --- canaries, callers, counting -------------------------------------------------------------------


async def main(dsn: str, how_many: int, *, control: bool) -> None:
    build_network()
    reached: Counter[str] = Counter()

    async def hear(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        reached[
            str(ipaddress.ip_address(writer.get_extra_info("sockname")[0].partition("%")[0]))
        ] += 1
        try:
            words = (await reader.readuntil(b"\r\n\r\n")).split(b" ")
            answer = b"HTTP/1.1 200 OK\r\n"
            if len(words) > 1 and words[1].startswith(b"/to/"):
                target = ipaddress.ip_address(bytes.fromhex(words[1][4:].decode()))
                host = f"[{target}]" if target.version == 6 else str(target)
                answer = f"HTTP/1.1 302 Found\r\nLocation: http://{host}/\r\n".encode()
            writer.write(answer + b"Content-Length: 0\r\nConnection: close\r\n\r\n")
            await writer.drain()
        except (
            asyncio.IncompleteReadError,
            asyncio.LimitOverrunError,
            ConnectionError,
            ValueError,
        ):
            pass
        finally:
            writer.close()

    servers = [
        await asyncio.start_server(hear, host, port, backlog=1000)
        for host in ("0.0.0.0", "::")
        for port in PORTS
    ]
    loop = asyncio.get_running_loop()
    names, _ = await loop.create_datagram_endpoint(Names, local_addr=("127.0.0.1", 53))
    if control:
        naru.wire.is_public_address = lambda text: (
            ipaddress.ip_address(text.partition("%")[0]).is_global
        )
    attacks = [
        (f"{address} as {how}", url)
        for address in ADDRESSES
        for how, url in spellings(address).items()
        # The control shows that the canaries hear, address by address.
        if not control or how in ("plain", "name, one")
    ]
    # A few of them by day: a stride walks over all addresses and, in time, all spellings.
    attacks = attacks[:: max(1, len(attacks) * 3 // how_many)]
    report = {
        "addresses": len(ADDRESSES),
        "spellings": len({how for address in ADDRESSES for how in spellings(address)}),
        "fewest_spellings": min(len(spellings(address)) for address in ADDRESSES),
        "called_public": [
            str(each) for each in ADDRESSES if naru.wire.is_public_address(str(each))
        ],
    }
    # The bed itself: without any guard every canary can be reached that TCP can reach at all.
    async with Wire(allow_private=True, ports=None) as open_wire:
        plain = [spellings(address)["plain"] for address in ADDRESSES]
        await asyncio.gather(*(confirm(open_wire, url) for url in plain))
    report["reachable_unguarded"] = sum(str(each) in reached for each in ADDRESSES)
    reached.clear()

    tries = Counter[str]()
    confirmed = []
    store = await Store.open(dsn, root_key=ROOT_KEY)
    async with Wire() as wire:
        for host in (GOOD[4], f"[{GOOD[6]}]", "one-08080808-9.evil.test"):
            assert await confirm(wire, f"http://{host}/"), f"{host} must be reached"
        report["allowed_reached"] = sum(reached.pop(good, 0) for good in GOOD.values())
        deliverer = Deliverer(store, wire)
        merchant = await make_merchant(store)
        payment = await make_payment(store, merchant)
        free = asyncio.Semaphore(8)

        async def attack(what: str, url: str) -> None:
            async with free:
                tries["confirm_url"] += 1
                if what.endswith("rebound"):
                    # Asked before, when the name was good; this caller remembers nothing of that.
                    async with Wire() as fresh:
                        said = await confirm(fresh, url)
                else:
                    said = await confirm(wire, url)
                if said:
                    confirmed.append(what)
                # Webhooks: to the merchant's own address, and to the one that request_pay named.
                for merchant_url, notice_urls in ((url, ()), (None, (url,))):
                    [address] = addresses(
                        replace(merchant, webhook_url=merchant_url),
                        replace(payment, webhook_urls=notice_urls),
                    )
                    tries["notice_url" if notice_urls else "webhook_url"] += 1
                    if not control:
                        await deliver(store, deliverer, payment, address, tries.total())

        await asyncio.gather(*(attack(what, url) for what, url in attacks))
    await store.close()
    redirecting = {good: reached.pop(good, 0) for good in GOOD.values()}
    report |= {
        "tries": dict(tries),
        "canaries_reached": sorted(reached),
        "connections": sum(reached.values()),
        "allowed_host_connections": sum(redirecting.values()),
        # Some spellings begin at the allowed host, which may say yes for itself.
        "confirmed": [
            each
            for each in confirmed
            if not each.endswith(("rebind", "rebound", "split", "fragment"))
        ],
    }
    print(json.dumps(report))
    names.close()
    for server in servers:
        server.close()


async def confirm(wire: Wire, url: str) -> bool:
    """The confirm process with this address: did the merchant "say yes"?"""
    try:
        said = await ask_merchant(wire, url, "imp_1", "order", Money(100), timeouts=QUICK)
    except NotSent:
        return False
    return isinstance(said, Confirmed)


async def deliver(
    store: Store, deliverer: Deliverer, payment: Payment, url: str, number: int
) -> None:
    """One webhook to this address, by the worker's own hand."""
    async with store.begin() as tx:
        delivery_id = await tx.outbox.lay(
            webhook_id=f"msg_{number}",
            merchant_id=payment.merchant_id,
            imp_uid=payment.imp_uid,
            version=1,
            status="paid",
            cancellation_id=None,
            url=url,
            content_type="application/json",
            body=b"{}",
            mode="once",
        )
    assert delivery_id is not None
    await deliverer.deliver(delivery_id)


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1], int(sys.argv[2]), control="is_global" in sys.argv[3:]))
