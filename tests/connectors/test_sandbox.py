"""The connector and the real sandbox PG, through the verbs. For naru/connectors/sandbox/.

Faults that the sandbox cannot make are played by the stand-in PG (tests/payments).
"""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
from collections.abc import AsyncIterator
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from naru.connectors import UnknownConnector, find, names
from naru.connectors.sandbox import Sandbox
from naru.domain.cancellation import CancelRequest
from naru.domain.errors import ForgedReturn, OutcomeUnknown, PgRefused
from naru.domain.money import Money
from naru.domain.outcome import Deposited, NotFound, Undone
from naru.domain.payment import Payment, Step
from naru.payments.approve import approve
from naru.payments.cancel import cancel
from naru.payments.close_virtual_account import close_virtual_account
from naru.payments.issue_virtual_account import issue_virtual_account
from naru.payments.reconcile import reconcile
from naru.payments.start import enter_window
from tests.support.gateway import House, open_house
from tests.support.sandbox_pg import authenticate, join, sandbox_pg


@pytest.fixture
async def house(database_url: str, tmp_path: Path) -> AsyncIterator[House]:
    async with (
        sandbox_pg(tmp_path) as address,
        open_house(database_url, address, mid="naru_test", pg_code="kakaopay") as opened,
    ):
        await join(opened)
        yield opened


def sandbox(house: House) -> Sandbox:
    connector = house.gateway.connector_of(house.channel)
    assert isinstance(connector, Sandbox)
    return connector


async def buy(house: House, amount: int) -> Payment:
    payment = await house.open(amount, pay_method="kakaopay")
    fields = await authenticate(house, payment)
    ended = await approve(house.gateway, payment.imp_uid, fields)
    assert ended is not None
    return ended


async def test_a_payment_goes_the_whole_way_and_back(house: House) -> None:
    paid = await buy(house, 1004)
    assert paid.step is Step.PAID
    assert paid.pg_tid
    request = CancelRequest(amount=Money(400), reason="변심")
    part = await cancel(house.gateway, house.merchant.id, paid.imp_uid, request)
    assert part.balance == Money(604)
    rest = await cancel(house.gateway, house.merchant.id, paid.imp_uid, CancelRequest())
    assert rest.step is Step.CANCELLED
    assert rest.cancellations[-1].amount == Money(604)
    with pytest.raises(ForgedReturn):
        await approve(house.gateway, (await house.open(1004)).imp_uid, {"signature": "x"})


async def test_a_window_that_is_entered_twice_is_the_same_window(house: House) -> None:
    payment = await house.open(1004, pay_method="kakaopay")
    first = await enter_window(house.gateway, payment, house.merchant)
    assert await enter_window(house.gateway, payment, house.merchant) == first


async def test_a_refusal_comes_in_the_pgs_own_words(house: House) -> None:
    failed = await buy(house, 900_001)
    assert (failed.step, failed.fail_code, failed.fail_reason) == (
        Step.FAILED,
        "LIMIT_EXCEEDED",
        "한도초과",
    )


@pytest.mark.fault("C2_LR", "C2_LQ")
@pytest.mark.promise("P3")
@pytest.mark.parametrize(
    ("amount", "end"),
    [
        (900_015, Step.PAID),  # the connection is cut, the deed done
        (900_016, Step.FAILED),  # cut, not done
        (900_017, Step.PAID),  # garbage
        (900_019, Step.PAID),  # an answer without the PG's signature
        (900_020, Step.PAID),  # an error page
    ],
)
async def test_a_doubtful_approval_is_found_out(house: House, amount: int, end: Step) -> None:
    doubtful = await buy(house, amount)
    assert doubtful.step is Step.APPROVING
    house.clock.advance(seconds=30)
    ended = await reconcile(house.gateway, doubtful.imp_uid)
    assert ended is not None
    assert ended.step is end
    state = await sandbox(house).inquire(house.channel, doubtful.pg_order_no)
    assert isinstance(state, Undone) == (end is Step.FAILED)


@pytest.mark.fault("C3_WD")
async def test_an_approval_of_another_amount_is_undone_at_once(house: House) -> None:
    failed = await buy(house, 900_018)
    assert failed.step is Step.FAILED
    assert (await house.history(failed.imp_uid))[-1] == "undone"
    state = await sandbox(house).inquire(house.channel, failed.pg_order_no)
    assert isinstance(state, Undone)


async def test_a_cancel_that_is_refused_and_an_order_that_nobody_knows(house: House) -> None:
    paid = await buy(house, 900_031)
    with pytest.raises(PgRefused):
        await cancel(house.gateway, house.merchant.id, paid.imp_uid, CancelRequest())
    assert (await house.payment(paid.imp_uid)).balance == Money(900_031)
    connector = sandbox(house)
    assert isinstance(await connector.inquire(house.channel, "n0000000"), NotFound)
    # A tombstone also for a number that was never seen.
    assert isinstance(await connector.net_cancel(house.channel, "n0000000", "?"), Undone)


async def test_sixteen_cancels_at_once_at_the_real_pg(house: House) -> None:
    paid = await buy(house, 1000)
    asked = CancelRequest(amount=Money(150))
    ends = await asyncio.gather(
        *(cancel(house.gateway, house.merchant.id, paid.imp_uid, asked) for _ in range(16)),
        return_exceptions=True,
    )
    given = sum(isinstance(each, Payment) for each in ends)
    assert given == 6
    assert (await house.payment(paid.imp_uid)).balance == Money(100)


async def test_an_account_is_issued_and_closed(house: House) -> None:
    waiting = await issue_virtual_account(
        house.gateway,
        house.opening(1004, pay_method="vbank"),
        bank_code="004",
        holder="나루",
        due=house.clock() + timedelta(days=1),
    )
    assert waiting.step is Step.WAITING_DEPOSIT
    assert waiting.virtual_account is not None
    assert waiting.virtual_account.bank_code == "004"
    closed = await close_virtual_account(house.gateway, house.merchant.id, waiting.imp_uid)
    assert closed.step is Step.FAILED


@pytest.mark.fault("F2_WD")
@pytest.mark.promise("P12")
async def test_a_secret_that_is_not_ours_makes_every_answer_doubtful(house: House) -> None:
    """We cannot prove who spoke, so nothing that was said counts; least of all a refusal."""
    paid = await buy(house, 1004)
    async with house.gateway.store.begin() as tx:
        await tx.channels.change_settings(
            house.channel.id, {**house.channel.settings, "secret": "x" * 32}
        )
    with pytest.raises(OutcomeUnknown):
        await cancel(house.gateway, house.merchant.id, paid.imp_uid, CancelRequest())


# --- notices --------------------------------------------------------------------------------------


def notice(house: House, **changes: Any) -> tuple[dict[str, str], bytes]:
    """A signed notice of a deposit; None as a value leaves the field out."""
    told = {
        "notice_id": "k1",
        "type": "deposited",
        "mid": house.channel.mid,
        "order_no": "n1",
        "tid": "t1",
        "amount": 1004,
        "total": 1004,
        "currency": "KRW",
        "depositor": "홍길동",
        "deposited_at": int(house.clock().timestamp()),
        **changes,
    }
    body = json.dumps({name: value for name, value in told.items() if value is not None}).encode()
    return sign(house, body), body


def sign(house: House, body: bytes, stamp: str | None = None) -> dict[str, str]:
    stamp = stamp if stamp is not None else str(int(house.clock().timestamp()))
    secret = house.channel.settings["secret"].encode()
    signature = hmac.new(secret, stamp.encode() + b"." + body, hashlib.sha256).hexdigest()
    return {"x-sandbox-timestamp": stamp, "x-sandbox-signature": signature}


async def test_a_signed_notice_is_read(house: House) -> None:
    read = sandbox(house).read_notice(house.channel, *notice(house))
    assert isinstance(read, Deposited)
    assert (read.amount, read.depositor, read.notice_key) == (Money(1004), "홍길동", "k1")
    assert sandbox(house).read_notice(house.channel, *notice(house, type="weather")) is None
    assert sandbox(house).acknowledge(True)[2] == b"OK"
    assert sandbox(house).acknowledge(False)[2] != b"OK"


async def test_whatever_is_no_notice_is_refused_and_never_a_crash(house: House) -> None:
    connector, channel = sandbox(house), house.channel
    forged: list[tuple[dict[str, str], bytes]] = [
        ({}, b""),
        ({"x-sandbox-signature": "\ud800", "x-sandbox-timestamp": "\ud800"}, b"{}"),
        (notice(house)[0], notice(house, amount=9)[1]),
        *((sign(house, body), body) for body in (b"", b"null", b"[]", b"\xff", b"[" * 60_000)),
        *((sign(house, b"{}", stamp), b"{}") for stamp in ("", "0", "-1", "²", "9" * 400, "x")),
    ]
    hostile: list[dict[str, Any]] = [
        {"mid": "another"},
        {"amount": 0},
        {"amount": -5},
        {"amount": True},
        {"amount": 1.5},
        {"amount": "1004"},
        {"amount": 10**30},
        {"currency": "XXX"},
        {"deposited_at": 10**30},
        {"deposited_at": -1},
        {"tid": ""},
        {"tid": "a\x00"},
        {"order_no": "\ud800"},
        {"notice_id": "k" * 9000},
        {"notice_id": None},
        {"type": None},
    ]
    forged.extend(notice(house, **each) for each in hostile)
    for headers, body in forged:
        with pytest.raises(ForgedReturn):
            connector.read_notice(channel, headers, body)
    headers, body = notice(house)
    with pytest.raises(ForgedReturn):
        connector.read_notice(
            replace(channel, settings={**channel.settings, "secret": "y" * 32}), headers, body
        )
    house.clock.advance(hours=3)
    with pytest.raises(ForgedReturn):
        connector.read_notice(channel, headers, body)


async def test_connectors_are_found_by_their_file(house: House) -> None:
    assert "sandbox" in names()
    for stranger in ("nobody", "../sandbox", "", "__init__", "sandbox.Sandbox"):
        with pytest.raises(UnknownConnector):
            find(stranger, house.gateway.pg_wire, house.clock)
