"""Scheduled payments (naru/rest/subscribe_schedule.py) against a running sandbox PG."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from naru.domain.payment import Payment
from naru.payments.check_card import give_back_check
from naru.payments.reconcile import reconcile
from naru.payments.run_schedule import due_schedules, run_schedule
from tests.rest.conftest import Answered, Desk, Shop

CARD = {
    "card_number": "4518-4212-3456-7811",
    "expiry": "2049-12",
    "birth": "880101",
    "pwd_2digit": "00",
}
BAD_CARD = {**CARD, "card_number": "4092-0230-1234-1234", "expiry": "2049-03"}
PATH = "/subscribe/payments/schedule"
LATER = 300
DECLINED = 900_001
GARBAGE = 900_017


def at(desk: Desk, seconds: float) -> int:
    return int((desk.clock() + timedelta(seconds=seconds)).timestamp())


async def keep_card(desk: Desk, customer_uid: str = "gildong") -> None:
    kept = await desk.ask("POST", f"/subscribe/customers/{customer_uid}", json=CARD)
    assert kept.verdict == (200, 0, None)


async def plan(desk: Desk, *items: dict[str, Any], **changes: Any) -> Answered:
    fields = {"customer_uid": "gildong", "schedules": list(items), **changes}
    return await desk.ask("POST", PATH, json=fields)


def item(desk: Desk, merchant_uid: str = "month_1", **changes: Any) -> dict[str, Any]:
    return {
        "merchant_uid": merchant_uid,
        "schedule_at": at(desk, LATER),
        "amount": 9900,
        "name": "월간 구독",
        **changes,
    }


async def run(
    desk: Desk, merchant_uid: str = "month_1", shop: Shop | None = None
) -> Payment | None:
    """What a worker does with this schedule, if it is due."""
    merchant = (shop or desk.shop).merchant
    async with desk.gateway.store.direct() as session:
        found = await session.schedules.get(merchant.id, merchant_uid)
    assert found is not None
    if found.number not in await due_schedules(desk.gateway, 10_000):
        return None
    return await run_schedule(desk.gateway, found.number)


async def shown(desk: Desk, merchant_uid: str = "month_1") -> Any:
    return (await desk.ask("GET", f"{PATH}/{merchant_uid}")).response


async def webhooks(desk: Desk, imp_uid: str) -> list[str]:
    async with desk.gateway.store.direct() as session:
        laid = await session.outbox.of_merchant(desk.shop.merchant.id, imp_uid=imp_uid)
    return [each.status for each in laid]


@pytest.mark.operation("POST /subscribe/payments/schedule")
@pytest.mark.operation("GET /subscribe/payments/schedule/{merchant_uid}")
@pytest.mark.promise("P15")
async def test_a_schedule_is_charged_once_at_its_time(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    await keep_card(desk)

    made = await plan(
        desk, item(desk, custom_data={"회": 1}, buyer_name="길동"), customer_tel="010-1"
    )
    early = await run(desk)
    desk.clock.advance(LATER)
    paid = await run(desk)
    late = await run(desk)

    assert made.verdict == (200, 0, None)
    [schedule] = made.response
    assert list(schedule) == sorted(schedule)
    assert schedule["schedule_status"] == "scheduled"
    assert schedule["payment_status"] is schedule["imp_uid"] is None
    assert (schedule["executed_at"], schedule["revoked_at"]) == (0, 0)
    assert (schedule["buyer_name"], schedule["buyer_tel"]) == ("길동", "010-1")
    assert schedule["custom_data"] == '{"회":1}'
    assert early is None
    assert late is None
    assert paid is not None
    seen = await shown(desk)
    assert seen == {
        **schedule,
        "schedule_status": "executed",
        "payment_status": "paid",
        "imp_uid": paid.imp_uid,
        "executed_at": at(desk, 0),
        "pg_id": desk.shop.channel.mid,
        "pg_provider": "kcp",
    }
    payment = (await desk.ask("GET", f"/payments/{paid.imp_uid}")).response
    assert paid.imp_uid.startswith("imps_")
    assert payment["status"] == "paid"
    assert payment["amount"] == 9900
    assert payment["customer_uid_usage"] == "payment.scheduled"
    assert payment["custom_data"] == '{"회":1}'
    listed = await desk.ask("GET", "/payments/findAll/month_1")
    assert listed.response["total"] == 1


async def test_a_cancelled_payment_is_seen_in_its_schedule(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    await keep_card(desk)
    await plan(desk, item(desk))
    desk.clock.advance(LATER)
    await run(desk)

    cancelled = await desk.ask("POST", "/payments/cancel", json={"merchant_uid": "month_1"})

    assert cancelled.verdict == (200, 0, None)
    assert (await shown(desk))["payment_status"] == "cancelled"


async def test_both_ends_are_announced(desk_with_pg: Desk) -> None:
    """To the order's own address, and a failure as well: nobody else was there to see it."""
    desk = desk_with_pg
    await keep_card(desk)
    there = "https://shop.example/hook"
    await plan(
        desk,
        item(desk, "good", notice_url=there),
        item(desk, "bad", amount=DECLINED, notice_url=there),
    )
    desk.clock.advance(LATER)

    good, bad = await run(desk, "good"), await run(desk, "bad")

    assert good is not None
    assert bad is not None
    assert await webhooks(desk, good.imp_uid) == ["paid"]
    assert await webhooks(desk, bad.imp_uid) == ["failed"]
    seen = await shown(desk, "bad")
    assert (seen["schedule_status"], seen["payment_status"]) == ("executed", "failed")
    assert "한도초과" in seen["fail_reason"]


async def test_a_form_as_php_sends_it_is_understood(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    await keep_card(desk)
    form = {
        "customer_uid": "gildong",
        "schedules[0][merchant_uid]": "a",
        "schedules[0][schedule_at]": str(at(desk, LATER)),
        "schedules[0][amount]": "1004",
        "schedules[0][extra][naverUseCfm]": "20301001",
        "schedules[1][merchant_uid]": "b",
        "schedules[1][schedule_at]": str(at(desk, 2 * LATER)),
        "schedules[1][amount]": "2008",
    }

    made = await desk.ask("POST", PATH + "/", data=form)

    assert made.verdict == (200, 0, None)
    assert [(each["merchant_uid"], each["amount"]) for each in made.response] == [
        ("a", 1004),
        ("b", 2008),
    ]


@pytest.mark.parametrize(
    ("second", "verdict"),
    [
        ({"merchant_uid": "month_1"}, (200, 1, "이미 예약된 merchant_uid 입니다.")),
        ({"amount": 0}, (400, -1, "결제금액이 올바르지 않습니다.")),
        ({"amount": "free"}, (400, -1, "amount 파라메터의 형식이 올바르지 않습니다.")),
        ({"amount": 1.5}, (400, -1, "결제금액의 소수 자릿수가 통화 단위에 맞지 않습니다.")),
        ({"currency": "XYZ"}, (400, -1, "지원하지 않는 통화입니다.")),
        ({"schedule_at": None}, (400, -1, "schedule_at 파라메터가 누락되었습니다.")),
        ({"schedule_at": 10}, (400, -1, "schedule_at 은 현재 시각 이후여야 합니다.")),
        ({"schedule_at": 10**11}, (400, -1, "schedule_at 파라메터의 형식이 올바르지 않습니다.")),
        ({"tax_free": 99_000}, (400, -1, "결제금액이 올바르지 않습니다.")),
        (
            {"notice_url": "no address"},
            (400, -1, "notice_url 파라메터의 형식이 올바르지 않습니다."),
        ),
    ],
)
async def test_all_or_nothing(
    desk_with_pg: Desk, second: dict[str, Any], verdict: tuple[int, int, str]
) -> None:
    desk = desk_with_pg
    await keep_card(desk)

    refused = await plan(desk, item(desk), item(desk, **{"merchant_uid": "month_2", **second}))

    assert refused.verdict == verdict
    assert refused.response is None
    assert (await desk.ask("GET", f"{PATH}/month_1")).status == 404


async def test_an_order_is_scheduled_once_and_not_when_it_is_paid(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    await keep_card(desk)
    paid = await desk.pay()

    first, second = await plan(desk, item(desk)), await plan(desk, item(desk, amount=1))
    third = await plan(desk, item(desk, paid.merchant_uid))

    assert first.verdict == (200, 0, None)
    assert second.verdict == (200, 1, "이미 예약된 merchant_uid 입니다.")
    assert third.verdict == (200, 1, "이미 결제가 이루어진 거래건입니다.")
    assert (await shown(desk))["amount"] == 9900


async def test_a_time_that_has_just_passed_is_taken_for_now(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    await keep_card(desk)

    just, long_ago = (
        await plan(desk, item(desk, "just", schedule_at=at(desk, -60))),
        await plan(desk, item(desk, "long", schedule_at=at(desk, -2 * 3_600))),
    )

    assert just.verdict == (200, 0, None)
    assert long_ago.verdict == (400, -1, "schedule_at 은 현재 시각 이후여야 합니다.")
    paid = await run(desk, "just")
    assert paid is not None
    assert paid.step == "paid"


async def test_a_new_customer_brings_a_card_and_a_bad_one_schedules_nothing(
    desk_with_pg: Desk,
) -> None:
    desk = desk_with_pg

    nobody = await plan(desk, item(desk))
    bad = await plan(desk, item(desk), **BAD_CARD)
    good = await plan(desk, item(desk), **CARD)

    assert nobody.verdict == (200, 1, "등록된 고객정보가 없습니다.")
    assert bad.verdict[:2] == (200, 1)
    assert str(bad.body["message"]).startswith("카드정보 확인에 실패하였습니다. ")
    assert good.verdict == (200, 0, None)
    assert (await desk.ask("GET", "/subscribe/customers/gildong")).verdict == (200, 0, None)


async def test_a_check_of_the_card_is_given_back_at_once(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    await keep_card(desk)

    made = await plan(desk, item(desk), checking_amount=100)
    refused = await plan(desk, item(desk, "month_2"), checking_amount=DECLINED)

    assert made.verdict == (200, 0, None)
    assert refused.body["message"] == "카드정보 확인에 실패하였습니다. 한도초과"
    assert (await desk.ask("GET", f"{PATH}/month_2")).status == 404
    checks = (await desk.ask("GET", "/subscribe/customers/gildong/payments")).response["list"]
    assert [(each["status"], each["amount"], each["cancel_amount"]) for each in checks] in (
        [("failed", DECLINED, 0), ("cancelled", 100, 100)],
        [("cancelled", 100, 100), ("failed", DECLINED, 0)],
    )
    assert [each["imp_uid"] for each in checks if await webhooks(desk, each["imp_uid"])] == []


async def test_a_check_that_nobody_answered_is_given_back_by_the_worker(
    desk_with_pg: Desk,
) -> None:
    desk = desk_with_pg
    await keep_card(desk)

    unknown = await plan(desk, item(desk), checking_amount=GARBAGE)

    assert unknown.body["code"] != 0
    assert (await desk.ask("GET", f"{PATH}/month_1")).status == 404
    [check] = (await desk.ask("GET", "/subscribe/customers/gildong/payments")).response["list"]
    assert check["status"] == "ready"
    desk.clock.advance(60)
    found = await reconcile(desk.gateway, check["imp_uid"])
    assert found is not None
    if found.step == "paid":
        found = await give_back_check(desk.gateway, check["imp_uid"])
    assert found.step in ("cancelled", "failed")


@pytest.mark.operation("POST /subscribe/payments/unschedule")
async def test_what_waits_is_revoked_and_never_runs(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    await keep_card(desk)
    await plan(desk, item(desk, "a"), item(desk, "b"), item(desk, "c"))
    revoke = "/subscribe/payments/unschedule"

    one = await desk.ask("POST", revoke, json={"merchant_uid": "a", "customer_uid": "gildong"})
    again = await desk.ask("POST", revoke, json={"merchant_uid": ["a"]})
    rest = await desk.ask("POST", revoke, data={"customer_uid": "gildong"})
    nobody = await desk.ask("POST", revoke, json={"customer_uid": "00000000"})
    nothing = await desk.ask("POST", revoke, json={})

    assert one.verdict == (200, 0, None)
    assert [each["merchant_uid"] for each in one.response] == ["a"]
    assert one.response[0]["schedule_status"] == "revoked"
    assert one.response[0]["revoked_at"] == at(desk, 0)
    assert [each["merchant_uid"] for each in rest.response] == ["b", "c"]
    for refused in (again, nobody):
        assert refused.verdict == (200, 1, "취소할 예약결제 기록이 존재하지 않습니다.")
    assert nothing.verdict == (400, -1, "customer_uid 파라메터가 누락되었습니다.")
    desk.clock.advance(2 * LATER)
    assert [await run(desk, name) for name in "abc"] == [None] * 3
    assert (await desk.ask("GET", "/payments/find/a")).status == 404


async def test_a_deleted_key_revokes_nothing_and_fails_at_its_time(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    await keep_card(desk)
    await plan(desk, item(desk, notice_url="https://shop.example/hook"))
    await desk.ask("DELETE", "/subscribe/customers/gildong")

    assert (await shown(desk))["schedule_status"] == "scheduled"
    desk.clock.advance(LATER)
    failed = await run(desk)

    assert failed is not None
    seen = await shown(desk)
    assert (seen["schedule_status"], seen["payment_status"]) == ("executed", "failed")
    assert seen["fail_reason"] == "등록되지 않은 구매자입니다."
    assert await webhooks(desk, failed.imp_uid) == ["failed"]


async def test_an_order_that_was_paid_meanwhile_is_not_charged_again(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    await keep_card(desk)
    await plan(desk, item(desk))
    again = {"customer_uid": "gildong", "merchant_uid": "month_1", "amount": 9900, "name": "먼저"}
    assert (await desk.ask("POST", "/subscribe/payments/again", json=again)).body["code"] == 0
    desk.clock.advance(LATER)

    failed = await run(desk)

    assert failed is not None
    assert (await shown(desk))["fail_reason"] == "이미 결제가 이루어진 거래건입니다."
    found = await desk.ask("GET", "/payments/findAll/month_1/paid")
    assert found.response["total"] == 1


@pytest.mark.operation("PUT /subscribe/payments/schedule/{merchant_uid}")
async def test_what_waits_is_moved(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    await keep_card(desk)
    await plan(desk, item(desk))

    later = at(desk, 3 * LATER)
    moved = await desk.ask("PUT", f"{PATH}/month_1", json={"schedule_at": later})
    past = await desk.ask("PUT", f"{PATH}/month_1", json={"schedule_at": at(desk, -1)})
    unknown = await desk.ask("PUT", f"{PATH}/month_9", json={"schedule_at": later})
    desk.clock.advance(2 * LATER)
    too_early = await run(desk)
    desk.clock.advance(LATER)
    due = await desk.ask("PUT", f"{PATH}/month_1", json={"schedule_at": at(desk, LATER)})
    paid = await run(desk)
    executed = await desk.ask("PUT", f"{PATH}/month_1", json={"schedule_at": at(desk, LATER)})

    assert moved.response["schedule_at"] == later
    assert past.verdict == (400, -1, "schedule_at 은 현재 시각 이후여야 합니다.")
    assert unknown.verdict == (404, -1, "존재하지 않는 예약결제입니다.")
    assert too_early is None
    for refused in (due, executed):
        assert refused.verdict == (400, -1, "이미 실행되었거나 취소된 예약입니다.")
    assert paid is not None


@pytest.mark.operation("POST /subscribe/payments/schedule/{merchant_uid}/reschedule")
async def test_what_failed_or_was_revoked_is_scheduled_anew(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    await keep_card(desk)
    await plan(desk, item(desk, "fails", amount=DECLINED), item(desk, "gone"), item(desk, "pays"))
    await desk.ask("POST", "/subscribe/payments/unschedule", json={"merchant_uid": "gone"})

    async def anew(merchant_uid: str) -> Answered:
        fields = {"schedule_at": at(desk, LATER)}
        return await desk.ask("POST", f"{PATH}/{merchant_uid}/reschedule", data=fields)

    waiting = await anew("pays")
    desk.clock.advance(LATER)
    first = await run(desk, "fails")
    await run(desk, "pays")
    failed, gone, paid, unknown = [
        await anew(name) for name in ("fails", "gone", "pays", "nothing")
    ]

    assert first is not None
    for refused in (waiting, paid):
        assert refused.verdict == (400, -1, "결제에 실패한 예약만 다시 시도할 수 있습니다.")
    assert unknown.verdict == (404, -1, "존재하지 않는 예약결제입니다.")
    for planned in (failed, gone):
        assert planned.verdict == (200, 0, None)
        assert planned.response["schedule_status"] == "scheduled"
        assert planned.response["imp_uid"] is planned.response["payment_status"] is None
    desk.clock.advance(LATER)
    second, revived = await run(desk, "fails"), await run(desk, "gone")
    assert second is not None
    assert second.imp_uid != first.imp_uid
    assert revived is not None
    assert revived.step == "paid"


@pytest.mark.operation("POST /subscribe/payments/schedule/{merchant_uid}/retry")
async def test_what_failed_is_attempted_again_at_once(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    await keep_card(desk)
    await plan(desk, item(desk))
    await desk.ask("DELETE", "/subscribe/customers/gildong")
    retry = f"{PATH}/month_1/retry"
    waiting = await desk.ask("POST", retry)
    desk.clock.advance(LATER)
    first = await run(desk)
    no_key = await desk.ask("POST", retry)
    await keep_card(desk)

    paid = await desk.ask("POST", retry)
    again = await desk.ask("POST", retry)
    unknown = await desk.ask("POST", f"{PATH}/nothing/retry")

    assert first is not None
    assert no_key.verdict == (404, -1, "등록되지 않은 구매자입니다.")
    assert paid.verdict == (200, 0, None)
    assert paid.response["status"] == "paid"
    assert paid.response["merchant_uid"] == "month_1"
    assert paid.response["imp_uid"] not in (first.imp_uid, None)
    assert (await shown(desk))["imp_uid"] == paid.response["imp_uid"]
    for refused in (waiting, again):
        assert refused.verdict == (400, -1, "결제에 실패한 예약만 다시 시도할 수 있습니다.")
    assert unknown.verdict == (404, -1, "존재하지 않는 예약결제입니다.")


async def test_a_retry_that_is_declined_is_a_failed_payment(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    await keep_card(desk)
    await plan(desk, item(desk, amount=DECLINED))
    desk.clock.advance(LATER)
    await run(desk)

    retried = await desk.ask("POST", f"{PATH}/month_1/retry")

    assert retried.verdict == (200, 0, None)
    assert retried.response["status"] == "failed"
    assert (await desk.ask("GET", "/payments/findAll/month_1/failed")).response["total"] == 2


async def test_a_doubt_is_not_attempted_again_until_it_has_ended(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    await keep_card(desk)
    await plan(desk, item(desk, amount=GARBAGE))
    desk.clock.advance(LATER)

    doubt = await run(desk)
    seen = await shown(desk)
    retried = await desk.ask("POST", f"{PATH}/month_1/retry")
    moved = await desk.ask(
        "POST", f"{PATH}/month_1/reschedule", json={"schedule_at": at(desk, LATER)}
    )
    desk.clock.advance(30)
    ended = await reconcile(desk.gateway, seen["imp_uid"])

    assert doubt is not None
    assert doubt.step == "approving"
    assert (seen["schedule_status"], seen["payment_status"]) == ("executed", None)
    for refused in (retried, moved):
        assert refused.verdict == (400, -1, "결제에 실패한 예약만 다시 시도할 수 있습니다.")
    assert ended is not None
    assert ended.final
    assert (await shown(desk))["payment_status"] in ("paid", "failed")


@pytest.mark.operation("GET /subscribe/payments/schedule")
@pytest.mark.operation("GET /subscribe/payments/schedule/customers/{customer_uid}")
@pytest.mark.operation("GET /subscribe/customers/{customer_uid}/schedules")
async def test_schedules_are_listed_a_page_at_a_time(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    await keep_card(desk)
    await keep_card(desk, "customers")
    times = {"a": at(desk, LATER), "b": at(desk, 2 * LATER), "c": at(desk, 3 * LATER)}
    await plan(desk, *(item(desk, name, schedule_at=when) for name, when in times.items()))
    await plan(desk, item(desk, "d", schedule_at=times["b"]), customer_uid="customers")
    await desk.ask("POST", "/subscribe/payments/unschedule", json={"merchant_uid": "b"})

    async def listed(path: str, **query: Any) -> Answered:
        return await desk.ask("GET", path, params=query)

    def names(answer: Answered) -> list[str]:
        return [each["merchant_uid"] for each in answer.response["list"]]

    both = {"schedule_from": times["a"], "schedule_to": times["c"]}
    everything = await listed(PATH, schedule_from=times["a"], schedule_to=times["c"] + 1)
    assert names(everything) in (["c", "b", "d", "a"], ["c", "d", "b", "a"])
    assert names(await listed(PATH, **both)) in (["b", "d", "a"], ["d", "b", "a"])
    oldest = await listed(PATH, **both, sorting="scheduled", limit=1, page=1)
    assert names(oldest) == ["a"]
    paging = {name: oldest.response[name] for name in ("total", "previous", "next")}
    assert paging == {"total": 3, "previous": 0, "next": 2}
    assert names(await listed(PATH, **both, schedule_status="revoked")) == ["b"]
    for path in (f"{PATH}/customers/gildong", "/subscribe/customers/gildong/schedules"):
        assert names(await listed(path, **both)) == ["b", "a"]
        spelled = {"from": times["a"], "to": times["c"], "schedule-status": "scheduled"}
        assert names(await listed(path, **spelled)) == ["a"]
    assert names(await listed(f"{PATH}/customers/customers", **both)) == ["d"]
    assert names(await listed(f"{PATH}/customers/nobody", **both)) == []

    window = await listed(PATH, schedule_from=0, schedule_to=93 * 86_400)
    assert window.verdict[:2] == (400, -1)
    assert (await listed(PATH, schedule_from=0)).status == 400
    assert (await listed(PATH, **both, schedule_status="paid")).status == 400
    assert (await listed(PATH, **both, sorting="amount")).status == 400
    assert (await listed(PATH, **both, page=9)).status == 400
    assert (await listed(PATH, **both, limit=0)).status == 400


async def test_a_stranger_sees_and_touches_nothing(desk_with_pg: Desk) -> None:
    desk = desk_with_pg
    await keep_card(desk)
    await plan(desk, item(desk))
    theirs = desk.stranger.token

    answers = [
        await desk.ask("GET", f"{PATH}/month_1", token=theirs),
        await desk.ask(
            "PUT", f"{PATH}/month_1", token=theirs, json={"schedule_at": at(desk, 2 * LATER)}
        ),
        await desk.ask(
            "POST",
            f"{PATH}/month_1/reschedule",
            token=theirs,
            json={"schedule_at": at(desk, 2 * LATER)},
        ),
        await desk.ask("POST", f"{PATH}/month_1/retry", token=theirs),
    ]
    revoked = await desk.ask(
        "POST",
        "/subscribe/payments/unschedule",
        token=theirs,
        json={"customer_uid": "gildong", "merchant_uid": "month_1"},
    )
    window = {"from": at(desk, 0), "to": at(desk, 2 * LATER)}
    listed = await desk.ask("GET", f"{PATH}/customers/gildong", token=theirs, params=window)

    for answer in answers:
        assert answer.verdict == (404, -1, "존재하지 않는 예약결제입니다.")
    assert revoked.verdict == (200, 1, "취소할 예약결제 기록이 존재하지 않습니다.")
    assert listed.response["total"] == 0
    assert (await shown(desk))["schedule_status"] == "scheduled"


async def test_a_repeated_request_has_one_effect(desk_with_pg: Desk) -> None:
    """By the Idempotency-Key: the first answer comes again, and nothing is done twice."""
    desk = desk_with_pg
    await keep_card(desk)
    made_by = {"customer_uid": "gildong", "schedules": [item(desk)]}

    async def twice(path: str, fields: dict[str, Any]) -> list[Answered]:
        key = {"Idempotency-Key": f"key-{path}"}
        return [await desk.ask("POST", path, headers=key, json=fields) for _ in range(2)]

    first, second = await twice(PATH, made_by)
    gone, gone_again = await twice("/subscribe/payments/unschedule", {"merchant_uid": "month_1"})

    assert first.verdict == (200, 0, None)
    assert second.response == first.response
    assert second.headers["idempotent-replayed"] == "true"
    assert gone.verdict == (200, 0, None)
    assert gone_again.response == gone.response


async def test_a_crowded_pg_is_not_asked_and_nothing_fails(desk_with_pg: Desk) -> None:
    """Our own lines are full: the schedule stays due, and is charged when there is room."""
    desk = desk_with_pg
    await keep_card(desk)
    await plan(desk, item(desk))
    desk.clock.advance(LATER)
    load, channel = desk.gateway.pg_load, desk.shop.channel.id
    load.at_once = 2

    with load.asking(channel):
        async with desk.gateway.store.direct() as session:
            found = await session.schedules.get(desk.shop.merchant.id, "month_1")
        assert found is not None
        crowded = await run_schedule(desk.gateway, found.number)
        not_due = await run(desk)
    stayed = (await shown(desk))["schedule_status"]
    paid = await run(desk)

    assert crowded is not_due is None
    assert stayed == "scheduled"
    assert paid is not None
    assert paid.step == "paid"
