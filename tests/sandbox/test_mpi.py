"""Card number, expiry, CVC, password; three wrong tries lock the card."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing

import pytest

from naru.sandbox.mpi import is_expired
from tests.sandbox.stage import Member, Pg

SHINHAN = "4518421234567811"


@pytest.mark.fault("B2_WD")
@pytest.mark.parametrize("change", [{"cvc": "999"}, {"expiry": "0149"}, {"password": "wrong"}])
async def test_anything_wrong_gets_the_same_answer(member: Member, change: dict[str, str]) -> None:
    window = await member.open(pay_method="card")
    answer = await window.pay_mpi(SHINHAN, **change)
    assert (answer["code"], answer["attempts_left"]) == ("CARD_AUTH_FAILED", 2)


async def test_three_wrong_passwords_lock_the_card_for_everyone(member: Member) -> None:
    window = await member.open(pay_method="card")
    for left in (2, 1):
        answer = await window.pay_mpi(SHINHAN, password="wrong")
        assert answer["attempts_left"] == left
    assert (await window.pay_mpi(SHINHAN, password="wrong"))["code"] == "CARD_LOCKED"
    other = await member.open(pay_method="card")
    assert (await other.pay_mpi(SHINHAN))["code"] == "CARD_LOCKED"


async def test_a_right_password_forgives_the_wrong_ones(member: Member) -> None:
    window = await member.open(pay_method="card")
    await window.pay_mpi(SHINHAN, password="wrong")
    await window.pay_mpi(SHINHAN, password="wrong")
    assert (await window.pay_mpi(SHINHAN))["ok"]
    window = await member.open(pay_method="card")
    assert (await window.pay_mpi(SHINHAN, password="wrong"))["attempts_left"] == 2


@pytest.mark.fault("B2_DU")
async def test_sixty_four_wrong_guesses_at_once_are_three(member: Member) -> None:
    windows = await asyncio.gather(*(member.open(pay_method="card") for _ in range(64)))
    answers = await asyncio.gather(
        *(window.pay_mpi(SHINHAN, password=f"guess{n}") for n, window in enumerate(windows))
    )
    codes = [answer["code"] for answer in answers]
    assert codes.count("CARD_AUTH_FAILED") == 2
    assert codes.count("CARD_LOCKED") == 62


async def test_a_locked_card_can_be_unlocked_at_the_first_page(pg: Pg, member: Member) -> None:
    window = await member.open(pay_method="card")
    for _ in range(3):
        await window.pay_mpi(SHINHAN, password="wrong")
    async with pg.http.post(
        f"{pg.url}/cards/mpi-shinhan/unlock", json={}, headers={"Origin": pg.url}
    ) as answer:
        assert answer.status == 200
    assert (await window.pay_mpi(SHINHAN))["ok"]


@pytest.mark.parametrize(
    ("number", "change", "code"),
    [
        ("4092-0230-1234-1234", {}, "CARD_REFUSED"),
        ("4092023012341234", {"cvc": "000", "password": "?"}, "CARD_REFUSED"),
        ("4518429000000032", {}, "CARD_LOST"),
        ("4518429000000040", {}, "CARD_STOLEN"),
        ("4518429000000057", {}, "CARD_EXPIRED"),
        (SHINHAN, {"expiry": "0120"}, "CARD_EXPIRED"),
    ],
)
async def test_cards_that_are_always_refused(
    member: Member, number: str, change: dict[str, str], code: str
) -> None:
    window = await member.open(pay_method="card")
    assert (await window.pay_mpi(number, **change))["code"] == code
    form = (await window.ok("/finish"))["return_form"]
    assert (form["fields"]["status"], form["fields"]["code"]) == ("failed", code)


@pytest.mark.parametrize(
    ("number", "code"),
    [("4518429000000016", "LIMIT_EXCEEDED"), ("4518429000000024", "BALANCE_SHORT")],
)
async def test_cards_that_the_approval_declines(member: Member, number: str, code: str) -> None:
    window = await member.open(pay_method="card")
    assert (await window.approve(await window.pay_mpi(number)))["code"] == code


async def test_numbers_of_other_styles_and_strangers_are_unknown(member: Member) -> None:
    window = await member.open(pay_method="card")
    assert (await window.pay_mpi("9410001234567801"))["code"] == "CARD_UNKNOWN"
    body = {"card_number": "4111111111111111", "expiry": "1249", "cvc": "123", "password": "x"}
    assert (await window.no("/mpi", body))["code"] == "CARD_UNKNOWN"


async def test_installments_are_those_of_the_order(member: Member) -> None:
    window = await member.open(pay_method="card", installments=[0, 3])
    answer = await window.pay_mpi(SHINHAN, installment_months=6)
    assert answer["code"] == "INSTALLMENT_NOT_OFFERED"
    small = await member.open(pay_method="card", amount=49999)
    answer = await small.pay_mpi(SHINHAN, installment_months=3)
    assert answer["code"] == "INSTALLMENT_NOT_OFFERED"


async def test_nothing_typed_is_in_the_ledger(pg: Pg, member: Member) -> None:
    window = await member.open(pay_method="card")
    await window.pay_mpi(SHINHAN, password="wrong-secret-1")
    await window.approve(await window.pay_mpi(SHINHAN))
    with closing(sqlite3.connect(pg.database)) as reading:
        dump = "\n".join(reading.iterdump())
    assert "451842******7811" in dump
    for secret in (SHINHAN, "wrong-secret-1", "naru1234", "159753"):
        assert secret not in dump


def test_a_card_lives_to_the_end_of_its_month_in_korea() -> None:
    end_of_january_2026_kst = 1769871599
    assert not is_expired("0126", end_of_january_2026_kst)
    assert is_expired("0126", end_of_january_2026_kst + 1)
