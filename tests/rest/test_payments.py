"""naru/rest/payments.py: looking payments up."""

from __future__ import annotations

from typing import Any

import pytest
from yarl import URL

from naru.domain.money import Money
from naru.domain.outcome import Deposited
from naru.domain.payment import Status
from tests.rest.conftest import Answered, Desk, sign_in

NO_PAYMENT = (404, -1, "존재하지 않는 결제정보입니다.")
BAD_STATUS = (400, -1, "지원되지 않는 상태값입니다.")


def uids(answer: Answered) -> list[str]:
    listed = answer.response if isinstance(answer.response, list) else answer.response["list"]
    return [payment["imp_uid"] for payment in listed]


@pytest.mark.operation("GET /payments/{imp_uid}")
async def test_one_payment_is_found_by_its_id_with_every_verb_and_a_slash(desk: Desk) -> None:
    payment = await desk.pay()

    for method, path in (
        ("GET", f"/payments/{payment.imp_uid}"),
        ("GET", f"/payments/{payment.imp_uid}/"),
        ("POST", f"/payments/{payment.imp_uid}"),
        ("POST", f"/payments/{payment.imp_uid}/"),
        ("GET", f"/payments/{payment.imp_uid}?include_sandbox=true&extension=true"),
    ):
        answer = await desk.ask(method, path, allow_redirects=False)
        assert answer.verdict == (200, 0, None)
        assert answer.response["imp_uid"] == payment.imp_uid


async def test_who_sent_a_deposit_is_told_to_who_asks(desk: Desk) -> None:
    payment = await desk.wait_for_deposit()
    path = f"/payments/{payment.imp_uid}"
    assert payment.pg_tid is not None
    part = Deposited(
        "notice-1", payment.pg_order_no, payment.pg_tid, Money(4), "홍길동", desk.clock()
    )
    unknown = await desk.ask("GET", f"{path}?extension=true")
    async with desk.gateway.store.begin() as tx:
        assert await tx.deposits.book(
            payment.channel_id, part, payment.imp_uid, "short", desk.clock()
        )

    plain, asked = await desk.ask("GET", path), await desk.ask("GET", f"{path}?extension=true")

    assert unknown.response["extension"] == {"REMITTER": None}
    assert asked.response == plain.response | {"extension": {"REMITTER": "홍길동"}}
    assert "extension" not in plain.response


async def test_the_path_names_the_payment_whatever_the_body_says(desk: Desk) -> None:
    mine, other = await desk.pay(), await desk.pay()

    answer = await desk.ask(
        "POST", f"/payments/{mine.imp_uid}?imp_uid=a", json={"imp_uid": other.imp_uid}
    )

    assert answer.response["imp_uid"] == mine.imp_uid


@pytest.mark.parametrize(
    "imp_uid", ["imp_nothing", "imp_000000000000", "x" * 500, "%20", "a%2Fb", "'"]
)
async def test_an_unknown_payment_is_a_404_in_v1s_words(desk: Desk, imp_uid: str) -> None:
    address = URL(f"{desk.address}/payments/{imp_uid}", encoded=True)
    async with desk.http.get(address, headers={"Authorization": desk.shop.token}) as answer:
        body = await answer.json()

    assert (answer.status, body["code"], body["message"]) == NO_PAYMENT
    assert body["response"] is None


@pytest.mark.operation("GET /payments")
async def test_many_payments_come_newest_first_and_once(desk: Desk) -> None:
    older = await desk.pay()
    desk.clock.advance(10)
    newer = await desk.pay()
    a, b = older.imp_uid, newer.imp_uid

    for query in (
        f"imp_uid[]={a}&imp_uid[]={b}",
        f"imp_uid={a}&imp_uid={b}",
        f"imp_uid[0]={a}&imp_uid[1]={b}",
        f"imp_uid%5B%5D={a}&imp_uid%5B%5D={b}&imp_uid[]={a}",
        f"imp_uid[]={a}&merchant_uid[]={newer.merchant_uid}",
        f"merchant_uid[]={older.merchant_uid}&merchant_uid[]={newer.merchant_uid}",
    ):
        answer = await desk.ask("GET", f"/payments?{query}")
        assert answer.verdict == (200, 0, None)
        assert uids(answer) == [b, a], query
    assert uids(await desk.ask("POST", "/payments", json={"imp_uid": [a, b]})) == [b, a]


@pytest.mark.operation("GET /payments")
async def test_some_missing_is_207_and_all_missing_is_404(desk: Desk) -> None:
    payment = await desk.pay()

    some = await desk.ask("GET", f"/payments?imp_uid[]={payment.imp_uid}&imp_uid[]=imp_nothing")
    assert some.verdict == (207, 0, None)
    assert uids(some) == [payment.imp_uid]
    assert (await desk.ask("GET", "/payments?imp_uid[]=imp_nothing")).verdict == NO_PAYMENT
    assert (await desk.ask("GET", "/payments")).verdict == NO_PAYMENT


async def test_a_hundred_names_are_answered_and_more_refused(desk: Desk) -> None:
    payment = await desk.pay()
    hundred = "&".join(f"imp_uid[]=imp_{number}" for number in range(99))

    assert (await desk.ask("GET", f"/payments?{hundred}&imp_uid[]={payment.imp_uid}")).status == 207
    answer = await desk.ask("GET", f"/payments?{hundred}&merchant_uid[]=a&merchant_uid[]=b")
    assert answer.status == 400
    assert answer.body["code"] == -1


@pytest.mark.operation(
    "GET /payments/find/{merchant_uid}", "GET /payments/find/{merchant_uid}/{payment_status}"
)
async def test_an_order_is_found_by_its_number_and_sorting(desk: Desk) -> None:
    first = await desk.fail(merchant_uid="주문/1 ?")
    desk.clock.advance(10)
    second = await desk.pay(merchant_uid="주문/1 ?")
    path = "/payments/find/%EC%A3%BC%EB%AC%B8%2F1%20%3F"

    async def found(tail: str = "") -> str | None:
        address = URL(desk.address + path + tail, encoded=True)
        async with desk.http.get(address, headers={"Authorization": desk.shop.token}) as answer:
            body = await answer.json()
        imp_uid: str | None = body["response"] and body["response"]["imp_uid"]
        return imp_uid

    assert await found() == second.imp_uid
    assert await found("/") == second.imp_uid
    assert await found("?sorting=started") == first.imp_uid
    assert await found("?sorting=-paid") == second.imp_uid
    assert await found("?sorting=paid") == second.imp_uid
    assert await found("/failed") == first.imp_uid
    assert await found("/failed/") == first.imp_uid
    assert await found("/paid?sorting=started") == second.imp_uid
    assert await found("/cancelled") is None
    third = await desk.pay()
    for tail in ("", "/paid"):
        read = await desk.ask("GET", f"/payments/find/{third.merchant_uid}{tail}")
        assert read.response["imp_uid"] == third.imp_uid


async def test_a_status_that_does_not_exist_is_told_in_v1s_words(desk: Desk) -> None:
    payment = await desk.pay()

    for path in (
        f"/payments/find/{payment.merchant_uid}/123",
        f"/payments/findAll/{payment.merchant_uid}/PAID",
        "/payments/status/123",
    ):
        assert (await desk.ask("GET", path)).verdict == BAD_STATUS
    assert (await desk.ask("GET", "/payments/find/nothing")).verdict == NO_PAYMENT
    assert (await desk.ask("GET", "/payments/findAll/nothing")).verdict == NO_PAYMENT
    assert (await desk.ask("GET", "/payments/findAll/nothing/paid")).verdict == NO_PAYMENT


@pytest.mark.operation(
    "GET /payments/findAll/{merchant_uid}", "GET /payments/findAll/{merchant_uid}/{payment_status}"
)
async def test_every_try_of_an_order_is_listed_a_page_at_a_time(desk: Desk) -> None:
    payments = []
    for _ in range(5):
        payments.append((await desk.fail(merchant_uid="order")).imp_uid)
        desk.clock.advance(1)
    newest_first = payments[::-1]

    first = await desk.ask("GET", "/payments/findAll/order?limit=2")
    last = await desk.ask("GET", "/payments/findAll/order/failed?limit=2&page=3")

    assert uids(first) == newest_first[:2]
    assert {key: first.response[key] for key in ("total", "previous", "next")} == {
        "total": 5,
        "previous": 0,
        "next": 2,
    }
    assert uids(last) == newest_first[4:]
    assert (last.response["previous"], last.response["next"]) == (2, 0)
    past = await desk.ask("GET", "/payments/findAll/order?limit=2&page=4")
    assert (past.status, past.body["code"]) == (400, -1)


@pytest.mark.parametrize(
    "query",
    [
        "page=0",
        "page=-1",
        "page=x",
        "page=1.5",
        "page=9999999999999",
        "limit=0",
        "limit=1001",
        "limit=many",
        "sorting=amount",
        "sorting[]=paid",
    ],
)
async def test_a_bad_cut_of_a_list_is_refused(desk: Desk, query: str) -> None:
    await desk.pay(merchant_uid="order")

    for path in ("/payments/findAll/order", "/payments/status/all"):
        answer = await desk.ask("GET", f"{path}?{query}")
        assert answer.status == 400, path
        assert answer.body["code"] == -1


async def one_of_each(desk: Desk) -> dict[str, str]:
    """A payment of each kind, ten seconds apart, and each by another clock than the one it started by."""
    made = {}
    for name, make in (
        ("ready", desk.open),
        ("waiting", desk.wait_for_deposit),
        ("paid", desk.pay),
        ("failed", desk.fail),
        ("cancelled", desk.pay),
        ("partly", desk.pay),
    ):
        payment = await make()
        desk.clock.advance(10)
        if name == "cancelled":
            await desk.cancel(payment, 1004)
        if name == "partly":
            await desk.cancel(payment, 4)
        desk.clock.advance(10)
        made[name] = str(payment.imp_uid)
    return made


@pytest.mark.operation("GET /payments/status/{payment_status}")
async def test_lists_by_status_add_up(desk: Desk) -> None:
    made = await one_of_each(desk)

    listed = {
        status: await desk.ask("GET", f"/payments/status/{status}")
        for status in ("ready", "paid", "failed", "cancelled", "all")
    }

    assert uids(listed["ready"]) == [made["waiting"], made["ready"]]
    assert uids(listed["paid"]) == [made["paid"]]
    assert uids(listed["failed"]) == [made["failed"]]
    assert uids(listed["cancelled"]) == [made["partly"], made["cancelled"]]
    assert uids(listed["all"]) == list(made.values())[::-1]
    totals = {status: answer.response["total"] for status, answer in listed.items()}
    assert totals.pop("all") == sum(totals.values()) == 6
    for status, answer in listed.items():
        if status != "all":
            assert {payment["status"] for payment in answer.response["list"]} == {status}


async def test_the_switch_counts_a_partly_cancelled_payment_as_paid(desk: Desk) -> None:
    made = await one_of_each(desk)
    desk.gateway.partial_cancel_status = Status.PAID

    assert uids(await desk.ask("GET", "/payments/status/paid")) == [made["partly"], made["paid"]]
    assert uids(await desk.ask("GET", "/payments/status/cancelled")) == [made["cancelled"]]
    assert (await desk.ask("GET", f"/payments/{made['partly']}")).response["status"] == "paid"


@pytest.mark.parametrize(
    ("sorting", "order"),
    [
        ("started", ["ready", "waiting", "paid", "failed", "cancelled", "partly"]),
        ("-started", ["partly", "cancelled", "failed", "paid", "waiting", "ready"]),
        ("-updated", ["partly", "cancelled", "failed", "paid", "waiting", "ready"]),
        ("updated", ["ready", "waiting", "paid", "failed", "cancelled", "partly"]),
        ("paid", ["paid", "cancelled", "partly", "failed", "waiting", "ready"]),
        ("-paid", ["partly", "cancelled", "paid", "failed", "waiting", "ready"]),
    ],
)
async def test_lists_are_sorted_as_asked(desk: Desk, sorting: str, order: list[str]) -> None:
    made = await one_of_each(desk)

    answer = await desk.ask("GET", f"/payments/status/all?sorting={sorting}")

    assert uids(answer) == [made[name] for name in order]


async def test_the_window_counts_the_time_of_the_status_and_includes_both_ends(desk: Desk) -> None:
    started = int(desk.clock().timestamp())
    payment = await desk.pay()
    desk.clock.advance(1_000)
    await desk.cancel(payment, 1004)
    cancelled = started + 1_000

    async def total(status: str, since: int, until: int) -> int:
        answer = await desk.ask("GET", f"/payments/status/{status}?from={since}&to={until}")
        number: int = answer.response["total"]
        return number

    assert await total("cancelled", cancelled, cancelled) == 1
    assert await total("cancelled", cancelled + 1, cancelled + 9) == 0
    assert await total("cancelled", started, cancelled - 1) == 0
    assert await total("all", started, started) == 0
    assert await total("all", cancelled, cancelled) == 1


async def test_the_window_is_ninety_days_by_default_and_at_most(desk: Desk) -> None:
    await desk.pay()
    days = 86_400
    now = int(desk.clock().timestamp())

    desk.clock.advance(89 * days)
    await sign_in(desk, desk.shop)
    assert (await desk.ask("GET", "/payments/status/paid")).response["total"] == 1
    desk.clock.advance(2 * days)
    await sign_in(desk, desk.shop)
    assert (await desk.ask("GET", "/payments/status/paid")).response["total"] == 0
    for query, status in (
        (f"from={now}&to={now + 90 * days}", 200),
        (f"from={now}&to={now + 90 * days + 1}", 400),
        (f"from={now + 1}&to={now}", 400),
        (f"from={now}", 400),
        (f"to={now}", 200),
        ("from=-1", 400),
        ("to=999999999999", 400),
        ("from=x", 400),
        ("from=true", 400),
    ):
        answer = await desk.ask("GET", f"/payments/status/all?{query}")
        assert answer.status == status, query


async def test_nothing_found_is_an_empty_first_page_but_no_second(desk: Desk) -> None:
    empty = await desk.ask("GET", "/payments/status/paid")

    assert empty.verdict == (200, 0, None)
    assert empty.response == {"list": [], "next": 0, "previous": 0, "total": 0}
    assert (await desk.ask("GET", "/payments/status/paid?page=2")).status == 400


async def test_custom_data_comes_back_as_it_was_stored(desk: Desk) -> None:
    text: Any = '{"색": "당근\\n/", "e": "😀"}'
    payment = await desk.pay(custom_data=text, amount=Money(5))

    answer = await desk.ask("GET", f"/payments/{payment.imp_uid}")

    assert answer.response["custom_data"] == text
    assert answer.raw.isascii()


@pytest.mark.operation("GET /payments/{imp_uid}/balance")
async def test_the_balance_of_a_payco_payment_adds_up(desk: Desk) -> None:
    payment = await desk.pay(pg_code="payco", amount=Money(1_000), tax_free=Money(120))

    async def balance() -> Any:
        return (await desk.ask("GET", f"/payments/{payment.imp_uid}/balance")).response

    whole = await balance()
    await desk.cancel(payment, 330)
    part = await balance()
    await desk.cancel(payment, 670)
    empty = await balance()

    zero = {"service": 0, "supply": 0, "tax_free": 0, "vat": 0}
    assert whole["primary"] == {"service": 0, "supply": 800, "tax_free": 120, "vat": 80}
    assert whole["amount"] == part["amount"] == empty["amount"] == 1_000
    assert part["histories"][1]["primary"] == {
        "service": 0,
        "supply": -300,
        "tax_free": 0,
        "vat": -30,
    }
    assert part["primary"] == {"service": 0, "supply": 500, "tax_free": 120, "vat": 50}
    assert empty["primary"] == empty["secondary"] == zero
    for name in zero:
        assert sum(entry["primary"][name] for entry in empty["histories"]) == 0
    assert empty["histories"][0]["created"] == int(desk.clock().timestamp())


async def test_the_balance_is_served_for_payco_only(desk: Desk) -> None:
    for payment in (await desk.pay(), await desk.open(pg_code="payco")):
        answer = await desk.ask("GET", f"/payments/{payment.imp_uid}/balance")
        assert (answer.status, answer.body["code"], answer.response) == (404, -1, None)
