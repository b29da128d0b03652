"""Index, magic table, cards, inbox, desk and receipts, as pages and as JSON."""

from __future__ import annotations

import re

import pytest

from naru.sandbox import magic
from naru.sandbox.cards import CARD_BY_ID, CARDS, ISSUERS
from tests.sandbox.stage import Member, Pg


@pytest.mark.parametrize(
    "path", ["/", "/magic", "/inbox", "/desk", "/desk?number=%00x", "/till?barcode=%00x", "/quick"]
)
async def test_every_page_answers_under_a_strict_policy(pg: Pg, path: str) -> None:
    async with pg.http.get(pg.url + path) as answer:
        assert answer.status == 200
        assert answer.headers["Content-Type"].startswith("text/html")
        policy = answer.headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy
        assert "frame-ancestors 'none'" in policy
        assert "unsafe" not in policy


async def test_the_magic_table_is_served_as_json(pg: Pg) -> None:
    async with pg.http.get(f"{pg.url}/v1/magic") as answer:
        rows = (await answer.json())["magic"]
    assert [row["scenario"] for row in rows] == [s.name for s in magic.SCENARIOS]
    refused = next(row for row in rows if row["scenario"] == "refused_card")
    assert refused["card_number"] == "4092023012341234"


async def test_the_test_cards_are_listed(pg: Pg) -> None:
    async with pg.http.get(f"{pg.url}/cards") as answer:
        cards = (await answer.json())["cards"]
    assert {card["id"] for card in cards} == set(CARD_BY_ID)


async def test_a_receipt_shows_the_charge_and_nothing_secret(pg: Pg, member: Member) -> None:
    window = await member.open(pay_method="card", item_name="<b>우산</b>")
    approval = await window.approve(await window.pay_mpi("4518421234567811"))
    async with pg.http.get(approval["receipt_url"]) as answer:
        assert answer.status == 200
        page = await answer.text()
    assert "451842******7811" in page
    assert approval["approval_number"] in page
    assert "&lt;b&gt;우산" in page
    assert "4518421234567811" not in page
    async with pg.http.get(f"{pg.url}/receipts/sbx-nobody") as answer:
        assert answer.status == 404


async def test_what_a_buyer_reads_is_escaped_in_the_window(pg: Pg, member: Member) -> None:
    evil = "</script><script>alert(1)</script>"
    window = await member.open(item_name=evil, merchant_name=evil)
    async with pg.http.get(f"{pg.url}/window/{window.window_id}") as answer:
        assert "<script>alert" not in await answer.text()


async def test_unlocking_needs_a_known_card_and_our_own_page(pg: Pg) -> None:
    for card, origin, status in (
        ("mpi-nh", pg.url, 200),
        ("nobody", pg.url, 404),
        ("mpi-nh", "https://evil.example", 403),
    ):
        async with pg.http.post(
            f"{pg.url}/cards/{card}/unlock", json={}, headers={"Origin": origin}
        ) as answer:
            assert answer.status == status


def test_every_scenario_has_its_own_amount_and_words() -> None:
    amounts = [s.amount for s in magic.SCENARIOS if s.amount is not None]
    assert len(amounts) == len(set(amounts))
    for scenario in magic.SCENARIOS:
        assert scenario.ko
        assert scenario.en
        assert scenario.amount is not None or scenario.card_id in CARD_BY_ID
        assert (scenario.code is None) == (scenario.message == "")


def test_test_cards_are_well_formed() -> None:
    assert len({card.number for card in CARDS}) == len(CARDS)
    for card in CARDS:
        assert re.fullmatch(r"[0-9]{16}", card.number)
        assert card.issuer_code in ISSUERS
        assert card.scenario is None or card.scenario in magic.BY_NAME
