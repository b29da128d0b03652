"""Tokens, announced amounts, and what readers see: races about words rather than money."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import Any

import pytest

from naru.domain.ids import MerchantUid
from naru.domain.money import Money
from naru.domain.payment import Payment, Step
from naru.domain.prepared import check_prepared
from naru.store.merchants import Merchants
from naru.store.payments import Payments
from naru.store.prepared import PreparedAmounts
from tests.races.arena import CROWD, Arena, Said, crowd, together
from tests.support.scale import often

pytestmark = pytest.mark.asyncio(loop_scope="module")

CANCELS = 6

# --- tokens ------------------------------------------------------------------------------------


async def _tokens(arena: Arena) -> list[str]:
    """Sixty-four sign in at once for the first time; the tokens that they heard."""
    from naru.domain.ids import hash_secret

    async with arena.house.gateway.store.begin() as tx:
        key = f"fresh-{id(tx):x}-{arena.house.clock().timestamp()}"
        await tx.merchants.add_key(arena.house.merchant.id, key, hash_secret("s" * 40))
    pair = {"imp_key": key, "imp_secret": "s" * 40}
    said = await crowd(lambda _: arena.ask("POST", "/users/getToken", pair))
    assert all(each.done for each in said)
    return [each.body["response"]["access_token"] for each in said]


@pytest.mark.fault("J1_DU")
@pytest.mark.promise("P22")
async def test_sixty_four_who_sign_in_at_once_hear_one_token(arena: Arena, rounds: int) -> None:
    for _ in range(rounds):
        assert len(set(await _tokens(arena))) == 1


@pytest.mark.skipif(not often(0, 1), reason="NIGHTLY: a crowd must meet by chance")
async def test_control_without_compare_and_swap_they_hear_different_tokens(
    broken: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def blindly(self: Merchants, *values: Any) -> bool:
        return True

    monkeypatch.setattr(Merchants, "renew_token", blindly)
    tokens = len(set(await _tokens(broken)))
    print(f"\nsigning in: 1 token with compare-and-swap, {tokens} without")
    assert tokens > 1


# --- announced amounts -------------------------------------------------------------------------


async def _announced(arena: Arena, returns: int = CROWD // 2) -> tuple[int, int | None]:
    """The amount of an order is changed while its payment comes back: announced, and paid."""
    payment = await arena.house.open(1_000)
    body = {"merchant_uid": payment.merchant_uid, "amount": 1_000}
    assert (await arena.ask("POST", "/payments/prepare", body)).done

    async def change(_: int) -> Said:
        return await arena.ask("PUT", "/payments/prepare", {**body, "amount": 900})

    await together(crowd(lambda _: arena.come_back(payment), returns), crowd(change, CROWD // 2))
    said = await arena.ask("GET", f"/payments/prepare/{payment.merchant_uid}")
    ended = await arena.house.payment(payment.imp_uid)
    paid = ended.amount.minor if ended.step is Step.PAID else None
    return said.body["response"]["amount"], paid


@pytest.mark.fault("A1_DU")
@pytest.mark.promise("P17")
async def test_an_amount_that_changes_during_the_approval_changes_before_it_or_not_at_all(
    arena: Arena, rounds: int
) -> None:
    for _ in range(rounds * 2):
        assert await _announced(arena) in ((1_000, 1_000), (900, None))
        assert await arena.differences() == []


async def test_control_an_announced_amount_that_is_read_and_not_held_changes_meanwhile(
    broken: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    claim = Payments.claim_for_approval

    async def read_then_claim(
        self: Payments, *how: Any, order: tuple[int, MerchantUid] | None = None
    ) -> Payment | None:
        if order is not None:
            found = await PreparedAmounts(self._connection).get(*order)
            check_prepared(found, Money(1_000, "KRW"))
            async with asyncio.timeout(10):
                while await PreparedAmounts(self._connection).get(*order) == found:
                    await asyncio.sleep(0.01)
        return await claim(self, *how)

    monkeypatch.setattr(Payments, "claim_for_approval", read_then_claim)
    # Of one return: many that wait hold every line to the database.
    assert await _announced(broken, returns=1) == (900, 1_000)


# --- what readers see --------------------------------------------------------------------------


@dataclass(frozen=True)
class Seen:
    """A client's log: when it asked, when it heard, and which version of the payment that was."""

    call: str
    start: float
    end: float
    version: int


async def _watched(arena: Arena, readers: int = 16) -> tuple[Payment, list[Seen]]:
    """Partial cancels one after the other, and readers who never stop; their logs."""
    payment = await arena.paid(64_000)
    log: list[Seen] = []

    def note(call: str, said: Said) -> None:
        response = said.body["response"]
        # Opened, claimed, approved: three versions before the first cancel, and one for each.
        version = 3 + len(response["cancel_history"])
        # One answer tells of one moment: its list and its sum are read from the same version.
        given_back = sum(each["amount"] for each in response["cancel_history"])
        assert given_back == response["cancel_amount"]
        log.append(Seen(call, said.asked_at, said.answered_at, version))

    over = asyncio.Event()

    async def read(_: int) -> None:
        while not over.is_set():
            note("GET", await arena.ask("GET", f"/payments/{payment.imp_uid}"))

    async def write() -> None:
        for number in range(1, CANCELS + 1):
            note("cancel", await arena.cancel(payment, 1_000 * number))
        over.set()

    await together(write(), *(read(number) for number in range(readers)))
    return await arena.house.payment(payment.imp_uid), log


async def _unlawful(arena: Arena, payment: Payment, log: list[Seen]) -> list[str]:
    """Who saw the future, and who saw the past after the present was known (P23, P24)."""
    found = [f"{each} is no version" for each in log if not 1 <= each.version <= payment.version]
    newest = sorted(log, key=lambda each: each.end)
    known, at = 0, 0
    for each in sorted(log, key=lambda each: each.start):
        while at < len(newest) and newest[at].end < each.start:
            known = max(known, newest[at].version)
            at += 1
        if each.version < known:
            found.append(f"{each} after version {known} was known")
    # A version is first heard of after its cancel was asked for, and never before.
    begun = {each.version: each.start for each in log if each.call == "cancel"}
    found += [
        f"{each} before it was asked for" for each in log if each.end < begun.get(each.version, 0)
    ]
    return found


@pytest.mark.promise("P23", "P24")
async def test_nobody_sees_a_version_too_early_or_an_older_one_after(
    arena: Arena, rounds: int
) -> None:
    for _ in range(rounds):
        payment, log = await _watched(arena)
        assert payment.version == 3 + CANCELS
        assert await _unlawful(arena, payment, log) == []
        print(f"\n{len(log)} answers of two gateways, in one order")


@pytest.mark.skipif(not often(0, 1), reason="NIGHTLY: a crowd must meet by chance")
async def test_control_a_gateway_with_a_memory_of_its_own_is_found(
    broken: Arena, monkeypatch: pytest.MonkeyPatch
) -> None:
    from naru.rest import door

    asks, kept = door.who_asks, {}

    async def remembered(gateway: Any, headers: Any, query: Any, now: Any, uid: Any = None) -> Any:
        if uid is not None and len(kept) > 5:
            return next(iter(kept.values()))
        found = await asks(gateway, headers, query, now, uid)
        if uid is not None:
            kept[len(kept)] = found
        return found

    monkeypatch.setattr(door, "who_asks", remembered)
    payment, log = await _watched(broken)
    found = await _unlawful(broken, payment, log)
    print(f"\n{len(found)} of {len(log)} answers were older than what was known")
    assert found
