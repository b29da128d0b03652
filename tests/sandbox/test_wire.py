"""The members' API, operation by operation, against docs/reference/sandbox-wire.md."""

from __future__ import annotations

import asyncio
import hashlib
import hmac
import json
import secrets

import aiohttp
import pytest

from naru.sandbox import magic
from tests.sandbox.stage import Json, Member, Pg, Window


async def test_an_order_is_registered_authenticated_and_approved(member: Member) -> None:
    window = await member.open(pay_method="card")
    finished = await window.pay_mpi("4518-4212-3456-7811", installment_months=3)
    approval = await window.approve(finished)
    assert approval["result"] == "approved"
    assert approval["amount"] == 64900
    assert approval["currency"] == "KRW"
    assert approval["pay_method"] == "card"
    assert approval["card"] == {
        "issuer_code": "366",
        "issuer_name": "신한카드",
        "number": "451842******7811",
        "installment_months": 3,
        "type": 0,
    }
    assert approval["bank"] is None
    assert approval["wallet"] is None
    assert approval["receipt_url"].endswith("/receipts/" + approval["tid"])
    inquiry = await member.inquire(window.order_no)
    assert inquiry["state"] == "approved"
    assert inquiry["approval"] == approval


async def test_the_return_form_is_signed_by_the_words_of_the_contract(member: Member) -> None:
    window = await member.open()
    form = (await window.ok("/wallet"))["return_form"]
    fields = form["fields"]
    assert form["action"] == "http://127.0.0.1:9/return"
    assert fields["status"] == "authenticated"
    text = "\n".join(
        (
            *("return", fields["mid"], fields["order_no"], fields["status"]),
            *(fields["auth_token"], fields["amount"], fields["currency"], fields["pay_method"]),
            *(fields["code"], fields["message"], fields["expires_at"]),
        )
    )
    proof = hmac.new(member.secret.encode(), text.encode(), hashlib.sha256).hexdigest()
    assert fields["signature"] == proof


async def test_joining_again_needs_the_same_secret(pg: Pg, member: Member) -> None:
    await member.join()
    stranger = Member(pg.url, pg.http, pg.clock, member.mid)
    body = {"secret": stranger.secret, "name": "x", "profile": "kcp"}
    async with pg.http.put(f"{pg.url}/v1/members/{member.mid}", json=body) as answer:
        assert answer.status == 409
        assert (await answer.json())["code"] == "MEMBER_EXISTS"


@pytest.mark.parametrize("mid", ["TC0ONETIME", "shop@paypal.example", "a" * 64])
async def test_pg_ids_of_every_kind_may_join(pg: Pg, mid: str) -> None:
    member = await pg.member(mid)
    await member.open()


async def test_wrong_signatures_and_old_timestamps_are_refused(pg: Pg, member: Member) -> None:
    async def status(**changes: str) -> int:
        headers = member.headers("GET", "/v1/book", b"") | changes
        async with pg.http.get(f"{pg.url}/v1/book", headers=headers) as answer:
            body = await answer.json()
            assert answer.status == 200 or body["code"] == "UNAUTHENTICATED"
            return answer.status

    assert await status() == 200
    assert await status(**{"X-Sandbox-Signature": "0" * 64}) == 401
    assert await status(**{"X-Sandbox-Signature": "é한"}) == 401
    assert await status(**{"X-Sandbox-Mid": "nobody"}) == 401
    assert await status(**{"X-Sandbox-Timestamp": "NaN"}) == 401
    assert await status(**{"X-Sandbox-Timestamp": "1" * 400}) == 401
    old = Member(pg.url, pg.http, lambda: pg.clock() - 301, member.mid, member.secret)
    assert (await old.raw("GET", "/v1/book"))[0] == 401


async def test_a_signature_covers_method_path_query_and_body(pg: Pg, member: Member) -> None:
    body = json.dumps(member.order()).encode()
    headers = member.headers("POST", "/v1/orders", body)
    for path, sent in (
        ("/v1/orders", body.replace(b"64900", b"10000")),
        ("/v1/orders?a=1", body),
        ("/v1/approvals", body),
    ):
        async with pg.http.post(pg.url + path, data=sent, headers=headers) as answer:
            assert answer.status == 401


async def test_the_same_order_again_is_the_same_window_and_other_content_conflicts(
    member: Member,
) -> None:
    order = member.order()
    first = await member.ask("POST", "/v1/orders", order)
    assert await member.ask("POST", "/v1/orders", order) == first
    conflict = await member.ask("POST", "/v1/orders", order | {"amount": 1}, status=409)
    assert conflict["code"] == "CONFLICT"


async def test_an_approval_is_idempotent_and_other_content_conflicts(member: Member) -> None:
    window = await member.open()
    finished = await window.ok("/wallet")
    first = await window.approve(finished)
    assert await window.approve(finished) == first
    other = window.approval(finished) | {"amount": 64901}
    assert (await member.ask("POST", "/v1/approvals", other, status=409))["code"] == "CONFLICT"
    assert len((await member.ask("GET", "/v1/book"))["rows"]) == 1


async def test_sixty_four_approvals_at_once_take_money_once(member: Member) -> None:
    window = await member.open()
    finished = await window.ok("/wallet")
    answers = await asyncio.gather(*(window.approve(finished) for _ in range(64)))
    assert {answer["tid"] for answer in answers} == {answers[0]["tid"]}
    assert len((await member.ask("GET", "/v1/book"))["rows"]) == 1


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({"auth_token": "x" * 43}, "TOKEN_INVALID"),
        ({"auth_token": ""}, "TOKEN_INVALID"),
        ({"amount": 64800}, "AMOUNT_DIFFERS"),
        ({"currency": "USD"}, "CURRENCY_DIFFERS"),
    ],
)
async def test_an_approval_that_does_not_fit_is_declined(
    member: Member, change: Json, code: str
) -> None:
    window = await member.open()
    answer = await window.approve(await window.ok("/wallet"), **change)
    assert answer["result"] == "declined"
    assert answer["code"] == code
    assert (await member.inquire(window.order_no))["state"] == "declined"


async def test_a_token_of_another_order_is_foreign(member: Member) -> None:
    one, other = await member.open(), await member.open()
    token = (await one.ok("/wallet"))["return_form"]["fields"]["auth_token"]
    answer = await other.approve(await other.ok("/wallet"), auth_token=token)
    assert answer["code"] == "TOKEN_INVALID"


async def test_another_member_cannot_see_or_use_an_order(pg: Pg, member: Member) -> None:
    window = await member.open()
    finished = await window.ok("/wallet")
    stranger = await pg.member("stranger")
    assert (await stranger.raw("GET", f"/v1/orders/{window.order_no}"))[0] == 404
    answer = await stranger.ask("POST", "/v1/approvals", window.approval(finished))
    assert answer["code"] == "ORDER_NOT_FOUND"
    approval = await window.approve(finished)
    assert (await stranger.cancel(approval, 64900, 64900))["code"] == "TID_NOT_FOUND"


async def test_a_token_dies_after_ten_minutes(pg: Pg, member: Member) -> None:
    window = await member.open()
    finished = await window.ok("/wallet")
    pg.clock.ahead += 601
    assert (await window.approve(finished))["code"] == "TOKEN_EXPIRED"


async def test_a_net_cancel_undoes_an_approval_and_leaves_a_tombstone(member: Member) -> None:
    window = await member.open()
    finished = await window.ok("/wallet")
    await window.approve(finished)
    path = f"/v1/approvals/{window.order_no}/net-cancel"
    undone = {"result": "undone", "order_no": window.order_no, "had_approved": True}
    assert await member.ask("POST", path, {"reason": "no answer"}) == undone
    assert await member.ask("POST", path, {"reason": "again"}) == undone
    assert (await window.approve(finished))["code"] == "NET_CANCELLED"
    inquiry = await member.inquire(window.order_no)
    assert (inquiry["state"], inquiry["cancelled"]) == ("undone", 64900)
    kinds = [row["kind"] for row in (await member.ask("GET", "/v1/book"))["rows"]]
    assert kinds == ["charge", "net_cancel"]


async def test_a_net_cancel_before_the_approval_stops_it_for_ever(member: Member) -> None:
    window = await member.open()
    finished = await window.ok("/wallet")
    path = f"/v1/approvals/{window.order_no}/net-cancel"
    assert (await member.ask("POST", path, {"reason": ""}))["had_approved"] is False
    assert (await window.approve(finished))["code"] == "NET_CANCELLED"


async def test_a_number_never_seen_gets_a_tombstone_too(member: Member) -> None:
    order = member.order()
    path = f"/v1/approvals/{order['order_no']}/net-cancel"
    assert (await member.ask("POST", path, {"reason": ""}))["had_approved"] is False
    assert (await member.inquire(order["order_no"]))["state"] == "undone"
    assert (await member.ask("POST", "/v1/orders", order, status=409))["code"] == "CONFLICT"


async def test_a_net_cancel_is_refused_after_an_hour_or_a_cancel(pg: Pg, member: Member) -> None:
    late, partly = await member.paid(), await member.paid()
    await member.cancel(partly, 900, 64900)
    path = "/v1/approvals/{}/net-cancel"
    answer = await member.ask("POST", path.format(partly["order_no"]), {"reason": ""})
    assert (answer["result"], answer["code"]) == ("refused", "PARTLY_CANCELLED")
    pg.clock.ahead += 3601
    answer = await member.ask("POST", path.format(late["order_no"]), {"reason": ""})
    assert (answer["result"], answer["code"]) == ("refused", "TOO_LATE")


async def test_partial_cancels_go_down_to_nothing_and_no_further(member: Member) -> None:
    approval = await member.paid(amount=1000)
    first = await member.cancel(approval, 400, 1000)
    assert (first["result"], first["balance"]) == ("cancelled", 600)
    assert (await member.cancel(approval, 100, 1000))["code"] == "BALANCE_DIFFERS"
    assert (await member.cancel(approval, 601, 600))["code"] == "EXCEEDS_BALANCE"
    assert (await member.inquire(approval["order_no"]))["state"] == "approved"
    assert (await member.cancel(approval, 600, 600))["balance"] == 0
    assert (await member.cancel(approval, 1, 1))["code"] == "ALREADY_CANCELLED"
    inquiry = await member.inquire(approval["order_no"])
    assert (inquiry["state"], inquiry["cancelled"]) == ("cancelled", 1000)
    assert {cancel["amount"] for cancel in inquiry["cancels"]} == {400, 600}


async def test_a_cancel_number_is_its_idempotency_key(member: Member) -> None:
    approval = await member.paid(amount=1000)
    first = await member.cancel(approval, 400, 1000, cancel_no="cancel-1")
    assert await member.cancel(approval, 400, 1000, cancel_no="cancel-1") == first
    assert await member.ask("GET", "/v1/cancels/cancel-1") == first
    body = {"tid": approval["tid"], "cancel_no": "cancel-1", "amount": 500, "balance_before": 600}
    assert (await member.ask("POST", "/v1/cancels", body, status=409))["code"] == "CONFLICT"
    await member.ask("GET", "/v1/cancels/never-was", status=404)


async def test_cancels_that_race_never_give_back_more_than_was_taken(member: Member) -> None:
    approval = await member.paid(amount=1000)
    answers = await asyncio.gather(*(member.cancel(approval, 400, 1000) for _ in range(32)))
    assert [answer["result"] for answer in answers].count("cancelled") == 1


async def test_the_book_lists_every_movement_in_order_and_by_pages(member: Member) -> None:
    approval = await member.paid(amount=1000)
    await member.cancel(approval, 400, 1000, cancel_no="cancel-1")
    first = await member.ask("GET", "/v1/book?limit=1")
    assert first["more"] is True
    seq = first["rows"][0]["seq"]
    second = (await member.ask("GET", f"/v1/book?after={seq}"))["rows"]
    (row,) = second
    assert (row["kind"], row["reference"], row["amount"]) == ("cancel", "cancel-1", 400)
    await member.ask("GET", "/v1/book?limit=-1", status=400)
    await member.ask("GET", "/v1/book?after=%EF%BC%91", status=400)


async def test_an_open_window_that_ran_out_is_abandoned(pg: Pg, member: Member) -> None:
    window = await member.open()
    assert (await member.inquire(window.order_no))["state"] == "registered"
    pg.clock.ahead += 1801
    inquiry = await member.inquire(window.order_no)
    assert (inquiry["state"], inquiry["code"]) == ("abandoned", "SESSION_EXPIRED")
    await member.ask("GET", "/v1/orders/never-seen", status=404)


# Faults on demand


async def approve_raw(window: Window, finished: Json, seconds: float = 5) -> tuple[int, bytes]:
    member, body = window.member, json.dumps(window.approval(finished)).encode()
    async with member.http.post(
        f"{member.url}/v1/approvals",
        data=body,
        headers=member.headers("POST", "/v1/approvals", body),
        timeout=aiohttp.ClientTimeout(total=seconds),
    ) as answer:
        return answer.status, await answer.read()


async def authenticated(member: Member, scenario: str) -> tuple[Window, Json]:
    window = await member.open(amount=magic.BY_NAME[scenario].amount)
    return window, await window.ok("/wallet")


@pytest.mark.parametrize(
    "name", [s.name for s in magic.SCENARIOS if s.stage == "approval" and s.code is not None]
)
async def test_each_magic_amount_declines_in_the_pgs_words(member: Member, name: str) -> None:
    window, finished = await authenticated(member, name)
    answer = await window.approve(finished)
    scenario = magic.BY_NAME[name]
    assert (answer["code"], answer["message"]) == (scenario.code, scenario.message)
    inquiry = await member.inquire(window.order_no)
    assert (inquiry["state"], inquiry["code"]) == ("declined", scenario.code)


@pytest.mark.parametrize(
    ("name", "state"),
    [("approve_silent_done", "approved"), ("approve_silent_undone", "authenticated")],
)
async def test_a_silent_pg_never_answers(member: Member, name: str, state: str) -> None:
    window, finished = await authenticated(member, name)
    with pytest.raises(TimeoutError):
        await approve_raw(window, finished, seconds=0.3)
    assert (await member.inquire(window.order_no))["state"] == state


@pytest.mark.parametrize(
    ("name", "state"), [("approve_cut_done", "approved"), ("approve_cut_undone", "authenticated")]
)
async def test_a_pg_cuts_the_connection(member: Member, name: str, state: str) -> None:
    window, finished = await authenticated(member, name)
    with pytest.raises(aiohttp.ClientConnectionError):
        await approve_raw(window, finished)
    assert (await member.inquire(window.order_no))["state"] == state


async def test_a_slow_pg_answers_in_the_end(member: Member) -> None:
    window, finished = await authenticated(member, "approve_very_slow")
    asking = asyncio.create_task(approve_raw(window, finished))
    done, _ = await asyncio.wait({asking}, timeout=0.2)
    assert not done  # 20 s at a fiftieth of the pace are 0.4 s
    status, body = await asking
    assert (status, json.loads(body)["result"]) == (200, "approved")


async def test_garbage_an_error_page_and_a_forged_answer(member: Member) -> None:
    window, finished = await authenticated(member, "approve_garbage")
    _, body = await approve_raw(window, finished)
    with pytest.raises(ValueError):
        json.loads(body)
    window, finished = await authenticated(member, "approve_error_page")
    assert (await approve_raw(window, finished))[0] == 502
    window, finished = await authenticated(member, "approve_forged")
    with pytest.raises(AssertionError):  # the member's own check of the signature
        await window.approve(finished)
    assert (await member.inquire(window.order_no))["state"] == "approved"


async def test_approved_for_another_amount(member: Member) -> None:
    window, finished = await authenticated(member, "approve_other_amount")
    answer = await window.approve(finished)
    assert answer["amount"] == window.order["amount"] + 10
    inquiry = await member.inquire(window.order_no)
    assert inquiry["paid"] == answer["amount"]


async def test_a_late_deed_is_stopped_by_a_net_cancel(member: Member) -> None:
    stopped, finished_stopped = await authenticated(member, "approve_late_deed")
    late, finished_late = await authenticated(member, "approve_late_deed")
    asking = [
        asyncio.create_task(approve_raw(stopped, finished_stopped)),
        asyncio.create_task(approve_raw(late, finished_late)),
    ]
    path = f"/v1/approvals/{stopped.order_no}/net-cancel"
    assert (await member.ask("POST", path, {"reason": ""}))["had_approved"] is False
    async with asyncio.timeout(4):
        while (await member.inquire(late.order_no))["state"] != "approved":
            await asyncio.sleep(0.02)
    assert (await member.inquire(stopped.order_no))["state"] == "undone"
    for question in asking:
        question.cancel()
    await asyncio.gather(*asking, return_exceptions=True)


async def test_net_cancel_may_be_down_and_comes_back(pg: Pg, member: Member) -> None:
    window, finished = await authenticated(member, "net_cancel_down")
    with pytest.raises(aiohttp.ClientConnectionError):
        await approve_raw(window, finished)
    path = f"/v1/approvals/{window.order_no}/net-cancel"
    body = b'{"reason":""}'
    async with pg.http.post(
        pg.url + path, data=body, headers=member.headers("POST", path, body)
    ) as answer:
        assert answer.status == 503
    pg.clock.ahead += 2
    assert (await member.ask("POST", path, {"reason": ""}))["had_approved"] is True


async def test_faults_of_a_cancel(member: Member) -> None:
    async def paid(name: str) -> Json:
        window, finished = await authenticated(member, name)
        return await window.approve(finished)

    refused = await paid("cancel_refused")
    answer = await member.cancel(refused, refused["amount"], refused["amount"])
    assert (answer["result"], answer["code"]) == ("refused", "CANCEL_REFUSED")
    cut = await paid("cancel_cut_done")
    with pytest.raises(aiohttp.ClientConnectionError):
        await member.cancel(cut, cut["amount"], cut["amount"], cancel_no="cut-off")
    assert (await member.ask("GET", "/v1/cancels/cut-off"))["result"] == "cancelled"


async def test_a_choice_in_the_window_wins_over_the_amount(member: Member) -> None:
    window = await member.open(amount=magic.BY_NAME["limit_exceeded"].amount)
    await window.ok("/scenario", {"scenario": "balance_short"})
    assert (await window.approve(await window.ok("/wallet")))["code"] == "BALANCE_SHORT"


async def test_scenarios_are_for_test_orders_only(member: Member) -> None:
    window = await member.open(test=False)
    answer = await window.no("/scenario", {"scenario": "limit_exceeded"})
    assert answer["code"] == "TEST_ONLY"
    window = await member.open()
    answer = await window.no("/scenario", {"scenario": secrets.token_hex(4)})
    assert answer["code"] == "UNKNOWN_SCENARIO"
