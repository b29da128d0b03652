"""naru/rest/idempotency.py: one key, one effect, one answer, whatever is repeated, raced or killed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import asyncpg
import pytest

from naru.domain import points
from naru.domain.payment import Payment, Step
from naru.jobs.timetable import timetable
from naru.payments.reconcile import reconcile
from naru.rest import operations
from naru.store.idempotency import Name
from naru.store.keys import reseal
from tests.rest.conftest import NUMBERS, Answered, Desk, sign_in
from tests.rest.test_door import raw, status_of
from tests.support.scale import often

pytestmark = pytest.mark.promise("P6")

LEASE_SECONDS = 31
REPLAYED = "idempotent-replayed"


def key() -> str:
    return f"key-{next(NUMBERS)}"


async def send(desk: Desk, method: str, path: str, name: str | None, **fields: Any) -> Answered:
    headers = {} if name is None else {"Idempotency-Key": name}
    return await desk.ask(method, path, headers=headers, json=fields)


async def cancel(desk: Desk, name: str | None, payment: Payment, amount: int = 100) -> Answered:
    return await send(
        desk, "POST", "/payments/cancel", name, imp_uid=payment.imp_uid, amount=amount
    )


async def issue(desk: Desk, name: str | None, merchant_uid: str) -> Answered:
    due = int(desk.clock().timestamp()) // 86_400 * 86_400 + 5 * 86_400
    return await send(
        desk,
        "POST",
        "/vbanks",
        name,
        merchant_uid=merchant_uid,
        amount=1004,
        vbank_code="004",
        vbank_due=due,
        vbank_holder="나루",
    )


async def given_back(desk: Desk, payment: Payment) -> int:
    answer = await desk.ask("GET", f"/payments/{payment.imp_uid}")
    return int(answer.response["cancel_amount"])


async def payments_of(desk: Desk, merchant_uid: str) -> list[Payment]:
    async with desk.gateway.store.direct() as session:
        return await session.payments.many_of_merchant(desk.shop.merchant.id, [], [merchant_uid])


def same(answers: list[Answered]) -> None:
    """One answer, byte for byte; all but one of them say that they were said before."""
    assert len({(answer.status, answer.raw) for answer in answers}) == 1
    replayed = [answer for answer in answers if REPLAYED in _lower(answer)]
    assert len(replayed) == len(answers) - 1


def _lower(answer: Answered) -> dict[str, str]:
    return {name.lower(): value for name, value in answer.headers.items()}


# Races


@pytest.mark.fault("F1_DU", "F2_DU")
async def test_sixty_four_cancels_with_one_key_are_one_cancel(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    for _ in range(often(1, 20)):
        payment, name = await desk.buy(10_000), key()

        answers = await asyncio.gather(*(cancel(desk, name, payment) for _ in range(64)))

        same(answers)
        assert answers[0].verdict == (200, 0, None)
        assert await given_back(desk, payment) == 100


async def test_control_without_a_key_the_same_race_cancels_again_and_again(
    desk_with_pg: Desk,
) -> None:
    payment = await desk_with_pg.buy(10_000)

    answers = await asyncio.gather(*(cancel(desk_with_pg, None, payment) for _ in range(16)))

    cancelled = await given_back(desk_with_pg, payment)
    assert cancelled == 100 * sum(answer.body["code"] == 0 for answer in answers)
    assert cancelled > 100


@pytest.mark.fault("A1_DU")
async def test_sixty_four_announcements_with_one_key_are_one(desk: Desk) -> None:
    uid = f"announced-{next(NUMBERS)}"

    async def announce(name: str | None) -> Answered:
        return await send(desk, "POST", "/payments/prepare", name, merchant_uid=uid, amount=1004)

    name = key()
    same(answers := await asyncio.gather(*(announce(name) for _ in range(64))))
    assert answers[0].verdict == (200, 0, None)
    # Control: without the key only one of them hears yes.
    uid = f"announced-{next(NUMBERS)}"
    bare = await asyncio.gather(*(announce(None) for _ in range(64)))
    assert sorted(answer.body["code"] for answer in bare) == [0] + [1] * 63


@pytest.mark.fault("I1_DU")
async def test_accounts_issued_and_closed_with_one_key_are_one(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    uid, name, closing = f"order-{next(NUMBERS)}", key(), key()

    issued = await asyncio.gather(*(issue(desk, name, uid) for _ in range(64)))
    same(issued)
    [payment] = await payments_of(desk, uid)
    path = f"/vbanks/{payment.imp_uid}"
    closed = await asyncio.gather(*(send(desk, "DELETE", path, closing) for _ in range(64)))

    same(closed)
    assert closed[0].response["status"] == "failed"
    # Control: without a key each of them is another account. One after the other, since an order
    # refuses a second try while its first is at the PG.
    bare = f"order-{next(NUMBERS)}"
    for _ in range(4):
        answer = await issue(desk, None, bare)
        assert answer.verdict == (200, 0, None)
    assert len(await payments_of(desk, bare)) == 4


# Dying and sleeping


class Died(BaseException):
    """The process ends here: nothing of it may run any more."""


@contextmanager
def dying_at(point: str) -> Iterator[None]:
    def die(reached: str) -> None:
        if reached == point:
            points.listen(None)
            raise Died(point)

    points.listen(die)
    try:
        yield
    finally:
        points.listen(None)


async def die(desk: Desk, method: str, path: str, name: str, fields: dict[str, Any]) -> None:
    """Send this to a process that dies on it: no answer of ours comes back."""
    headers = {"Idempotency-Key": name, "Authorization": desk.shop.token}
    async with desk.http.request(
        method, desk.address + path, headers=headers, json=fields
    ) as answer:
        assert answer.status == 500
        assert b"code" not in await answer.read()


async def ask_until_known(
    desk: Desk, imp_uid: Callable[[], Any], again: Callable[[], Any]
) -> Answered:
    """Repeat as a merchant would, while the worker does its part."""
    for _ in range(12):
        answer: Answered = await again()
        if answer.status != 409:
            return answer
        assert answer.response["imp_uid"] == await imp_uid()
        desk.clock.advance(400)
        await sign_in(desk, desk.shop)
        await reconcile(desk.gateway, await imp_uid())
    raise AssertionError("the outcome never became known")


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("cancel.before_reserve", marks=pytest.mark.fault("F1_CB")),
        "cancel.after_reserve",
        "cancel.after_pg",
        "cancel.before_commit",
        pytest.param("cancel.after_commit", marks=pytest.mark.fault("F3_CA")),
    ],
)
async def test_a_cancel_that_died_is_answered_with_what_became_of_it(
    desk_with_pg: Desk, point: str
) -> None:
    desk = desk_with_pg
    payment, name = await desk.buy(10_000), key()
    fields = {"imp_uid": payment.imp_uid, "amount": 100}

    with dying_at(point):
        await die(desk, "POST", "/payments/cancel", name, fields)
    desk.clock.advance(LEASE_SECONDS)

    async def uid() -> str:
        return payment.imp_uid

    answer = await ask_until_known(desk, uid, lambda: cancel(desk, name, payment))
    repeats = await asyncio.gather(*(cancel(desk, name, payment) for _ in range(8)))

    assert await given_back(desk, payment) == 100
    assert answer.response["cancel_amount"] == 100
    assert {repeat.raw for repeat in repeats} == {answer.raw}
    assert all(REPLAYED in _lower(repeat) for repeat in repeats)


@pytest.mark.parametrize("point", ["close.before_reserve", "close.after_reserve", "close.after_pg"])
async def test_a_closing_that_died_is_answered_with_what_became_of_it(
    desk_with_pg: Desk, point: str
) -> None:
    desk = desk_with_pg
    opened = (await issue(desk, None, f"order-{next(NUMBERS)}")).response
    path, name = f"/vbanks/{opened['imp_uid']}", key()

    with dying_at(point):
        await die(desk, "DELETE", path, name, {})
    desk.clock.advance(LEASE_SECONDS)

    async def uid() -> str:
        return str(opened["imp_uid"])

    answer = await ask_until_known(desk, uid, lambda: send(desk, "DELETE", path, name))
    again = await send(desk, "DELETE", path, name)

    assert answer.response["status"] == "failed"
    assert again.raw == answer.raw


ISSUE_POINTS = (
    "start.before_open",
    "start.after_open",
    "claim.before_commit",
    "claim.after_commit",
)


@pytest.mark.parametrize("point", [*ISSUE_POINTS, "account.after_pg", "settle.after_commit"])
async def test_an_issue_that_died_never_issues_a_second_account(
    desk_with_pg: Desk, point: str
) -> None:
    desk = desk_with_pg
    uid, name = f"order-{next(NUMBERS)}", key()
    due = int(desk.clock().timestamp()) // 86_400 * 86_400 + 5 * 86_400
    fields = {
        "merchant_uid": uid,
        "amount": 1004,
        "vbank_code": "004",
        "vbank_due": due,
        "vbank_holder": "나루",
    }

    with dying_at(point):
        await die(desk, "POST", "/vbanks", name, fields)
    desk.clock.advance(LEASE_SECONDS)

    async def claimed() -> str:
        found = await payments_of(desk, uid)
        [imp_uid] = [each.imp_uid for each in found if each.step is Step.APPROVING]
        return imp_uid

    answer = await ask_until_known(
        desk, claimed, lambda: send(desk, "POST", "/vbanks", name, **fields)
    )
    again = await send(desk, "POST", "/vbanks", name, **fields)

    accounts = [each for each in await payments_of(desk, uid) if each.virtual_account]
    assert len(accounts) == (answer.body["code"] == 0)
    assert again.raw == answer.raw


@pytest.mark.parametrize(
    "point",
    [
        pytest.param("prepare.before_commit", marks=pytest.mark.fault("A1_CB")),
        pytest.param("prepare.after_commit", marks=pytest.mark.fault("A1_CA")),
    ],
)
async def test_an_announcement_that_died_was_made_or_is_made(desk: Desk, point: str) -> None:
    uid, name = f"announced-{next(NUMBERS)}", key()
    fields = {"merchant_uid": uid, "amount": "12.5", "currency": "USD"}

    with dying_at(point):
        await die(desk, "POST", "/payments/prepare", name, fields)
    desk.clock.advance(LEASE_SECONDS)
    # Another amount is announced meanwhile: the answer tells what was done with this key.
    await send(desk, "PUT", "/payments/prepare", None, merchant_uid=uid, amount="13")

    answer = await send(desk, "POST", "/payments/prepare", name, **fields)

    assert answer.response == {"amount": 12.5, "currency": "USD", "merchant_uid": uid}


async def test_a_try_that_slept_over_its_lease_wakes_up_and_does_nothing(
    desk_with_pg: Desk,
) -> None:
    """The first holds the word and sleeps; the second takes it over; both go on at once."""
    desk = desk_with_pg
    payment, name = await desk.buy(10_000), key()

    async with desk.gateway.store.begin() as tx:
        # Both wait for the payment's row, as for a slow database.
        await tx.payments.lock(payment.imp_uid, payment.merchant_id)
        first = asyncio.create_task(cancel(desk, name, payment))
        await _until_attempt(desk, name, 1)
        desk.clock.advance(LEASE_SECONDS)
        second = asyncio.create_task(cancel(desk, name, payment))
        await _until_attempt(desk, name, 2)
    answers = await asyncio.gather(first, second)

    same(list(answers))
    assert answers[0].verdict == (200, 0, None)
    assert await given_back(desk, payment) == 100


async def _until_attempt(desk: Desk, name: str, attempt: int) -> None:
    async with asyncio.timeout(10):
        while await _attempt(desk, name) != attempt:
            await asyncio.sleep(0.01)


async def _attempt(desk: Desk, name: str) -> int | None:
    where = Name(desk.shop.merchant.id, "POST", "/payments/cancel", name)
    async with desk.gateway.store.direct() as session:
        record = await session.idempotency.get(where)
    return None if record is None else record.attempt


# What is another request


async def test_a_key_belongs_to_its_merchant_its_path_and_its_letters(desk_with_pg: Desk) -> None:
    desk, name = desk_with_pg, key()
    payment = await desk.buy(10_000)
    first = await cancel(desk, name, payment)

    stranger = await desk.ask(
        "POST",
        "/payments/prepare",
        token=desk.stranger.token,
        headers={"Idempotency-Key": name},
        json={"merchant_uid": "of-a-stranger", "amount": 1},
    )
    foreign = await desk.ask(
        "POST",
        "/payments/cancel",
        token=desk.stranger.token,
        headers={"Idempotency-Key": name},
        json={"imp_uid": payment.imp_uid, "amount": 100},
    )
    other_path = await send(
        desk, "POST", "/payments/prepare", name, merchant_uid="elsewhere", amount=1
    )
    other_verb = await send(
        desk, "PUT", "/payments/prepare", name, merchant_uid="elsewhere", amount=1
    )
    other_case = await cancel(desk, name.upper(), payment)

    assert stranger.verdict == (200, 0, None)
    assert (foreign.body["code"], foreign.response) == (1, None)
    assert other_path.verdict == other_verb.verdict == (200, 0, None)
    assert (first.response["cancel_amount"], other_case.response["cancel_amount"]) == (100, 200)
    for answer in (stranger, foreign, other_path, other_verb, other_case):
        assert REPLAYED not in _lower(answer)


async def test_the_same_content_is_the_same_request_however_it_is_written(
    desk_with_pg: Desk,
) -> None:
    desk, name = desk_with_pg, key()
    payment = await desk.buy(10_000)
    uid, headers = payment.imp_uid, {"Idempotency-Key": name}
    bodies = (
        f'{{"imp_uid": "{uid}", "amount": 100}}',
        f'{{"amount": 1e2,"imp_uid":"{uid}", "unknown": [1]}}',
        f'{{"imp_uid": "{uid}", "amount": "100", "reason": ""}}',
        f"amount=100&imp_uid={uid}",
    )

    answers = [
        await desk.ask("POST", path, headers=headers, data=body)
        for body in bodies
        for path in ("/payments/cancel", "/payments/cancel/")
    ]

    same(answers)
    assert await given_back(desk, payment) == 100


async def test_another_content_is_refused_and_does_nothing(desk_with_pg: Desk) -> None:
    desk, name = desk_with_pg, key()
    payment, other = await desk.buy(10_000), await desk.buy(10_000)
    first = await cancel(desk, name, payment)

    refused = [
        await cancel(desk, name, payment, 101),
        await cancel(desk, name, other),
        await send(
            desk, "POST", "/payments/cancel", name, imp_uid=payment.imp_uid, amount=100, reason="x"
        ),
    ]

    for answer in refused:
        assert (answer.status, answer.body["code"], answer.response) == (422, -1, None)
        assert "Idempotency-Key" in answer.body["message"]
    assert await given_back(desk, payment) == 100
    assert await given_back(desk, other) == 0
    assert (await cancel(desk, name, payment)).raw == first.raw


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"k", 200),
        (b"!~" * 127 + b"z", 200),
        (b"x" * 256, 400),
        (b"", 400),
        (b"a b", 400),
        (b"a\tb", 400),
        ("열쇠".encode(), 400),
        (b"\xff", 400),
        (b"\x7f", 400),
    ],
)
async def test_a_key_is_up_to_255_visible_characters(desk: Desk, sent: bytes, status: int) -> None:
    body = b'{"merchant_uid": "key-%d", "amount": 1}' % next(NUMBERS)

    answer = await raw(
        desk,
        b"POST /payments/prepare HTTP/1.1\r\nHost: x\r\nConnection: close\r\n"
        b"Authorization: %s\r\nIdempotency-Key: %s\r\nContent-Length: %d\r\n\r\n%s"
        % (desk.shop.token.encode(), sent, len(body), body),
    )

    assert status_of(answer) == status
    assert (b'"code":0' in answer) == (status == 200)


async def test_who_only_asks_needs_no_key_and_is_never_replayed(desk: Desk) -> None:
    name = key()
    uid = f"announced-{next(NUMBERS)}"
    await send(desk, "POST", "/payments/prepare", None, merchant_uid=uid, amount=1)
    path = f"/payments/prepare/{uid}"

    before = await send(desk, "GET", path, name)
    await send(desk, "PUT", "/payments/prepare", None, merchant_uid=uid, amount=2)
    after = await send(desk, "GET", path, name)
    shop = desk.shop
    signed_in = await desk.ask(
        "POST",
        "/users/getToken",
        headers={"Idempotency-Key": "x" * 300},
        json={"imp_key": shop.imp_key, "imp_secret": shop.imp_secret},
    )

    assert (before.response["amount"], after.response["amount"]) == (1, 2)
    assert signed_in.status == 200


def test_every_operation_that_changes_something_takes_a_key() -> None:
    changing = {f"{each.method} {each.path}" for each in operations() if each.method != "GET"}
    taking = {f"{each.method} {each.path}" for each in operations() if each.recall is not None}

    # The answer about a person is not kept for a repetition: it would outlive the person's deletion.
    # How many points somebody has is asked by POST, and changes nothing.
    assert changing - taking == {
        "POST /users/getToken",
        "POST /benepia/point",
        "DELETE /certifications/{imp_uid}",
        "POST /certifications/otp/confirm/{imp_uid}",
    }
    assert taking <= changing


async def test_a_path_of_any_length_has_a_place(desk: Desk) -> None:
    for imp_uid in ("x" * 3_900, "가" * 1_200, "..%2f..", "a'b"):
        answer = await send(desk, "DELETE", f"/vbanks/{imp_uid}", key())
        assert (answer.status, answer.body["code"]) == (404, -1)


# What is kept


async def test_a_refusal_before_anything_was_begun_frees_the_key(desk_with_pg: Desk) -> None:
    desk, name = desk_with_pg, key()
    uid = f"order-{next(NUMBERS)}"

    async def again() -> Answered:
        return await send(desk, "POST", "/payments/cancel", name, merchant_uid=uid)

    refused = [await again(), await again()]
    wrong = await send(desk, "POST", "/payments/cancel", name, merchant_uid=uid, amount="1,000")
    await desk.buy(1004, merchant_uid=uid)
    done = await again()

    assert {answer.verdict for answer in refused} == {
        (200, 1, "취소할 결제건이 존재하지 않습니다.")
    }
    assert wrong.status == 400
    assert all(REPLAYED not in _lower(answer) for answer in (*refused, done))
    assert done.response["cancel_amount"] == 1004


async def test_the_pgs_refusal_is_an_answer_and_the_pg_is_not_asked_again(
    desk_with_pg: Desk, rest_database: str
) -> None:
    desk, name = desk_with_pg, key()
    payment = await desk.buy(900_031)

    answers = [await cancel(desk, name, payment) for _ in range(3)]

    same(answers)
    assert answers[0].verdict == (200, -1, "카드사에서 취소를 거절하였습니다.")
    connection = await asyncpg.connect(rest_database)
    try:
        asked = await connection.fetchval(
            "SELECT count(*) FROM intents WHERE imp_uid = $1 AND kind = 'cancel'", payment.imp_uid
        )
    finally:
        await connection.close()
    assert asked == 1


@pytest.mark.parametrize(("amount", "cancelled"), [(900_035, 100), (900_036, 100)])
async def test_an_unknown_outcome_is_told_as_it_stands_until_it_is_known(
    desk_with_pg: Desk, amount: int, cancelled: int
) -> None:
    desk, name = desk_with_pg, key()
    payment = await desk.buy(amount)

    unknown = [await cancel(desk, name, payment) for _ in range(2)]

    async def uid() -> str:
        return payment.imp_uid

    known = await ask_until_known(desk, uid, lambda: cancel(desk, name, payment))
    again = await cancel(desk, name, payment)

    for answer in unknown:
        assert (answer.status, answer.body["code"]) == (409, 1)
        assert answer.response["status"] == "paid"
        assert "retry-after" in _lower(answer)
    assert known.response["cancel_amount"] == cancelled
    assert (again.status, again.raw) == (known.status, known.raw)


async def test_a_key_is_kept_for_fifteen_days_and_then_let_go(
    desk_with_pg: Desk, rest_database: str
) -> None:
    desk, name = desk_with_pg, key()
    payment = await desk.buy(10_000)
    first = await cancel(desk, name, payment)
    [forget] = [each for each in timetable(desk.gateway) if "Idempotency" in each.name]

    desk.clock.advance(15 * 86_400 - 60)
    await sign_in(desk, desk.shop)
    await forget.walk()
    kept = await cancel(desk, name, payment)
    desk.clock.advance(120)
    anew = await cancel(desk, name, payment)
    desk.clock.advance(16 * 86_400)
    await forget.walk()

    assert kept.raw == first.raw
    assert anew.response["cancel_amount"] == 200
    connection = await asyncpg.connect(rest_database)
    try:
        left = await connection.fetchval(
            "SELECT count(*) FROM idempotency WHERE merchant_id = $1", desk.shop.merchant.id
        )
    finally:
        await connection.close()
    assert left == 0


@pytest.mark.parametrize(
    "attack",
    [
        "SET key = 'another'",
        "SET path = '/payments/prepare'",
        "SET effect = 'another'",
        "SET effect = NULL",
        "SET headers = '[[]]'",
        "SET status = 500",
        "SET status = NULL, headers = NULL",
        "SET sealed = NULL",
        "SET sealed = 'junk'",
    ],
)
async def test_an_answer_cannot_be_written_anew_by_hand(
    desk_with_pg: Desk, rest_database: str, attack: str
) -> None:
    desk, name = desk_with_pg, key()
    await cancel(desk, name, await desk.buy(10_000))

    connection = await asyncpg.connect(rest_database)
    try:
        with pytest.raises(asyncpg.IntegrityConstraintViolationError):
            await connection.execute(f"UPDATE idempotency {attack} WHERE key = $1", name)
    finally:
        await connection.close()


async def test_an_answer_is_sealed_in_its_own_row(desk_with_pg: Desk, rest_database: str) -> None:
    """Whoever copies another record's blob over it is answered nothing, and nothing is done."""
    desk, names = desk_with_pg, (key(), key())
    payment = await desk.buy(10_000)
    for name in names:
        await cancel(desk, name, payment)

    connection = await asyncpg.connect(rest_database)
    try:
        everything = await connection.fetch("SELECT * FROM idempotency WHERE key = ANY ($1)", names)
        await connection.execute(
            "UPDATE idempotency t SET sealed = o.sealed FROM idempotency o"
            " WHERE t.key = $1 AND o.key = $2",
            *names,
        )
        copied = await cancel(desk, names[0], payment)
        [own] = [row["sealed"] for row in everything if row["key"] == names[0]]
        await connection.execute("UPDATE idempotency SET sealed = $2 WHERE key = $1", names[0], own)
    finally:
        await connection.close()

    assert payment.imp_uid.encode() not in repr([dict(row) for row in everything]).encode()
    assert copied.status == 503
    assert (await cancel(desk, names[0], payment)).response["cancel_amount"] == 100
    assert await given_back(desk, payment) == 200


async def test_an_answer_outlives_the_data_key_that_sealed_it(desk_with_pg: Desk) -> None:
    desk, name = desk_with_pg, key()
    store, payment = desk.gateway.store, await desk.buy(10_000)
    first = await cancel(desk, name, payment)

    async with store.direct() as session:
        await session.keys.rotate()
    moved, broken = await reseal(store)
    again = await cancel(desk, name, payment)
    async with store.direct() as session:
        *old, newest = await session.keys.used()

    assert (again.raw, broken) == (first.raw, [])
    assert moved > 0
    assert newest.sealed["answers"] > 0
    assert {each.sealed["answers"] for each in old} == {0}
