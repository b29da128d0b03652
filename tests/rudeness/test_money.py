"""Pay less, pay once and take twice, get back more than was paid: none of it may work."""

from __future__ import annotations

import asyncio
import secrets
import time
from typing import Any

import pytest

from tests.rudeness.thief import Thief, new_order
from tests.support.parties import Parties, eventually

pytestmark = pytest.mark.asyncio(loop_scope="session")
MANY = 64


@pytest.mark.fault("E2_WD")
@pytest.mark.promise("P5")
async def test_a_payment_of_less_does_not_finish_an_order(parties: Parties, thief: Thief) -> None:
    order, price = await thief.order()
    # The announced price already refuses it; the shop must not need that.
    assert (await thief.try_open({"merchant_uid": order, "amount": price - 1}))[0] == 400
    announced = {"merchant_uid": order, "amount": price - 1}
    assert (await thief.rest("PUT", "/payments/prepare", announced))[1]["code"] == 0
    window = await thief.pay({"merchant_uid": order, "amount": price - 1})
    assert await thief.report(window.imp_uid, order) == (400, "forgery")
    assert parties.order(order).status == "placed"


@pytest.mark.fault("E2_WD")
@pytest.mark.promise("P5")
async def test_the_same_number_in_a_cheaper_currency_does_not_finish_an_order(
    parties: Parties, thief: Thief
) -> None:
    order, price = await thief.order()
    announced = {"merchant_uid": order, "amount": price, "currency": "KRW"}
    assert (await thief.rest("PUT", "/payments/prepare", announced))[1]["code"] == 0
    # The same digits in other units, and the same number of smallest units.
    for currency, amount in (("JPY", price), ("VND", price), ("USD", price / 100)):
        changes = {"currency": currency, "amount": amount, "pg": "paypal"}
        status, _ = await thief.try_open({"merchant_uid": order} | changes)
        assert status == 400, currency
    assert parties.order(order).status == "placed"


@pytest.mark.fault("E1_WD")
@pytest.mark.promise("P5")
async def test_one_payment_is_not_reported_for_another_order(
    parties: Parties, thief: Thief
) -> None:
    cheap, price = await thief.order()
    dear, _ = await thief.order()
    window = await thief.pay({"merchant_uid": cheap, "amount": price})
    assert await thief.report(window.imp_uid, dear) == (400, "forgery")
    assert parties.order(dear).status == "placed"
    assert await thief.report(window.imp_uid, cheap) == (200, "success")
    assert await thief.report(window.imp_uid, dear) == (400, "forgery")
    assert parties.order(dear).status == "placed"


@pytest.mark.fault("B1_WD")
@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("amount", "1"),
        ("amount", "01004"),
        ("amount", "1004.0"),
        ("currency", "JPY"),
        ("status", "approved"),
        ("status", "failed"),
        ("auth_token", "x"),
        ("auth_token", ""),
        ("mid", "other"),
        ("order_no", "other_order"),
        ("expires_at", "9999999999"),
        ("pay_method", "vbank"),
        ("signature", ""),
        ("signature", "0" * 64),
        ("signature", "\u00e9" * 64),
        ("code", "\n"),
    ],
)
async def test_a_changed_return_changes_nothing(thief: Thief, field: str, value: str) -> None:
    window = await thief.open()
    fields = await thief.prove(window)
    status, _ = await thief.bring_back(window.imp_uid, fields | {field: value})
    assert status == 400
    assert await thief.status(window.imp_uid) == "ready"


@pytest.mark.fault("B1_WD")
async def test_fields_cannot_change_places_behind_the_signature(thief: Thief) -> None:
    """The signature covers the fields joined by line breaks; none may slide into its neighbour."""
    window = await thief.open()
    fields = await thief.prove(window)
    slid = fields | {"auth_token": f"{fields['auth_token']}\n{fields['amount']}", "amount": ""}
    assert (await thief.bring_back(window.imp_uid, slid))[0] == 400
    slid = fields | {"code": f"{fields['code']}\n", "message": ""}
    del slid["message"]
    assert (await thief.bring_back(window.imp_uid, slid))[0] == 400
    assert await thief.status(window.imp_uid) == "ready"


@pytest.mark.fault("B1_WD")
async def test_a_return_of_one_payment_does_not_fit_another(parties: Parties, thief: Thief) -> None:
    cheap, dear = await thief.open({"amount": 100}), await thief.open({"amount": 90_000})
    same = await thief.open({"amount": 100})
    proof = await thief.prove(cheap)
    for other in (dear, same):
        status, place = await thief.bring_back(other.imp_uid, proof)
        assert (status, place) == (400, "")
        assert await thief.status(other.imp_uid) == "ready"
        assert await parties.book(other.merchant_uid) == []


@pytest.mark.fault("B1_DU", "C1_DU")
async def test_a_proof_brought_back_64_times_at_once_takes_the_money_once(
    parties: Parties, thief: Thief
) -> None:
    window = await thief.open()
    proof = await thief.prove(window)
    answers = await asyncio.gather(*(thief.bring_back(window.imp_uid, proof) for _ in range(MANY)))
    assert {status for status, _ in answers} == {303}
    assert len({place for _, place in answers}) == 1
    # Back and refresh, much later in the day.
    assert (await thief.bring_back(window.imp_uid, proof))[0] == 303
    assert await thief.status(window.imp_uid) == "paid"
    assert await parties.book(window.merchant_uid) == [("charge", 1004)]


@pytest.mark.fault("A2_DU")
@pytest.mark.promise("P2")
async def test_many_windows_of_one_order_take_the_money_once(
    parties: Parties, thief: Thief
) -> None:
    order = new_order()
    windows = await asyncio.gather(*(thief.open({"merchant_uid": order}) for _ in range(16)))
    proofs = await asyncio.gather(*(thief.prove(window) for window in windows))
    await asyncio.gather(
        *(
            thief.bring_back(window.imp_uid, proof)
            for window, proof in zip(windows, proofs, strict=True)
        )
    )
    statuses = [await thief.status(window.imp_uid) for window in windows]
    assert sorted(statuses) == ["failed"] * 15 + ["paid"]
    assert await parties.book(order) == [("charge", 1004)]
    status, told = await thief.try_open({"merchant_uid": order})
    assert (status, told["error"]["error_code"]) == (400, "F1002")


@pytest.mark.promise("P17")
async def test_an_announced_price_holds_at_every_hop(parties: Parties, thief: Thief) -> None:
    order = new_order()
    early = await thief.open({"merchant_uid": order, "amount": 100})
    _, told = await thief.rest(
        "POST", "/payments/prepare", {"merchant_uid": order, "amount": 90_000}
    )
    assert told["code"] == 0
    # A window that was open before, one that is opened now, and the amount as a parser trick.
    await thief.bring_back(early.imp_uid, await thief.prove(early))
    assert await thief.status(early.imp_uid) == "failed"
    for amount in (100, "100", 1e2, "90000.5", 89_999.999_999_999, "９０００１", True, [90_000]):
        status, _ = await thief.try_open({"merchant_uid": order, "amount": amount})
        assert status == 400, amount
    assert await parties.book(order) == []


@pytest.mark.fault("A1_RO")
@pytest.mark.promise("P17")
async def test_announcing_while_paying_never_lets_another_price_through(
    parties: Parties, thief: Thief
) -> None:
    orders = [new_order() for _ in range(12)]

    async def race(order: str) -> tuple[str, int]:
        window = await thief.open({"merchant_uid": order, "amount": 100})
        proof = await thief.prove(window)
        _, told = await thief.rest(
            "POST", "/payments/prepare", {"merchant_uid": order, "amount": 100}
        )
        assert told["code"] == 0
        (_, changed), _ = await asyncio.gather(
            thief.rest("PUT", "/payments/prepare", {"merchant_uid": order, "amount": 90_000}),
            thief.bring_back(window.imp_uid, proof),
        )
        return await thief.status(window.imp_uid), changed["code"]

    for order, (status, code) in zip(orders, await asyncio.gather(*map(race, orders)), strict=True):
        # Either the new price was too late, or the old one was not paid.
        assert (status == "paid") == (code != 0), (status, code)
        assert await parties.book(order) == ([("charge", 100)] if status == "paid" else [])


@pytest.mark.fault("F1_DU")
@pytest.mark.promise("P1")
async def test_64_refunds_at_once_never_give_back_more_than_was_paid(
    parties: Parties, thief: Thief
) -> None:
    window = await thief.pay({"amount": 1000})
    body = {"imp_uid": window.imp_uid, "amount": 300, "reason": "rude"}
    answers = await asyncio.gather(
        *(thief.rest("POST", "/payments/cancel", body) for _ in range(MANY))
    )
    given_back = [told for _, told in answers if told["code"] == 0]
    assert {status for status, _ in answers} == {200}
    assert len(given_back) == 3
    book = await parties.book(window.merchant_uid)
    assert sorted(book) == [("cancel", 300)] * 3 + [("charge", 1000)]
    _, told = await thief.rest("GET", f"/payments/{window.imp_uid}")
    assert told["response"]["cancel_amount"] == 900


@pytest.mark.fault("F1_DU")
@pytest.mark.promise("P7")
async def test_a_checksum_is_spent_once_however_many_spend_it(
    parties: Parties, thief: Thief
) -> None:
    window = await thief.pay({"amount": 1000})
    body = {"imp_uid": window.imp_uid, "amount": 10, "checksum": 1000}
    answers = await asyncio.gather(
        *(thief.rest("POST", "/payments/cancel", body) for _ in range(16))
    )
    assert [told["code"] for _, told in answers].count(0) == 1
    assert sorted(await parties.book(window.merchant_uid)) == [("cancel", 10), ("charge", 1000)]


@pytest.mark.fault("F1_WD")
@pytest.mark.promise("P9")
@pytest.mark.parametrize(
    "change",
    [
        {"amount": -300},
        {"amount": 1001},
        {"amount": 0.5},
        {"amount": 1e18},
        {"amount": "1e3x"},
        {"amount": 300, "checksum": 999},
        {"amount": 300, "checksum": "NaN"},
        {"amount": 300, "tax_free": 301},
        {"amount": 300, "tax_free": -1},
        {"amount": 300, "vat_amount": -300},
    ],
)
async def test_a_crooked_refund_gives_nothing_back(
    parties: Parties, thief: Thief, change: dict[str, Any]
) -> None:
    window = await thief.pay({"amount": 1000})
    _, told = await thief.rest("POST", "/payments/cancel", {"imp_uid": window.imp_uid} | change)
    assert told["code"] != 0
    assert await parties.book(window.merchant_uid) == [("charge", 1000)]
    assert await thief.status(window.imp_uid) == "paid"


async def test_cancelling_while_the_money_is_being_taken_leaves_one_truth(
    parties: Parties, thief: Thief
) -> None:
    window = await thief.open()
    proof = await thief.prove(window)
    cancel = {"imp_uid": window.imp_uid}
    await asyncio.gather(
        thief.bring_back(window.imp_uid, proof),
        *(thief.rest("POST", "/payments/cancel", cancel) for _ in range(8)),
        *(thief.abandon(window.imp_uid, window.token) for _ in range(8)),
    )
    status = await thief.status(window.imp_uid)
    book = await parties.book(window.merchant_uid)
    kinds = {
        "paid": ["charge"],
        "cancelled": ["charge", "cancel"],
        "failed": [],
    }
    assert [kind for kind, _ in book] == kinds[status]


async def test_a_paid_payment_cannot_be_abandoned_or_failed(parties: Parties, thief: Thief) -> None:
    window = await thief.open()
    proof = await thief.prove(window)
    await thief.bring_back(window.imp_uid, proof)
    status, told = await thief.abandon(window.imp_uid, window.token)
    assert (status, told["state"], told["result"]["success"]) == (200, "final", True)
    await thief.bring_back(window.imp_uid, proof | {"status": "failed"})
    assert await thief.status(window.imp_uid) == "paid"


@pytest.mark.fault("B1_RO")
async def test_an_abandoned_window_is_never_charged(parties: Parties, thief: Thief) -> None:
    window = await thief.open()
    proof = await thief.prove(window)
    assert (await thief.abandon(window.imp_uid, window.token))[1]["state"] == "final"
    assert (await thief.bring_back(window.imp_uid, proof))[0] == 303
    assert await thief.status(window.imp_uid) == "failed"
    assert await parties.book(window.merchant_uid) == []


async def issue_account(thief: Thief, amount: int = 1000) -> tuple[str, str, str]:
    """A virtual account: imp_uid, order, account number."""
    window = await thief.open({"pay_method": "vbank", "amount": amount})
    body = {"bank_code": "004", "holder": "김나루", "cash_receipt": None}
    await thief.bring_back(window.imp_uid, await thief.prove(window, "/vbank", body))
    _, told = await thief.rest("GET", f"/payments/{window.imp_uid}")
    return window.imp_uid, window.merchant_uid, str(told["response"]["vbank_num"])


async def deposit(thief: Thief, number: str, amount: int, at: int | None = None) -> None:
    body = {"number": number, "amount": amount, "depositor": "rude", "deposited_at": at}
    async with thief.http.post(
        f"{thief.parties.sandbox}/desk/deposits",
        json=body,
        headers={"Origin": thief.parties.sandbox},
    ) as answer:
        assert answer.status == 200, await answer.text()


async def meanings(parties: Parties, imp_uid: str, count: int) -> list[str]:
    """What each deposit of this payment meant, once as many are booked."""

    async def look() -> list[str] | None:
        rows = await parties.rows(
            "SELECT meaning FROM deposits WHERE imp_uid = $1 ORDER BY booked_at", imp_uid
        )
        return [row["meaning"] for row in rows] if len(rows) >= count else None

    return await eventually(look, f"{count} deposits of {imp_uid}")


@pytest.mark.fault("I2_WD")
@pytest.mark.promise("P16")
@pytest.mark.parametrize(
    ("amounts", "late", "status", "told"),
    [
        ([999], False, "ready", ["short"]),
        ([1001], False, "ready", ["over"]),
        ([400, 600], False, "paid", ["short", "exact"]),
        ([1000, 1000], False, "paid", ["exact", "after_end"]),
        ([1000], True, "ready", ["late"]),
    ],
)
async def test_only_the_exact_deposit_in_time_pays(
    parties: Parties, thief: Thief, amounts: list[int], late: bool, status: str, told: list[str]
) -> None:
    imp_uid, order, number = await issue_account(thief)
    at = int(time.time()) + 400 * 86_400 if late else None
    for count, amount in enumerate(amounts, 1):
        await deposit(thief, number, amount, at)
        await meanings(parties, imp_uid, count)
    assert await meanings(parties, imp_uid, len(told)) == told
    assert await thief.status(imp_uid) == status
    # A fact is booked whatever it means: nothing that arrived is lost.
    assert await parties.book(order) == [("deposit", amount) for amount in amounts]


@pytest.mark.fault("I2_RO")
@pytest.mark.promise("P16")
async def test_a_deposit_after_closing_pays_nothing_and_is_booked(
    parties: Parties, thief: Thief
) -> None:
    imp_uid, order, number = await issue_account(thief)
    _, closed = await thief.rest("DELETE", f"/vbanks/{imp_uid}")
    assert closed["code"] == 0
    before = await thief.status(imp_uid)
    async with thief.http.post(
        f"{parties.sandbox}/desk/deposits",
        json={"number": number, "amount": 1000, "depositor": "rude", "deposited_at": None},
        headers={"Origin": parties.sandbox},
    ) as answer:
        taken = answer.status == 200 and (await answer.json())["ok"]
    if taken:
        await meanings(parties, imp_uid, 1)
    assert await parties.book(order) == ([("deposit", 1000)] if taken else [])
    assert await thief.status(imp_uid) == before != "paid"


@pytest.mark.fault("I2_WD")
async def test_a_notice_without_the_right_secret_pays_nothing(
    parties: Parties, thief: Thief
) -> None:
    imp_uid, _, _ = await issue_account(thief)
    [row] = await parties.rows(
        "SELECT pg_order_no, pg_tid, mid, channel_id FROM payments WHERE imp_uid = $1", imp_uid
    )
    channels = await parties.rows("SELECT id, channel_key, mid FROM channels ORDER BY id")
    own = next(each for each in channels if each["id"] == row["channel_id"])
    other = next(each for each in channels if each["mid"] != row["mid"])
    member = await parties.member(other["mid"])
    notice = {
        "notice_id": "ntc_" + secrets.token_hex(8),
        "type": "deposited",
        "mid": row["mid"],
        "order_no": row["pg_order_no"],
        "tid": row["pg_tid"],
        "amount": 1000,
        "total": 1000,
        "currency": "KRW",
        "depositor": "rude",
        "deposited_at": int(time.time()),
    }

    async def tell(channel_key: str, secret: str, said: dict[str, Any], stamp: int) -> int:
        import hashlib
        import hmac
        import json

        body = json.dumps(said).encode()
        proof = hmac.new(secret.encode(), f"{stamp}.".encode() + body, hashlib.sha256).hexdigest()
        async with thief.http.post(
            f"{parties.gateway}/notices/{channel_key}",
            data=body,
            headers={"X-Sandbox-Timestamp": str(stamp), "X-Sandbox-Signature": proof},
        ) as answer:
            return answer.status

    now = int(time.time())
    mine = (await parties.member(row["mid"])).secret
    assert await tell(own["channel_key"], "guess", notice, now) == 400
    assert await tell(own["channel_key"], member.secret, notice, now) == 400
    assert await tell(own["channel_key"], mine, notice, now - 7_201) == 400
    assert await tell(own["channel_key"], mine, notice | {"mid": other["mid"]}, now) == 400
    for amount in (-1000, 0, 0.5, "1000", True, 10**30, None):
        assert await tell(own["channel_key"], mine, notice | {"amount": amount}, now) == 400
    # Another channel may speak truly of itself; it cannot pay a payment of this one.
    told = notice | {"mid": other["mid"]}
    assert await tell(other["channel_key"], member.secret, told, now) == 200
    assert await tell("channel-key-none", mine, notice, now) == 404
    assert await thief.status(imp_uid) == "ready"
    assert await meanings_of(parties, imp_uid) == []
    # The same true notice, many times at once, is one deposit.
    await asyncio.gather(*(tell(own["channel_key"], mine, notice, now) for _ in range(16)))
    assert await meanings_of(parties, imp_uid) == ["exact"]
    assert await thief.status(imp_uid) == "paid"


async def meanings_of(parties: Parties, imp_uid: str) -> list[str]:
    rows = await parties.rows("SELECT meaning FROM deposits WHERE imp_uid = $1", imp_uid)
    return [row["meaning"] for row in rows]
