"""Approvals, cancels, deposits and closings at once: one effect where one is due, and the books agree.

Each race is run again with its guard taken away; then it must show more than one effect.
"""

from __future__ import annotations

import asyncio
from contextlib import nullcontext
from typing import Any

import pytest

from naru.connectors.sandbox import Sandbox
from naru.domain.ids import MerchantUid
from naru.domain.outcome import Undone
from naru.domain.payment import Payment, Step
from naru.payments import charge
from naru.payments.gateway import Gateway
from naru.payments.reconcile import reconcile
from naru.payments.turns import Turns
from naru.store.intents import Intent, Intents
from naru.store.payments import Payments
from tests.races.arena import CROWD, Arena, crowd, together

pytestmark = pytest.mark.asyncio(loop_scope="module")

_ORDERS = iter(range(10**9))


def an_order() -> MerchantUid:
    return MerchantUid(f"raced-{next(_ORDERS)}")


# --- approvals ---------------------------------------------------------------------------------


async def _returns(arena: Arena) -> int:
    """Sixty-four returns of one payment; how often the PG was asked."""
    payment = await arena.house.open(64_000)
    before = arena.pg.count("approvals")
    statuses = await crowd(lambda _: arena.come_back(payment))
    assert set(statuses) == {303}
    assert (await arena.house.payment(payment.imp_uid)).step is Step.PAID
    assert await arena.history(payment) == ["opened", "authenticated", "approved"]
    return arena.pg.count("approvals") - before


@pytest.mark.fault("B1_DU", "C1_DU", "C2_DU")
@pytest.mark.promise("P2", "P8", "P14")
async def test_sixty_four_returns_of_one_payment_ask_the_pg_once(arena: Arena, rounds: int) -> None:
    for _ in range(rounds):
        assert await _returns(arena) == 1
        assert await arena.differences() == []


async def test_control_without_the_claim_the_pg_is_asked_by_everybody(
    broken: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    from naru.payments import approve

    claim, first = approve.claim, []

    async def unclaimed(gateway: Gateway, payment: Payment, *rest: Any) -> Payment | None:
        if not first:
            first.append(True)
            return await claim(gateway, payment, *rest)
        return payment

    monkeypatch.setattr(approve, "claim", unclaimed)
    asked = await _returns(broken)
    print(f"\nreturns: the PG is asked once with the claim, {asked} times without")
    assert asked > 1


async def _one_order(arena: Arena) -> tuple[int, list[Step]]:
    """Sixty-four payments of one order come back; the PG's charges, and how they ended."""
    uid = an_order()
    payments = [await arena.house.open(1_000, merchant_uid=uid) for _ in range(CROWD)]
    before = len(arena.pg.book)
    await crowd(lambda n: arena.come_back(payments[n]))
    ended = [(await arena.house.payment(each.imp_uid)).step for each in payments]
    return len(arena.pg.book) - before, ended


@pytest.mark.fault("A2_DU", "C1_DU")
@pytest.mark.promise("P2")
async def test_sixty_four_payments_of_one_order_are_one_charge(arena: Arena, rounds: int) -> None:
    for _ in range(rounds):
        charges, ended = await _one_order(arena)
        assert charges == 1
        assert sorted(ended) == [Step.FAILED] * (CROWD - 1) + [Step.PAID]
        assert await arena.differences() == []


async def test_control_without_the_index_one_order_is_charged_again(broken: Arena) -> None:
    await broken.rows("DROP INDEX one_approval_per_order")
    charges, ended = await _one_order(broken)
    print(f"\none order: 1 charge with the index, {charges} without")
    assert charges > 1
    assert ended.count(Step.PAID) == charges


async def _charges(arena: Arena) -> tuple[int, list[bool]]:
    """Sixty-four charges of one order by one key; the PG's charges, and who heard of success."""
    uid = an_order()
    customer = {"customer_uid": f"customer-{uid}"}
    kept = await arena.ask(
        "POST",
        f"/subscribe/customers/{customer['customer_uid']}",
        {"card_number": "4518421234567811", "expiry": "2049-12"},
    )
    assert kept.done, kept.body
    before = len(arena.pg.book)
    body = {**customer, "merchant_uid": uid, "amount": 1_000, "name": "x"}
    heard = await crowd(lambda _: arena.ask("POST", "/subscribe/payments/again", body))
    assert {each.words for each in heard if not each.done} <= {
        (200, 1, "이미 결제가 이루어진 거래건입니다.")
    }
    return len(arena.pg.book) - before, [each.done for each in heard]


@pytest.mark.fault("G2_DU")
@pytest.mark.promise("P2")
async def test_sixty_four_charges_of_one_order_by_its_key_are_one_charge(
    arena: Arena, rounds: int
) -> None:
    for _ in range(rounds):
        charges, heard = await _charges(arena)
        assert charges == heard.count(True) == 1
        assert await arena.differences() == []


async def test_control_without_the_index_the_key_is_charged_again(
    broken: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    everybody = asyncio.Barrier(CROWD)

    async def impatient(*_: object) -> None:
        """As 64 processes that look in the same moment, and nobody charges yet."""
        await everybody.wait()

    monkeypatch.setattr(Turns, "take", lambda *_, **__: nullcontext())
    monkeypatch.setattr(charge, "_wait_for_others", impatient)
    await broken.rows("DROP INDEX one_approval_per_order")
    charges, heard = await _charges(broken)
    print(f"\none order by its key: 1 charge with the index, {charges} without")
    assert charges > 1
    assert heard.count(True) == charges


# --- cancels -----------------------------------------------------------------------------------


def _part(number: int) -> int:
    return 4_000 * (1 + number % 7)


async def _cancels(
    arena: Arena, kind: str, payment: Payment | None = None, size: int = CROWD
) -> tuple[Payment, list[Any], int]:
    """The payment after so many cancels, what they heard, and how often the PG was asked."""
    payment = payment or await arena.paid(64_000)
    before = arena.pg.count("cancels")

    async def give_back(number: int) -> Any:
        match kind:
            case "whole":
                return await arena.cancel(payment)
            case "checksum":
                return await arena.cancel(payment, 1_000 + number, checksum=64_000)
            case "key":
                return await arena.cancel(payment, 1_000, key=f"key-{payment.imp_uid}")
            case _:
                return await arena.cancel(payment, _part(number))

    said = await crowd(give_back, size)
    after = await arena.house.payment(payment.imp_uid)
    return after, said, arena.pg.count("cancels") - before


@pytest.mark.fault("F1_DU", "F2_DU", "F3_DU")
@pytest.mark.promise("P1", "P14")
async def test_sixty_four_full_cancels_are_one(arena: Arena, rounds: int) -> None:
    for _ in range(rounds):
        payment, said, asked = await _cancels(arena, "whole")
        assert payment.step is Step.CANCELLED
        assert [answer.done for answer in said].count(True) == 1
        refused = {answer.words for answer in said if not answer.done}
        assert refused == {(200, 1, "이미 전액취소된 주문입니다.")}
        assert asked == 1
        assert await arena.differences() == []


@pytest.mark.fault("F1_DU", "F2_DU", "F3_DU")
@pytest.mark.promise("P1", "P14")
async def test_partial_cancels_of_different_amounts_never_give_back_too_much(
    arena: Arena, rounds: int
) -> None:
    for _ in range(rounds):
        payment, said, asked = await _cancels(arena, "parts")
        given = [_part(n) for n, answer in enumerate(said) if answer.done]
        # Together they ask for sixteen times the amount. Who was refused asked for more than is left.
        assert payment.cancelled.minor == sum(given) <= 64_000
        assert len(payment.cancellations) == len(given) == asked
        left = 64_000 - sum(given)
        for number, answer in enumerate(said):
            if not answer.done:
                assert _part(number) > left
                assert answer.words in (
                    (200, 1, "취소 요청금액이 취소 가능금액을 초과하였습니다."),
                    (200, 1, "이미 전액취소된 주문입니다."),
                )
        assert await arena.differences() == []


@pytest.mark.fault("F1_DU")
@pytest.mark.promise("P7")
async def test_one_checksum_is_spent_once(arena: Arena, rounds: int) -> None:
    for _ in range(rounds):
        payment, said, asked = await _cancels(arena, "checksum")
        assert [answer.done for answer in said].count(True) == asked == 1
        refused = {answer.words for answer in said if not answer.done}
        assert refused == {(200, 1, "취소 가능금액이 요청하신 checksum 과 일치하지 않습니다.")}
        assert len(payment.cancellations) == 1
        assert await arena.differences() == []


@pytest.mark.fault("F1_DU", "F2_DU")
@pytest.mark.promise("P6")
async def test_one_idempotency_key_through_two_gateways_is_one_cancel(
    arena: Arena, rounds: int
) -> None:
    for _ in range(rounds):
        payment, said, asked = await _cancels(arena, "key")
        assert len({(answer.status, answer.raw) for answer in said}) == 1
        assert said[0].done
        assert (payment.cancelled.minor, asked) == (1_000, 1)
        assert await arena.differences() == []


@pytest.mark.parametrize("kind", ["whole", "checksum"])
async def test_control_without_the_row_lock_and_the_index_the_pg_is_asked_more_than_once(
    broken: Arena, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    async def unlocked(self: Payments, imp_uid: str, merchant_id: int) -> Payment | None:
        return await self.get_of_merchant(imp_uid, merchant_id)

    async def nobody(self: Intents, imp_uid: str) -> Intent | None:
        return None

    payment = await broken.paid(64_000)
    await broken.rows("DROP INDEX one_open_intent")
    monkeypatch.setattr(Turns, "take", lambda *_, **__: nullcontext())
    monkeypatch.setattr(Payments, "lock", unlocked)
    monkeypatch.setattr(Intents, "of_payment", nobody)
    _, _, asked = await _cancels(broken, kind, payment)
    print(f"\n{kind}: one question to the PG with the guards, {asked} without")
    assert asked > 1


async def test_control_without_reading_the_key_every_request_is_a_cancel(
    broken: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("naru.rest.door.read_key", lambda headers: None)
    payment, _, asked = await _cancels(broken, "key", size=8)
    print(f"\none key: 1 cancel when it is read, {asked} when not")
    assert len(payment.cancellations) == asked > 1


@pytest.mark.fault("K1_DU")
@pytest.mark.promise("P14")
async def test_cancels_and_workers_after_a_lost_answer_are_one_cancel(
    arena: Arena, rounds: int
) -> None:
    for _ in range(rounds):
        payment, inquiries = await _doubtful(arena)
        assert len(payment.cancellations) == 1
        assert payment.cancelled.minor == 1_000
        assert inquiries == 1
        assert await arena.differences() == []


async def _doubtful(arena: Arena) -> tuple[Payment, int]:
    """One cancel's answer is lost; then 32 workers and 32 buyers' servers at once. Inquiries made."""
    payment = await arena.paid(64_000)
    arena.pg.hang_up("cancels", done=True)
    lost = await arena.cancel(payment, 1_000)
    assert not lost.done
    arena.house.clock.advance(seconds=6)
    before = arena.pg.count("cancels")

    async def either(number: int) -> object:
        if number % 2:
            return await reconcile(arena.house.gateway, payment.imp_uid)
        # The checksum of before: right until the doubt ends, wrong after.
        return await arena.cancel(payment, 1_000, checksum=64_000)

    await crowd(either)
    inquiries = arena.pg.count("cancels") - before
    return await arena.house.payment(payment.imp_uid), inquiries


async def test_control_without_the_lease_many_workers_ask(
    broken: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def unleased(self: Intents, imp_uid: str, until: object, now: object) -> Intent | None:
        return await self.of_payment(imp_uid)

    monkeypatch.setattr(Intents, "lease", unleased)
    payment, inquiries = await _doubtful(broken)
    print(f"\na doubt: 1 inquiry with the lease, {inquiries} without")
    assert inquiries > 1
    # Even so it is booked once: the ending is compare-and-swap.
    assert len(payment.cancellations) == 1


# --- virtual accounts --------------------------------------------------------------------------


async def _same_notice(arena: Arena) -> int:
    """One deposit, told sixty-four times; how often it was booked."""
    payment = await arena.account()
    key = arena.pg.pay_in(payment.pg_order_no, 64_000)
    heard = await crowd(lambda _: arena.notice(payment, key))
    assert set(heard) == {(200, b"OK")}
    assert (await arena.house.payment(payment.imp_uid)).step is Step.PAID
    assert (await arena.history(payment)).count("deposited") == 1
    [row] = await arena.rows(
        "SELECT count(*) AS booked FROM deposits WHERE imp_uid = $1", payment.imp_uid
    )
    return int(row["booked"])


@pytest.mark.fault("I2_DU")
@pytest.mark.promise("P16")
async def test_one_deposit_told_sixty_four_times_is_booked_once(arena: Arena, rounds: int) -> None:
    for _ in range(rounds):
        assert await _same_notice(arena) == 1
        assert await arena.differences() == []


async def test_control_without_the_key_every_notice_is_booked(broken: Arena) -> None:
    await broken.rows("ALTER TABLE deposits DROP CONSTRAINT deposits_pkey CASCADE")
    booked = await _same_notice(broken)
    print(f"\none deposit: booked once with its key, {booked} times without")
    assert booked > 1


async def _two_accounts(arena: Arena) -> list[tuple[Step, bool]]:
    """Two accounts of one order are paid at once, each told 32 times: their steps and flags."""
    uid = an_order()
    payments = [await arena.account(merchant_uid=uid) for _ in range(2)]
    keys = [arena.pg.pay_in(each.pg_order_no, 64_000) for each in payments]
    await crowd(lambda n: arena.notice(payments[n % 2], keys[n % 2]))
    ended = [await arena.house.payment(each.imp_uid) for each in payments]
    return sorted((each.step, each.flagged) for each in ended)


@pytest.mark.fault("I1_DU", "I2_DU")
@pytest.mark.promise("P2", "P16")
async def test_two_accounts_of_one_order_are_both_booked_and_one_is_flagged(
    arena: Arena, rounds: int
) -> None:
    for _ in range(rounds):
        assert await _two_accounts(arena) == [(Step.PAID, False), (Step.PAID, True)]
        tasks = await arena.rows(
            "SELECT 1 FROM operator_tasks WHERE kind = 'order_paid_twice' AND closed_at IS NULL"
        )
        assert tasks
        assert await arena.differences() == []


async def test_control_without_the_index_nobody_notices_the_second_payment(broken: Arena) -> None:
    await broken.rows("DROP INDEX one_approval_per_order")
    assert await _two_accounts(broken) == [(Step.PAID, False)] * 2


async def _a_barcode(arena: Arena) -> Payment:
    """A payment whose barcode may be paid at a till."""
    body = {"merchant_uid": an_order(), "amount": 64_000, "name": "당근"}
    issued = await arena.ask("POST", "/cvs", body)
    assert issued.done, issued.body
    return await arena.house.payment(issued.body["response"]["imp_uid"])


async def _close_and_deposit(arena: Arena, path: str) -> Step:
    """Closing and deposit of one account or barcode at once; the PG takes whichever comes first."""
    payment = await (arena.account() if path == "/vbanks" else _a_barcode(arena))
    order = arena.pg.orders[payment.pg_order_no]

    async def pay_in() -> None:
        if order["state"] == "waiting_deposit":
            key = arena.pg.pay_in(payment.pg_order_no, 64_000)
            await crowd(lambda _: arena.notice(payment, key), CROWD // 2)

    async def close() -> None:
        await crowd(lambda _: arena.ask("DELETE", f"{path}/{payment.imp_uid}"), CROWD // 2)

    async def later() -> None:
        # The buyer's bank is as fast as the merchant's server, give or take.
        for _ in range(next(_ORDERS) % 40):
            await asyncio.sleep(0)
        await pay_in()

    await together(close(), later())
    return (await arena.house.payment(payment.imp_uid)).step


@pytest.mark.parametrize("path", ["/vbanks", "/cvs"])
@pytest.mark.fault("I2_DU")
@pytest.mark.promise("P3", "P16")
async def test_closing_and_deposit_at_once_end_as_the_pg_decided(
    arena: Arena, rounds: int, path: str
) -> None:
    for _ in range(rounds * 2):
        assert await _close_and_deposit(arena, path) in (Step.PAID, Step.FAILED)
        # The PG's order decides which: the books say the same as the PG's.
        assert await arena.differences() == []


async def test_control_a_closing_that_does_not_ask_the_pg_loses_a_deposit(
    broken: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def close_without_asking(self: Sandbox, channel: object, order_no: str) -> Undone:
        return Undone()

    monkeypatch.setattr(Sandbox, "close_account", close_without_asking)
    payment = await broken.account()
    await broken.ask("DELETE", f"/vbanks/{payment.imp_uid}")
    await broken.notice(payment, broken.pg.pay_in(payment.pg_order_no, 64_000))
    assert any(payment.pg_order_no in each for each in await broken.differences())
