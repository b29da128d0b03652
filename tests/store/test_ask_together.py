"""What many ask at the same moment is one statement, and each gets the answer of an own one. For naru/store/ask_together.py."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from itertools import count

import asyncpg
import pytest

from naru.domain.ids import hash_secret
from naru.domain.payment import Payment
from naru.store import Store, StoreUnavailable
from naru.store.ask_together import TURNS, Question
from tests.store.test_rules import give_back, pay
from tests.support.gateway import ROOT_KEY
from tests.support.house import make_merchant, make_payment

NOW = datetime.now(UTC)
NUMBERS = count(1)


class Counting(Store):
    """A store that counts how often a connection is borrowed, and lends the first few late."""

    borrowed = 0
    late = 0
    go_on = asyncio.Event()

    async def take(self, *, guarded: bool = True):  # type: ignore[no-untyped-def]
        self.borrowed += 1
        if self.borrowed <= self.late:
            await self.go_on.wait()
        return await super().take(guarded=guarded)


async def _signed_in(store: Store) -> tuple[bytes, Payment]:
    """The token's hash of a new merchant, and a payment of theirs."""
    merchant = await make_merchant(store)
    number = next(NUMBERS)
    token = hash_secret(f"token {number}")
    async with store.begin() as tx:
        await tx.merchants.add_key(merchant.id, f"key-{number}", hash_secret("secret"))
        await tx.merchants.renew_token(f"key-{number}", "n", token, NOW + timedelta(hours=1), None)
    return token, await make_payment(store, merchant)


def _question(token: bytes, imp_uid: str | None, tier_code: str | None = None) -> Question:
    return Question(imp_uid, token, NOW, tier_code)


async def test_sixty_who_ask_at_once_hear_what_each_would_hear_alone(
    store: Store, database_url: str
) -> None:
    one, other = await _signed_in(store), await _signed_in(store)
    tokens = (one[0], other[0], hash_secret("nobody's"))
    payments = (one[1].imp_uid, other[1].imp_uid, "imp_000000000000", None)
    questions = [_question(token, imp_uid) for token in tokens for imp_uid in payments] * 5
    alone = [await store.who_asks(each) for each in questions[:12]]
    counting = Counting(database_url, root_key=ROOT_KEY)

    together = await asyncio.gather(*(counting.who_asks(each) for each in questions))

    await counting.close()
    assert together == alone * 5
    assert counting.borrowed <= TURNS
    assert alone == [
        (one[1].merchant_id, one[1]), (one[1].merchant_id, None),
        (one[1].merchant_id, None), (one[1].merchant_id, None),
        (other[1].merchant_id, None), (other[1].merchant_id, other[1]),
        (other[1].merchant_id, None), (other[1].merchant_id, None),
        None, None, None, None,
    ]  # fmt: skip


async def test_a_token_that_has_ended_is_seen_by_the_next_question(
    store: Store, sql: asyncpg.Connection
) -> None:
    token, payment = await _signed_in(store)
    assert await store.who_asks(_question(token, payment.imp_uid)) is not None

    late = _question(token, payment.imp_uid)._replace(now=NOW + timedelta(hours=2))
    assert await asyncio.gather(
        store.who_asks(late), store.who_asks(_question(token, payment.imp_uid))
    ) == [None, (payment.merchant_id, payment)]

    await sql.execute("UPDATE api_keys SET token_hash = NULL WHERE token_hash = $1", token)
    assert await store.who_asks(_question(token, payment.imp_uid)) is None


async def test_who_leaves_takes_nobody_along(store: Store) -> None:
    token, payment = await _signed_in(store)
    question = _question(token, payment.imp_uid)
    leaving, staying = (asyncio.ensure_future(store.who_asks(question)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()

    assert await staying == (payment.merchant_id, payment)
    assert leaving.cancelled()


async def test_a_slow_database_is_asked_by_two_and_who_waits_too_long_is_told(
    store: Store, database_url: str
) -> None:
    token, payment = await _signed_in(store)
    question = _question(token, payment.imp_uid)
    counting = Counting(database_url, wait_seconds=0.5, root_key=ROOT_KEY)
    counting.late, counting.go_on = TURNS, asyncio.Event()

    slow = []
    for _ in range(TURNS):
        slow.append(asyncio.ensure_future(counting.who_asks(question)))
        await asyncio.sleep(0.01)
    told = await asyncio.gather(
        *slow, *(counting.who_asks(question) for _ in range(5)), return_exceptions=True
    )

    assert {type(each) for each in told} == {StoreUnavailable}
    assert counting.borrowed == TURNS
    counting.go_on.set()
    assert await counting.who_asks(question) == (payment.merchant_id, payment)
    await counting.close()


@pytest.mark.parametrize("hostile", ["imp_\0", "imp_\ud800"])
async def test_a_question_that_cannot_be_answered_is_nobody_elses_trouble(
    store: Store, hostile: str
) -> None:
    token, payment = await _signed_in(store)
    asked = [payment.imp_uid, hostile, None, "imp_000000000000"]

    heard = await asyncio.gather(
        *(store.who_asks(_question(token, each)) for each in asked), return_exceptions=True
    )

    assert isinstance(heard.pop(1), Exception)
    assert heard == [
        (payment.merchant_id, payment), (payment.merchant_id, None), (payment.merchant_id, None),
    ]  # fmt: skip
    assert await store.who_asks(_question(token, None)) == (payment.merchant_id, None)


async def test_cancels_that_came_after_the_row_was_read_are_not_in_it(
    store: Store, database_url: str
) -> None:
    """The row and its cancellations are two looks; both tell of one version."""
    token, payment = await _signed_in(store)
    paid = await pay(store, payment)
    once = await give_back(store, paid, 100, f"one-{payment.imp_uid}")

    class Between(Store):
        """Somebody cancels between the two looks."""

        looks = 0

        async def take(self, *, guarded: bool = True):  # type: ignore[no-untyped-def]
            self.looks += 1
            if self.looks == 2:
                await give_back(store, once, 200, f"two-{payment.imp_uid}")
            return await super().take(guarded=guarded)

    between = Between(database_url, root_key=ROOT_KEY)
    question = _question(token, payment.imp_uid)
    assert await between.who_asks(question) == (payment.merchant_id, once)
    assert between.looks == 2
    later = await between.who_asks(question)
    assert later is not None
    assert later[1] is not None
    assert [each.amount.minor for each in later[1].cancellations] == [100, 200]
    await between.close()


async def test_everybody_is_told_when_the_database_is_away() -> None:
    nowhere = Store("postgresql://naru@127.0.0.1:1/naru")
    for _ in range(2):  # Turns come back after a failure, too.
        told = await asyncio.gather(
            *(nowhere.who_asks(_question(b"t", None)) for _ in range(5)), return_exceptions=True
        )
        assert {type(each) for each in told} == {StoreUnavailable}


async def test_a_seal_that_does_not_open_is_nobody_elses_trouble(
    store: Store, sql: asyncpg.Connection, caplog: pytest.LogCaptureFixture
) -> None:
    broken, whole = await _signed_in(store), await _signed_in(store)
    await sql.execute(
        "UPDATE payment_secrets SET sealed = (SELECT sealed FROM payment_secrets WHERE imp_uid = $2)"
        " WHERE imp_uid = $1",
        broken[1].imp_uid,
        whole[1].imp_uid,
    )

    found = await asyncio.gather(
        *(store.who_asks(_question(token, paid.imp_uid)) for token, paid in (broken, whole))
    )

    assert found[1] == (whole[1].merchant_id, whole[1])
    assert found[0] is not None
    assert found[0][1] is not None
    assert found[0][1].amount == broken[1].amount
    assert "does not open" in caplog.text
