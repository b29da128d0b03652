"""What a buyer types at the PG stays there: not in the gateway's database, nor in anybody's log.

The same search runs over everything at the end of each process's journeys (conftest.py).
"""

from __future__ import annotations

import asyncpg
import pytest
from playwright.async_api import Request, expect

from naru.sandbox.cards import CARD_BY_ID
from tests.journeys.buyer import (
    CERTIFICATE_PASSWORD,
    Buyer,
    by_account,
    by_bank,
    by_isp,
    by_phone,
    by_pin,
    choose_card,
    fill_card,
)
from tests.journeys.conftest import WRONG_PASSWORD, search
from tests.support.canary import Secret, cells, hits, lines, typed_secrets
from tests.support.parties import Parties

pytestmark = pytest.mark.asyncio(loop_scope="session")

CARD = CARD_BY_ID["mpi-samsung"]


async def test_what_is_typed_at_the_pg_is_nowhere_else(buyer: Buyer, parties: Parties) -> None:
    elsewhere: list[tuple[str, str]] = []

    def keep(request: Request) -> None:
        if not request.url.startswith(parties.sandbox):
            said = request.url + "\n" + (request.post_data or "")
            elsewhere.append((request.url.partition("?")[0], said))

    buyer.page.context.on("request", keep)
    await buyer.order()
    await buyer.press_pay("card")
    await choose_card(buyer.layer, "365", "mpi")
    await fill_card(buyer.layer, CARD.id, WRONG_PASSWORD)
    await expect(buyer.layer.get_by_role("alert")).to_contain_text("2번")
    await fill_card(buyer.layer, CARD.id)
    await buyer.sees("paid")
    for method, way in (
        ("card", by_isp),
        ("card", by_pin),
        ("trans", by_bank),
        ("phone", by_phone),
    ):
        await buyer.order()
        await buyer.pay(method, way)
        await buyer.sees("paid")

    # Provoke a line, so that a log that is not read would be noticed.
    async with parties.http.post(
        f"{parties.gateway}/checkout/payments",
        data='{"user_code":"imp00000000","request_id":"req_1","param":{},"surface":"pc",'
        '"generation":"old","mode":null,"tier_code":null}',
        headers={"Origin": "http://stranger.example"},
    ) as answer:
        assert answer.status == 403
    assert "stranger.example" in parties.logs()["gateway"]
    assert "worker" in parties.logs()
    assert parties.codes_used

    # The search sees what may be kept: the masked number, as REST tells it.
    connection = await asyncpg.connect(parties.dsn)
    try:
        kept = {where for where, text in await cells(connection) if CARD.masked in text}
    finally:
        await connection.close()
    assert "public.payments.card_number" in kept
    secrets = typed_secrets(parties.codes_used, (CERTIFICATE_PASSWORD, WRONG_PASSWORD))
    assert hits(elsewhere, secrets) == set()
    assert await search(parties) == set()


async def test_who_pays_and_what_opens_doors_is_sealed(buyer: Buyer, parties: Parties) -> None:
    """The gateway tells them to whom they belong, and no table and no log of its own holds them."""
    number = await buyer.order()
    await buyer.pay("vbank", by_account)
    await buyer.sees("waiting_deposit")
    [payment] = await parties.payments(number)
    async with parties.store.direct() as session:
        case = await session.payments.case(payment.imp_uid)
    assert case is not None
    told = {
        "account": payment.vbank_num,
        "buyer's phone": payment.buyer_tel,
        "buyer's e-mail": payment.buyer_email,
        "buyer's address": payment.buyer_addr,
        "key of the PG": case.channel.settings["secret"],
        "webhook secret": (case.merchant.webhook_secret or "").split()[0],
    }
    secrets = [Secret(name, str(text)) for name, text in told.items() if text]
    assert {each.name for each in secrets} >= {"account", "buyer's phone", "key of the PG"}
    connection = await asyncpg.connect(parties.dsn)
    try:
        texts = list(await cells(connection))
    finally:
        await connection.close()
    assert hits(texts, secrets) == set()
    house = {name: text for name, text in parties.logs().items() if name in ("gateway", "worker")}
    assert hits(lines(house), secrets) == set()
    # The control: the name of what was bought may be kept, and is found.
    assert payment.name
    assert hits(texts, [Secret("name", payment.name)]) >= {("public.payments.name", "name")}


PLANTS = {
    "public.payments.user_agent": "UPDATE payments SET version = version + 1, event = event,"
    " user_agent = $1 WHERE imp_uid = $2",
    "public.channels.name": """UPDATE channels SET name = $1
        WHERE id = (SELECT channel_id FROM payments WHERE imp_uid = $2)""",
    # No blob, but bytes all the same: what a sealed column would hold if it were not sealed.
    "public.payment_secrets.sealed": """UPDATE payment_secrets
        SET sealed = convert_to($1, 'UTF8') WHERE imp_uid = $2""",
    "public.webhook_deliveries.body": """INSERT INTO webhook_deliveries (webhook_id, merchant_id,
        imp_uid, version, status, url, content_type, body, mode)
        SELECT 'planted', merchant_id, imp_uid, 99, 'paid', '', '', convert_to($1, 'UTF8'), 'once'
        FROM payments WHERE imp_uid = $2""",
    "public.merchants.allowed_origins": """UPDATE merchants SET allowed_origins = ARRAY[$1]
        WHERE id = (SELECT merchant_id FROM payments WHERE imp_uid = $2)""",
}
# What the database would refuse, it is told to let through.
BEFORE_PLANTING = {
    "public.payments.user_agent": ("ALTER TABLE payments DISABLE TRIGGER USER",),
    "public.payment_secrets.sealed": (
        "ALTER TABLE payment_secrets ALTER COLUMN data_key DROP NOT NULL",
    ),
}


@pytest.mark.parametrize("where", PLANTS)
async def test_a_planted_secret_is_found_in_the_database(where: str, parties: Parties) -> None:
    connection = await asyncpg.connect(parties.dsn)
    planting = connection.transaction()
    await planting.start()
    try:
        imp_uid = await planted_payment(parties)
        grouped = f"{CARD.number[:4]}-{CARD.number[4:8]} {CARD.number[8:]}"
        for planted, name in (
            (CARD.number, f"number of {CARD.id}"),
            (f"card {grouped};", f"number of {CARD.id}"),
            (CARD.cvc, f"CVC {CARD.cvc}"),
            ("pw=naru1234", "안심클릭 password"),
            ('{"pin": "159753"}', "PIN"),
            ("code 135791 sent", "SMS code"),
        ):
            attempt = connection.transaction()
            await attempt.start()
            for change in BEFORE_PLANTING.get(where, ()):
                await connection.execute(change)
            await connection.execute(PLANTS[where], planted, imp_uid)
            found = hits(await cells(connection), typed_secrets(["135791"]))
            assert (where, name) in found
            await attempt.rollback()
    finally:
        await planting.rollback()
        await connection.close()


async def planted_payment(parties: Parties) -> str:
    """A payment that exists: one opened for this, if no other journey was before us."""
    rows = await parties.rows("SELECT imp_uid FROM payments LIMIT 1")
    if rows:
        return str(rows[0]["imp_uid"])
    async with parties.http.post(
        f"{parties.gateway}/checkout/payments",
        data='{"user_code":"imp00000000","request_id":"req_1","surface":"pc","generation":"old",'
        '"mode":null,"tier_code":null,"param":{"pg":"kcp","amount":1004,"merchant_uid":"plant"}}',
        headers={"Origin": parties.shop},
    ) as answer:
        return str((await answer.json())["imp_uid"])


async def test_a_planted_secret_is_found_in_a_log() -> None:
    logs = {
        "shop": f"2026-11-22 21:40:01,{CARD.cvc} INFO started",
        "gateway": f"INFO asked {CARD.masked}\nINFO 222 ms, 010-1234-5678\nWARNING cvc={CARD.cvc}",
        "worker": "DEBUG sent {'password': 'naru1234'}",
    }
    assert hits(lines(logs), typed_secrets([])) == {
        ("gateway", f"CVC {CARD.cvc}"),
        ("worker", "안심클릭 password"),
    }
