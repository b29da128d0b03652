"""Public clients of i'mport, unmodified from the package registries, with only the base address changed.

Each is driven through its whole surface by a driver in its own language, which tells of every call
what came of it; a method that no driver calls is a failure.
"""

from __future__ import annotations

import asyncio
import json
import os
import secrets
import time
from pathlib import Path
from typing import Any

import pytest

from naru.cli import seed
from naru.domain.pg_profile import profile
from naru.sandbox.cards import CARD_BY_ID
from tests.clients.install import FOLDER, CannotInstall, node_clients, python_clients
from tests.journeys.test_pg_codes import authenticate, open_window, param_for
from tests.sandbox.stage import Json
from tests.support.parties import Parties

pytestmark = pytest.mark.asyncio(loop_scope="session")

HERE = Path(__file__).parent
SECONDS_MAX = 90
CARD = CARD_BY_ID["mpi-shinhan"]
# What these methods name is no operation of V1, but of the author's own stand-in for i'mport.
NOT_V1 = {"vbanks.update", "internal.webhook", "internal.deposit"}


async def ask(parties: Parties, method: str, path: str, body: Json | None = None) -> Any:
    """`response` of one operation, asked as any merchant's server would."""
    pair = {"imp_key": seed.IMP_KEY, "imp_secret": seed.IMP_SECRET}
    async with parties.http.post(f"{parties.gateway}/users/getToken", json=pair) as answer:
        token = (await answer.json())["response"]["access_token"]
    async with parties.http.request(
        method, parties.gateway + path, json=body, headers={"Authorization": token}
    ) as answer:
        told = await answer.json()
        assert told["code"] == 0, told
        return told["response"]


async def certified(parties: Parties) -> str:
    """A person who typed the code that came by SMS."""
    who = {"name": "김나루", "birth": "900101", "gender_digit": "1", "carrier": "SKT"}
    phone = a_phone()
    asked = await ask(parties, "POST", "/certifications/otp/request", who | {"phone": phone})
    code = await parties.sms_code()
    path = f"/certifications/otp/confirm/{asked['imp_uid']}"
    return str((await ask(parties, "POST", path, {"otp": code}))["imp_uid"])


def a_phone() -> str:
    return f"0104242{secrets.randbelow(10**4):04}"


async def paid(parties: Parties, pg: str, **asked: Any) -> str:
    """A payment that somebody made in the window of this PG."""
    _, opened = await open_window(parties, param_for(profile(pg), **asked))
    await authenticate(parties, opened)
    return str(opened["imp_uid"])


async def exchanged(parties: Parties, goods: list[Json]) -> str:
    """A Naver order whose buyer asked for another piece, and whose first one came back."""
    imp_uid = await paid(parties, "naverco", naverProducts=goods)
    path = f"/payments/{imp_uid}/naver"
    sent = {"delivery_method": "DIRECT_DELIVERY", "dispatched_at": int(time.time())}
    await ask(parties, "POST", f"{path}/place")
    [product] = await ask(parties, "POST", f"{path}/ship", sent)
    async with parties.http.post(
        f"{parties.sandbox}/mall/product-orders/{product['product_order_id']}",
        json={"act": "ask_exchange"},
        headers={"Origin": parties.sandbox},
    ) as answer:
        assert answer.status == 200, await answer.text()
    await ask(parties, "POST", f"{path}/collect-exchanged")
    return imp_uid


async def facts_for(parties: Parties, *wanted: str) -> Json:
    """What a driver is told, and what it finds when it begins."""
    facts: Json = {
        "base": parties.gateway,
        "sandbox": parties.sandbox,
        "key": seed.IMP_KEY,
        "secret": seed.IMP_SECRET,
        "prefix": f"c{secrets.token_hex(5)}",
        "card": {
            "number": "-".join(CARD.number[i : i + 4] for i in range(0, 16, 4)),
            "expiry": f"20{CARD.expiry[2:]}-{CARD.expiry[:2]}",
            "wrong": "0000-0000-0000-0000",
        },
        "phone": a_phone(),
        "today": time.strftime("%Y%m%d"),
    }
    if "certified" in wanted:
        facts["certified"] = [await certified(parties)]
    if "account" in wanted:
        account = {
            "merchant_uid": f"{facts['prefix']}account",
            "amount": 5_000,
            "vbank_code": "004",
            "vbank_due": int(time.time()) + 86_400,
            "vbank_holder": "나루",
        }
        facts["account"] = (await ask(parties, "POST", "/vbanks", account))["imp_uid"]
    if "paid" in wanted:
        facts["paid"] = [await paid(parties, "kcp")]
    if "payco" in wanted:
        facts["payco"] = await paid(parties, "payco")
    if "cash" in wanted:
        facts["cash"] = await paid(parties, "html5_inicis", pay_method="trans", amount=11_000)
        facts["escrow"] = await paid(
            parties, "html5_inicis", pay_method="trans", amount=11_000, escrow=True
        )
        channels = await ask(parties, "GET", "/users/pg")
        facts["channel_key"] = next(
            each["channel_key"] for each in channels if each["pg_provider"] == "html5_inicis"
        )
    if "naver" in wanted:
        goods = [{"id": "p1", "name": "나루 우산", "basePrice": 1004, "quantity": 1}]
        first = await paid(parties, "naverco", naverProducts=goods)
        second = await paid(parties, "naverco", naverProducts=goods)
        orders = await ask(parties, "GET", f"/payments/{first}/naver/product-orders")
        facts["naver"] = {
            "imp_uid": first,
            "second": second,
            "third": await paid(parties, "naverco", naverProducts=goods),
            "product_order_id": orders[0]["product_order_id"],
        }
        facts["naver"]["exchanged"] = await exchanged(parties, goods)
        facts["naverpay"] = await paid(parties, "naverpay")
    return facts


async def drive(command: list[str], facts: Json, cwd: Path) -> list[Json]:
    """What the driver told, line by line."""
    process = await asyncio.create_subprocess_exec(
        *command,
        cwd=cwd,
        env={
            **os.environ,
            "NARU_FACTS": json.dumps(facts),
            "NODE_PATH": str(FOLDER / "js/node_modules"),
        },
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    async with asyncio.timeout(SECONDS_MAX):
        out, err = await process.communicate()
    assert process.returncode == 0, f"{out.decode()}\n{err.decode()}"
    # Clients print, too.
    return [json.loads(line) for line in out.decode().splitlines() if line.startswith("{")]


def judge(lines: list[Json]) -> None:
    """Every call came out as its driver wants, and every method of the client was called."""
    wrong = [line for line in lines if not line.get("fits", True)]
    assert not wrong, json.dumps(wrong, ensure_ascii=False, indent=1)
    called = {line["call"] for line in lines if "call" in line}
    surface = {name for line in lines for name in line.get("surface", [])}
    assert len(surface) >= 5
    assert surface - called - NOT_V1 == set(), "nobody called these"


def here(install: Any) -> Path:
    try:
        path: Path = install()
    except CannotInstall as error:
        pytest.skip(f"LOUDLY: no public client was tried: {error}")
    return path


@pytest.mark.parametrize(
    ("client", "wanted"),
    [
        ("rest_client", ("certified", "account")),
        ("django", ("certified", "paid")),
    ],
)
async def test_a_python_client_works_as_it_is(
    client: str, wanted: tuple[str, ...], parties: Parties
) -> None:
    python = here(python_clients)
    facts = await facts_for(parties, *wanted)
    lines = await drive([str(python), str(HERE / "drive_python.py"), client], facts, HERE)
    judge(lines)


@pytest.mark.parametrize(
    ("client", "wanted"),
    [
        ("iamport", ("certified",)),
        ("iamporter", ("certified",)),
        ("official", ("certified", "cash", "payco", "naver")),
        ("server_api", ("cash",)),
    ],
)
async def test_a_javascript_client_works_as_it_is(
    client: str, wanted: tuple[str, ...], parties: Parties
) -> None:
    home = here(node_clients)
    facts = await facts_for(parties, *wanted)
    lines = await drive(["node", str(HERE / f"js/drive_{client}.js")], facts, home)
    judge(lines)
