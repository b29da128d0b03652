"""Line breaks and control characters in everything a stranger can send: no header, no log line of theirs.

Real HTTP to all three doors and a real sandbox PG behind them. Both measures have their control: a
server that does copy a line break, and the plain formatter of the library.
"""

from __future__ import annotations

import asyncio
import io
import json
import logging
import re
import shutil
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import quote, quote_plus

import pytest
import pytest_asyncio
from starlette.applications import Starlette

from naru import notices
from naru.checkout.returns import done_url
from naru.cli.logs import OneLine
from naru.domain.ids import hash_secret
from naru.payments.abandon import abandon
from naru.payments.start import start
from naru.rest import Door, operations
from tests.checkout.browser import serve
from tests.checkout.gate import SHOP, Gate, open_gate
from tests.rudeness.raw import Heard, request, send
from tests.sandbox.stage import running
from tests.support.postgres import Databases

MARK = "Injected"
PAYLOADS = [
    f"x\r\n{MARK}: yes",
    f"x\n{MARK}: yes",
    f"x\r{MARK}: yes",
    f"x\r\n\r\n<script>{MARK}</script>",
    f"x\n2026-01-01T00:00:00Z ERROR naru.app: {MARK}",
    f"x\u2028{MARK}\u2029\x85\x0b\x0c\x1c\x1d",
    f"x\x00\x1b[2J{MARK}\x9b\u202e",
    f"x%0d%0a{MARK}:%20yes",
    f"x%E5%98%8A%E5%98%8D{MARK}: yes",
    f"x\u560a\u560d{MARK}: yes",
]
LINE = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ [A-Z]+ [\w.]+: .+")


@dataclass
class Doors:
    """The three doors, and a token of the merchant's."""

    gate: Gate
    rest: str
    notices: str
    token: str


@pytest_asyncio.fixture(loop_scope="session")
async def doors(databases: Databases, tmp_path: Path) -> AsyncIterator[Doors]:
    async with open_gate(databases.new(), await _ledger(tmp_path)) as gate:
        gateway = gate.house.gateway
        async with gateway.store.begin() as tx:
            await tx.merchants.add_key(gate.house.merchant.id, "imp_key", hash_secret("imp_secret"))
        async with (
            serve(Door(gateway, operations())) as rest,
            serve(Starlette(routes=notices.routes(gateway))) as noticed,
        ):
            body = b'{"imp_key":"imp_key","imp_secret":"imp_secret"}'
            signed_in = await send(
                rest,
                request("POST", "/users/getToken", body, {"Content-Type": "application/json"}),
            )
            token = json.loads(signed_in.body)["response"]["access_token"]
            yield Doors(gate, rest, noticed, token)


async def _ledger(folder: Path) -> Path:
    path = folder / "sandbox.sqlite3"
    async with running(path):
        pass
    shutil.copy(path, folder / "copy.sqlite3")
    return folder / "copy.sqlite3"


@contextmanager
def logged(formatter: logging.Formatter) -> Iterator[io.StringIO]:
    """What all loggers of this process write from here on, as this formatter writes it."""
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(formatter)
    root = logging.getLogger()
    level = root.level
    root.addHandler(handler)
    root.setLevel(logging.INFO)
    try:
        yield stream
    finally:
        root.removeHandler(handler)
        root.setLevel(level)


def attacks(doors: Doors, text: str) -> Iterator[tuple[str, bytes]]:
    """Each field that is forwarded, kept or logged, with this text in it: to which door, which bytes."""
    key = doors.gate.house.channel.channel_key
    as_json = {"Content-Type": "application/json"}
    ours = {"Authorization": doors.token} | as_json

    def packed(value: object) -> bytes:
        return json.dumps(value).encode()

    for template in (
        "/payments/{}",
        "/payments/find/{}",
        "/payments/prepare/{}",
        "/{}",
        "/vbanks/{}",
    ):
        yield doors.rest, request("GET", template.format(quote(text, safe="%")), b"", ours)
    yield doors.rest, request("GET", f"/payments/imp_1?_token={quote_plus(text)}")
    yield (
        doors.rest,
        request("POST", "/users/getToken", packed({"imp_key": text, "imp_secret": text}), as_json),
    )
    for fields in (
        {"merchant_uid": text, "amount": 100},
        {"merchant_uid": "o1", "amount": text},
        {"merchant_uid": "o1", "amount": 100, text: text},
    ):
        yield doors.rest, request("POST", "/payments/prepare", packed(fields), ours)
    yield (
        doors.rest,
        request(
            "POST",
            "/payments/cancel",
            packed({"imp_uid": text, "merchant_uid": text, "reason": text}),
            ours,
        ),
    )
    for name in ("User-Agent", "Authorization", "X-ImpTokenHeader", "Content-Type", "Idempotency-Key",
                 "X-Forwarded-For", "Origin", "Referer", "Cookie"):  # fmt: skip
        for line in ({name: text}, {name: text.replace("\n", "").replace("\r", "")}):
            yield doors.rest, request("GET", "/payments/imp_1", b"", line)
            yield (
                doors.gate.url,
                request("POST", "/checkout/payments", packed(doors.gate.body()), line),
            )
    origin = {"Origin": SHOP, "Content-Type": "text/plain"}
    for name in ("merchant_uid", "name", "buyer_name", "buyer_email", "buyer_tel", "buyer_addr", "pg",
                 "m_redirect_url", "notice_url", "confirm_url", "app_scheme", "language", "currency",
                 "custom_data", "pay_method", "channelKey", "vbank_due"):  # fmt: skip
        for value in (text, f"http://localhost:7001/{text}", {text: text}):
            body = packed(doors.gate.body({name: value}))
            yield doors.gate.url, request("POST", "/checkout/payments", body, origin)
    for name in ("user_code", "page_url", "surface", "mode", "request_id", "tier_code"):
        body = packed(doors.gate.body({}, **{name: text}))
        yield doors.gate.url, request("POST", "/checkout/payments", body, origin)
    for path in (
        "/checkout/window/{}",
        "/checkout/enter/{}",
        "/checkout/done/{}?proof={}",
        "/checkout/{}",
    ):
        yield doors.gate.url, request("GET", path.replace("{}", quote(text, safe="%")))
    form = "&".join(
        f"{name}={quote_plus(text)}" for name in ("mid", "order_no", "message", "signature")
    )
    yield doors.gate.url, request(
        "POST", f"/checkout/return/{quote(text, safe='%')}", form.encode(),
        {"Content-Type": "application/x-www-form-urlencoded"},
    )  # fmt: skip
    for path in (key, quote(text, safe="%")):
        signature = text.replace("\n", "").replace("\r", "").replace("\x00", "")
        yield doors.notices, request(
            "POST", f"/notices/{path}", packed({"notice_id": text}),
            {"X-Sandbox-Timestamp": "1", "X-Sandbox-Signature": signature},
        )  # fmt: skip


def split(heard: Heard) -> bool:
    """Did a part of the answer's head come from the attacker?"""
    return MARK.lower() in heard.headers or any(
        f"\n{MARK}".lower() in value.lower() for value in heard.headers.values()
    )


@pytest.mark.asyncio(loop_scope="session")
async def test_no_field_of_a_stranger_becomes_a_header_or_a_log_line(
    doors: Doors, capsys: pytest.CaptureFixture[str]
) -> None:
    free, count = asyncio.Semaphore(16), 0

    async def one(origin: str, sent: bytes) -> None:
        nonlocal count
        async with free:
            heard = await send(origin, sent)
        count += 1
        assert heard.status < 500, (sent, heard.body)
        assert not split(heard), sent

    with logged(OneLine()) as stream, logged(logging.Formatter("%(asctime)s %(message)s")) as plain:
        await asyncio.gather(
            *(one(*attack) for text in PAYLOADS for attack in attacks(doors, text))
        )
        # What is kept and logged later: a webhook's answer, a PG's refusal, an error of our own.
        for text in PAYLOADS:
            logging.getLogger("naru.test").error("%s", text)
    lines = stream.getvalue().splitlines()
    assert len(lines) >= len(PAYLOADS)
    assert [line for line in lines if not LINE.fullmatch(line)] == []
    forged = [
        line for line in plain.getvalue().splitlines() if line.startswith((MARK, "2026-01-01T"))
    ]
    assert forged, "the control: the library's formatter lets a stranger begin a line"
    with capsys.disabled():
        print(
            f"\ninjection: {count} requests, 0 headers split, {len(lines)} log lines, 0 forged;"
            f" control, the plain formatter: {len(forged)} forged"
        )


@pytest.mark.asyncio(loop_scope="session")
@pytest.mark.parametrize("text", PAYLOADS)
async def test_a_redirect_holds_no_line_break_even_if_the_address_in_the_database_does(
    doors: Doors, text: str
) -> None:
    """The address was checked on its way in; its way out does not lean on that."""
    gate = doors.gate
    stored = text.replace("\x00", "")
    opening = gate.house.opening(return_url=f"{SHOP}/done?a={stored}", window_mode="redirect")
    payment, _ = await start(gate.house.gateway, opening)
    await abandon(gate.house.gateway, payment.imp_uid, "X", stored)
    address = done_url(gate.house.gateway, payment)
    heard = await send(gate.url, request("GET", address.removeprefix(gate.url)))
    assert heard.status == 302
    assert heard.headers["location"].startswith(SHOP)
    assert not split(heard)


async def test_the_measure_hears_a_header_that_was_split() -> None:
    """The control: a server that copies what it is told into its head."""

    async def copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        body = f"HTTP/1.1 302 X\r\nLocation: {PAYLOADS[0]}\r\nContent-Length: 0\r\n\r\n"
        writer.write(body.encode())
        await writer.drain()
        writer.close()

    @asynccontextmanager
    async def copier() -> AsyncIterator[str]:
        server = await asyncio.start_server(copy, "127.0.0.1", 0)
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
        server.close()

    async with copier() as origin:
        assert split(await send(origin, request("GET", "/")))
