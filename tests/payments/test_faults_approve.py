"""Taking money under every fault of the matrix: rows B1 (return), B3 (confirm), C1 (claim), C2 (PG), C3 (result).

Who dies at a point loses all that it had in mind; who goes on afterwards knows only what was committed.
After every history both books agree, and what was told was true (tests/support/agreement.py).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from naru.connectors import Can
from naru.domain.errors import AlreadyPaid, ForgedReturn
from naru.domain.ids import MerchantUid
from naru.domain.payment import Payment, Step
from naru.domain.points import POINTS, listen
from naru.payments.abandon import abandon
from naru.payments.approve import approve
from naru.payments.gateway import Gateway
from naru.payments.reconcile import reconcile
from naru.store import StoreUnavailable
from tests.payments.test_approve import back
from tests.payments.test_recovery import POWERS, check, give_powers, let_time_pass, name
from tests.payments.test_sleepers import asleep, sleep_through
from tests.payments.test_virtual_account_faults import ended
from tests.support.agreement import agree, told_of
from tests.support.database_away import database_away
from tests.support.database_line import over_a_line
from tests.support.dying import dying
from tests.support.gateway import House
from tests.support.receiver import Receiver, Told
from tests.support.scale import often
from tests.support.stand_in_pg import Asked, StandInPg

if TYPE_CHECKING:
    from tests.support.postgres import Databases

AT_ONCE = 64


@pytest.fixture(scope="module")
def database_url(databases: Databases) -> Iterator[str]:
    """One database for the file: every test has a house of its own in it."""
    url = databases.new()
    yield url
    databases.drop(url)


@pytest.fixture(autouse=True)
async def announced(house: House) -> None:
    await house.set_merchant(webhook_url="https://shop.example/hook")


def form(house: House, pg: StandInPg, payment: Payment) -> dict[str, str]:
    """What the browser brings back, for ten minutes by this house's clock."""
    return back(pg, payment, expires_at=str(int(house.clock().timestamp()) + 600))


async def held(house: House, payment: Payment) -> None:
    """Being checked: neither failed nor paid, nobody was told, and the order takes no other."""
    assert (await house.payment(payment.imp_uid)).step is Step.APPROVING
    assert await told_of(house, payment.imp_uid) == []
    with pytest.raises(AlreadyPaid):
        await house.open(merchant_uid=payment.merchant_uid)


async def untouched(house: House, pg: StandInPg, payment: Payment) -> None:
    """Nothing happened: no PG was asked, the payment is as it was opened."""
    assert await house.history(payment.imp_uid) == ["opened"]
    assert pg.asked == []


async def pays_now(house: House, pg: StandInPg, payment: Payment, fields: dict[str, str]) -> None:
    """The same return, sent again, takes the money once, and every further one hears the same."""
    paid = await approve(house.gateway, payment.imp_uid, fields)
    assert paid is not None
    assert paid.step is Step.PAID
    assert await approve(house.gateway, payment.imp_uid, fields) == paid
    assert pg.count("approvals") == 1
    await agree(house, pg, payment.imp_uid, ["paid"])


@asynccontextmanager
async def jumping(house: House, point: str, hours: int) -> AsyncIterator[None]:
    """The wall clock jumps when somebody comes by this point."""
    assert point in POINTS
    passed: list[str] = []

    def jump(reached: str) -> None:
        if reached == point:
            passed.append(reached)
            house.clock.advance(hours=hours)

    listen(jump)
    try:
        yield
    finally:
        listen(None)
    assert passed, f"nobody came by {point}"


# --- B1: the browser returns ---------------------------------------------------------------------


@pytest.mark.fault("B1_CB")
@pytest.mark.parametrize("point", ["return.before_proof", "return.after_proof"])
async def test_a_return_during_which_we_died_is_sent_again_and_pays(
    house: House, pg: StandInPg, point: str
) -> None:
    payment = await house.open()
    fields = form(house, pg, payment)
    with dying(point):
        await approve(house.gateway, payment.imp_uid, fields)
    await untouched(house, pg, payment)
    await pays_now(house, pg, payment, fields)


@pytest.mark.fault("B1_CA")
@pytest.mark.parametrize(
    ("point", "end"),
    [
        ("claim.after_commit", Step.FAILED),
        ("approve.after_pg", Step.PAID),
        ("settle.after_commit", Step.PAID),
    ],
)
async def test_a_return_that_was_read_when_we_died_hears_what_became_of_it(
    house: House, pg: StandInPg, point: str, end: Step
) -> None:
    payment = await house.open()
    fields = form(house, pg, payment)
    with dying(point):
        await approve(house.gateway, payment.imp_uid, fields)
    again = await approve(house.gateway, payment.imp_uid, fields)
    assert again is not None
    assert again.step is (Step.PAID if point == "settle.after_commit" else Step.APPROVING)
    ending = await ended(house, payment.imp_uid)
    assert ending.step is end
    assert await approve(house.gateway, payment.imp_uid, fields) == ending
    assert pg.count("approvals") == (0 if point == "claim.after_commit" else 1)
    await agree(house, pg, payment.imp_uid, ["paid"] if end is Step.PAID else [])


@pytest.mark.fault("B1_RO")
@pytest.mark.promise("P2")
async def test_a_return_of_an_older_window_finds_the_order_paid_by_a_newer_one(
    house: House, pg: StandInPg
) -> None:
    order = MerchantUid("two-windows")
    older, newer = await house.open(merchant_uid=order), await house.open(merchant_uid=order)
    fields = form(house, pg, older)
    await pays_now(house, pg, newer, form(house, pg, newer))
    refused = await approve(house.gateway, older.imp_uid, fields)
    assert refused is not None
    assert (refused.step, refused.fail_code) == (Step.FAILED, "F1002")
    assert pg.count("approvals") == 1
    await agree(house, pg, older.imp_uid, [])


@pytest.mark.fault("B1_SL")
@pytest.mark.parametrize("point", ["return.before_proof", "return.after_proof"])
async def test_a_process_that_slept_over_a_return_pays_once(
    house: House, pg: StandInPg, point: str
) -> None:
    payment = await house.open()
    fields = form(house, pg, payment)

    async def takes(gateway: Gateway) -> object:
        return await approve(gateway, payment.imp_uid, fields)

    assert await sleep_through(house, point, takes)
    await pays_now(house, pg, payment, fields)


@pytest.mark.fault("B1_SL", "C1_SL")
async def test_a_process_that_slept_over_a_return_which_another_took_pays_nothing_more(
    house: House, pg: StandInPg
) -> None:
    payment = await house.open()
    fields = form(house, pg, payment)

    async def takes(gateway: Gateway) -> object:
        slept = await approve(gateway, payment.imp_uid, fields)
        assert slept is not None
        assert slept.step is Step.PAID
        return slept

    with asleep(house, "return.after_proof", takes) as sleeper:
        assert await sleeper.sleeps()
        await pays_now(house, pg, payment, fields)
        house.clock.advance(seconds=400)
        await sleeper.goes_on()
    await pays_now(house, pg, payment, fields)


@pytest.mark.fault("B1_DB", "B1_DF", "B1_NP")
async def test_a_return_while_the_database_is_away_is_refused_and_pays_when_it_is_back(
    house: House, pg: StandInPg
) -> None:
    payment = await house.open()
    fields = form(house, pg, payment)
    async with database_away(house.dsn):
        for _ in range(3):
            with pytest.raises(StoreUnavailable):
                await approve(house.gateway, payment.imp_uid, fields)
    await untouched(house, pg, payment)
    await pays_now(house, pg, payment, fields)


@pytest.mark.fault("B1_WD")
async def test_sixty_four_forged_returns_beside_the_true_one_change_nothing(
    house: House, pg: StandInPg
) -> None:
    payment, other = await house.open(1004), await house.open(1)
    fields = form(house, pg, payment)
    forged = [
        {**fields, "amount": "1"},
        form(house, pg, other),
        {**fields, "signature": "0" * 64},
        {**fields, "auth_token": "another"},
    ]
    ends = await asyncio.gather(
        *(approve(house.gateway, payment.imp_uid, each) for each in forged * (AT_ONCE // 4)),
        return_exceptions=True,
    )
    assert {type(each) for each in ends} == {ForgedReturn}
    await untouched(house, pg, payment)
    await pays_now(house, pg, payment, fields)


# --- B3: the merchant is asked -------------------------------------------------------------------


@asynccontextmanager
async def rude_merchant(*answers: bytes) -> AsyncIterator[str]:
    """A server that reads the question and says these bytes, one after the other, and hangs up."""
    left = list(answers)

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"}")
        writer.write(left.pop(0))
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/confirm"
    finally:
        server.close()
    assert not left, "somebody did not ask"


async def refused(house: House, pg: StandInPg, payment: Payment) -> None:
    """No yes: the payment failed with i'mport's sentence, the PG was not asked, and it stays so."""
    fields = form(house, pg, payment)
    failed = await approve(house.gateway, payment.imp_uid, fields)
    assert failed is not None
    assert (failed.step, failed.fail_code) == (Step.FAILED, "CONFIRM_REFUSED")
    assert (failed.fail_reason or "").startswith("고객사 요청에 의해 결제를 중단합니다.")
    assert await approve(house.gateway, payment.imp_uid, fields) == failed
    assert pg.asked == []
    await agree(house, pg, payment.imp_uid, [])


@pytest.mark.fault("B3_CB")
async def test_a_merchant_that_was_not_asked_when_we_died_is_asked_and_pays(
    house: House, pg: StandInPg, merchant_server: Receiver
) -> None:
    await house.set_merchant(confirm_url=merchant_server.url)
    payment = await house.open()
    fields = form(house, pg, payment)
    with dying("confirm.before_ask"):
        await approve(house.gateway, payment.imp_uid, fields)
    assert merchant_server.told == []
    await untouched(house, pg, payment)
    await pays_now(house, pg, payment, fields)
    assert len(merchant_server.told) == 1


@pytest.mark.fault("B3_CA")
@pytest.mark.promise("P18")
async def test_a_merchant_that_said_yes_when_we_died_is_asked_again_and_pays_once(
    house: House, pg: StandInPg, merchant_server: Receiver
) -> None:
    await house.set_merchant(confirm_url=merchant_server.url)
    payment = await house.open()
    fields = form(house, pg, payment)
    with dying("confirm.after_ask"):
        await approve(house.gateway, payment.imp_uid, fields)
    await untouched(house, pg, payment)
    await pays_now(house, pg, payment, fields)
    assert len(merchant_server.told) == 2
    # And a merchant that thinks better of it meanwhile is heard: the first yes is not kept.
    other = await house.open()
    with dying("confirm.after_ask"):
        await approve(house.gateway, other.imp_uid, form(house, pg, other))
    merchant_server.then = 400
    failed = await approve(house.gateway, other.imp_uid, form(house, pg, other))
    assert failed is not None
    assert failed.step is Step.FAILED
    assert pg.count("approvals") == 1


NO_YES = (
    b"",
    b"HTTP/1.1 200",
    b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nOK",
    b"HTTP/1.1 2OO OK\r\n\r\n",
    b"\xff\xfe\x00200 OK",
    b"HTTP/1.1 500 Oops\r\nContent-Length: 5\r\n\r\n\xff\xfe\x00{}",
    b"HTTP/1.1 202 Accepted\r\nContent-Length: 2\r\n\r\nOK",
)


@pytest.mark.fault("B3_LR", "B3_WD")
@pytest.mark.promise("P18")
async def test_a_merchant_that_heard_us_and_did_not_say_yes_stops_the_payment(
    house: House, pg: StandInPg
) -> None:
    async with rude_merchant(*NO_YES) as url:
        await house.set_merchant(confirm_url=url)
        for _ in NO_YES:
            await refused(house, pg, await house.open())


@pytest.mark.fault("B3_DU")
async def test_sixty_four_returns_that_all_ask_the_merchant_pay_once(
    house: House, pg: StandInPg, merchant_server: Receiver
) -> None:
    await house.set_merchant(confirm_url=merchant_server.url)
    payment = await house.open()
    fields = form(house, pg, payment)
    ends = await asyncio.gather(
        *(approve(house.gateway, payment.imp_uid, fields) for _ in range(AT_ONCE))
    )
    assert {each.step for each in ends if each} <= {Step.APPROVING, Step.PAID}
    assert 1 <= len(merchant_server.told) <= AT_ONCE
    await pays_now(house, pg, payment, fields)


@pytest.mark.fault("B3_RO")
async def test_a_yes_that_comes_after_the_buyer_gave_up_takes_nothing(
    house: House, pg: StandInPg, merchant_server: Receiver
) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def late_yes(told: Told) -> web.StreamResponse:
        asked.set()
        await go_on.wait()
        return web.Response(text="OK")

    merchant_server.reply = late_yes
    await house.set_merchant(confirm_url=merchant_server.url)
    payment = await house.open()
    coming_back = asyncio.ensure_future(
        approve(house.gateway, payment.imp_uid, form(house, pg, payment))
    )
    await asked.wait()
    gave_up = await abandon(house.gateway, payment.imp_uid, "USER_CANCEL", "사용자 취소")
    go_on.set()
    assert await coming_back == gave_up
    assert pg.asked == []
    await agree(house, pg, payment.imp_uid, [])


@pytest.mark.fault("B3_SL", "B3_NP")
async def test_a_merchant_that_says_nothing_for_ten_seconds_has_not_said_yes(
    house: House, pg: StandInPg, merchant_server: Receiver
) -> None:
    """True seconds: the ten are part of i'mport's contract."""
    go_on = asyncio.Event()

    async def silent(told: Told) -> web.StreamResponse:
        await go_on.wait()
        return web.Response(text="OK")

    merchant_server.reply = silent
    await house.set_merchant(confirm_url=merchant_server.url)
    payment = await house.open()
    began = time.monotonic()
    await refused(house, pg, payment)
    assert 9.5 < time.monotonic() - began < 14
    go_on.set()
    assert len(merchant_server.told) == 1


@pytest.mark.fault("B3_DB", "B3_DF", "C1_DB", "C1_NP")
async def test_a_database_that_goes_away_before_the_claim_keeps_the_pg_from_being_asked(
    house: House, pg: StandInPg, merchant_server: Receiver
) -> None:
    asked, go_on = asyncio.Event(), asyncio.Event()

    async def yes(told: Told) -> web.StreamResponse:
        asked.set()
        await go_on.wait()
        return web.Response(text="OK")

    merchant_server.reply = yes
    await house.set_merchant(confirm_url=merchant_server.url)
    payment = await house.open()
    fields = form(house, pg, payment)
    coming_back = asyncio.ensure_future(approve(house.gateway, payment.imp_uid, fields))
    await asked.wait()
    async with database_away(house.dsn):
        go_on.set()
        with pytest.raises(StoreUnavailable):
            await coming_back
    await untouched(house, pg, payment)
    await pays_now(house, pg, payment, fields)


@pytest.mark.fault("B3_CJ")
@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_jumps_while_the_merchant_is_asked_changes_nothing(
    house: House, pg: StandInPg, merchant_server: Receiver, hours: int
) -> None:
    await house.set_merchant(confirm_url=merchant_server.url)
    payment = await house.open()
    async with jumping(house, "confirm.after_ask", hours):
        paid = await approve(house.gateway, payment.imp_uid, form(house, pg, payment))
    assert paid is not None
    assert paid.step is Step.PAID
    await agree(house, pg, payment.imp_uid, ["paid"])


# --- C1: the claim -------------------------------------------------------------------------------


@pytest.mark.fault("C1_CB")
@pytest.mark.promise("P13")
async def test_a_claim_that_was_not_committed_when_we_died_never_was(
    house: House, pg: StandInPg
) -> None:
    payment = await house.open()
    fields = form(house, pg, payment)
    with dying("claim.before_commit"):
        await approve(house.gateway, payment.imp_uid, fields)
    await untouched(house, pg, payment)
    await pays_now(house, pg, payment, fields)


@pytest.mark.fault("C1_CA", "C2_CB")
@pytest.mark.promise("P12")
async def test_a_claim_that_was_committed_when_we_died_is_held_and_then_undone(
    house: House, pg: StandInPg
) -> None:
    payment = await house.open()
    fields = form(house, pg, payment)
    with dying("claim.after_commit"):
        await approve(house.gateway, payment.imp_uid, fields)
    await held(house, payment)
    again = await approve(house.gateway, payment.imp_uid, fields)
    assert again is not None
    assert again.step is Step.APPROVING
    assert (await ended(house, payment.imp_uid)).step is Step.FAILED
    assert pg.count("approvals") == 0
    assert pg.orders[payment.pg_order_no]["state"] == "undone"
    await agree(house, pg, payment.imp_uid, [])
    # The order is free again.
    other = await house.open(merchant_uid=payment.merchant_uid)
    await pays_now(house, pg, other, form(house, pg, other))


@pytest.mark.fault("C1_LR")
@pytest.mark.parametrize("done", [False, True])
async def test_a_claim_whose_commit_nobody_heard_of_asks_no_pg(
    house: House, pg: StandInPg, done: bool
) -> None:
    payment = await house.open()
    fields = form(house, pg, payment)
    async with over_a_line(house) as line:
        line.next_commit(done=done)
        with pytest.raises(StoreUnavailable):
            await approve(house.gateway, payment.imp_uid, fields)
        assert line.cuts == 1
    assert pg.asked == []
    if done:
        await held(house, payment)
        assert (await ended(house, payment.imp_uid)).step is Step.FAILED
        await agree(house, pg, payment.imp_uid, [])
    else:
        await untouched(house, pg, payment)
        await pays_now(house, pg, payment, fields)


@pytest.mark.fault("C1_SL", "C1_DU")
async def test_a_process_that_sleeps_in_its_claim_lets_nobody_pay_twice(
    house: House, pg: StandInPg
) -> None:
    """It holds nothing yet: others pay meanwhile, and it hears that they did."""
    payment = await house.open()
    fields = form(house, pg, payment)
    heard: list[Payment | None] = []

    async def takes(gateway: Gateway) -> object:
        heard.append(await approve(gateway, payment.imp_uid, fields))
        return heard

    with asleep(house, "claim.before_commit", takes) as sleeper:
        assert await sleeper.sleeps()
        others = await asyncio.gather(
            *(approve(house.gateway, payment.imp_uid, fields) for _ in range(8))
        )
        assert {each.step for each in others if each} <= {Step.APPROVING, Step.PAID}
        house.clock.advance(seconds=400)
        await sleeper.goes_on()
    assert [each.step for each in heard if each] == [Step.PAID]
    assert pg.count("approvals") == 1
    await pays_now(house, pg, payment, fields)


# --- C2: the PG is asked -------------------------------------------------------------------------


@pytest.mark.fault("C2_CA")
@pytest.mark.promise("P3", "P12")
@pytest.mark.parametrize("powers", POWERS, ids=name)
async def test_an_approval_that_was_answered_when_we_died_is_found_out_or_a_person_knows(
    house: House, pg: StandInPg, powers: frozenset[Can]
) -> None:
    give_powers(house, *powers)
    payment = await house.open()
    with dying("approve.after_pg"):
        await approve(house.gateway, payment.imp_uid, form(house, pg, payment))
    await held(house, payment)
    await let_time_pass(house, minutes=40, step=120)
    end = await check(house, pg, payment, name(powers))
    assert (end is Step.APPROVING) == (not powers)
    if powers:
        await agree(house, pg, payment.imp_uid, ["paid"] if end is Step.PAID else [])


@pytest.mark.fault("C2_DB", "C3_DB", "C3_NP")
async def test_an_approval_that_is_answered_while_the_database_is_away_is_found_out(
    house: House, pg: StandInPg
) -> None:
    payment = await house.open()
    at_pg, go_on = pg.hold("approvals", done_first=True)
    asking = asyncio.ensure_future(
        approve(house.gateway, payment.imp_uid, form(house, pg, payment))
    )
    await at_pg.wait()
    async with database_away(house.dsn):
        go_on.set()
        with pytest.raises(StoreUnavailable):
            await asking
        with pytest.raises(StoreUnavailable):
            await reconcile(house.gateway, payment.imp_uid)
    await held(house, payment)
    assert (await ended(house, payment.imp_uid)).step is Step.PAID
    await agree(house, pg, payment.imp_uid, ["paid"])


# --- C3: the result is written -------------------------------------------------------------------


@pytest.mark.fault("C3_CB")
@pytest.mark.promise("P3")
@pytest.mark.parametrize("point", ["approve.after_pg", "settle.before_commit"])
async def test_a_result_that_was_not_written_when_we_died_is_written_by_the_worker(
    house: House, pg: StandInPg, point: str
) -> None:
    payment = await house.open()
    with dying(point):
        await approve(house.gateway, payment.imp_uid, form(house, pg, payment))
    assert pg.taken() == 1004
    await held(house, payment)
    assert (await ended(house, payment.imp_uid)).step is Step.PAID
    assert pg.count("approvals") == 1
    await agree(house, pg, payment.imp_uid, ["paid"])


@pytest.mark.fault("C3_CB")
async def test_a_refusal_that_was_not_written_when_we_died_is_written_by_the_worker(
    house: House, pg: StandInPg
) -> None:
    payment = await house.open()
    pg.answer("approvals", {"result": "declined", "code": "3011", "message": "한도초과"})
    with dying("settle.before_commit"):
        await approve(house.gateway, payment.imp_uid, form(house, pg, payment))
    await held(house, payment)
    assert (await ended(house, payment.imp_uid)).step is Step.FAILED
    await agree(house, pg, payment.imp_uid, [])


@pytest.mark.fault("C3_CA")
@pytest.mark.promise("P4")
async def test_a_result_that_was_written_when_we_died_is_told_to_whoever_asks(
    house: House, pg: StandInPg
) -> None:
    payment = await house.open()
    fields = form(house, pg, payment)
    with dying("settle.after_commit"):
        await approve(house.gateway, payment.imp_uid, fields)
    await agree(house, pg, payment.imp_uid, ["paid"])
    house.clock.advance(minutes=10)
    assert await reconcile(house.gateway, payment.imp_uid) is None
    paid = await approve(house.gateway, payment.imp_uid, back(pg, payment))
    assert paid is not None
    assert paid.step is Step.PAID
    assert pg.count("approvals") == 1


@pytest.mark.fault("C3_LR")
@pytest.mark.parametrize("done", [False, True])
async def test_a_result_whose_commit_nobody_heard_of_is_true_in_the_end(
    house: House, pg: StandInPg, done: bool
) -> None:
    payment = await house.open()
    async with over_a_line(house) as line:

        async def cut(asked: Asked) -> None:
            line.next_commit(done=done)

        pg.peek = cut
        with pytest.raises(StoreUnavailable):
            await approve(house.gateway, payment.imp_uid, form(house, pg, payment))
        assert line.cuts == 1
    pg.peek = None
    standing = await house.payment(payment.imp_uid)
    assert standing.step is (Step.PAID if done else Step.APPROVING)
    assert (await ended(house, payment.imp_uid)).step is Step.PAID
    await agree(house, pg, payment.imp_uid, ["paid"])


@pytest.mark.fault("C3_DU")
@pytest.mark.promise("P4")
async def test_the_answer_and_many_workers_write_one_result(house: House, pg: StandInPg) -> None:
    """The PG's answer arrives at the moment at which eight workers were told the same by an inquiry."""
    for _ in range(often(3, 30)):
        payment = await house.open()
        fields = form(house, pg, payment)
        at_pg, let_answer = pg.hold("approvals", done_first=True)
        asking = asyncio.ensure_future(approve(house.gateway, payment.imp_uid, fields))
        await at_pg.wait()
        house.clock.advance(seconds=30)
        inquired, let_tell = pg.hold("orders", done_first=True)
        workers = [
            asyncio.ensure_future(reconcile(house.gateway, payment.imp_uid)) for _ in range(8)
        ]
        await inquired.wait()
        let_answer.set()
        let_tell.set()
        await asyncio.gather(asking, *workers)
        assert await house.history(payment.imp_uid) == ["opened", "authenticated", "approved"]
        await agree(house, pg, payment.imp_uid, ["paid"])


@pytest.mark.fault("B1_CJ", "C1_CJ", "C2_CJ")
@pytest.mark.parametrize("hours", [-24, -1, 1, 24])
@pytest.mark.parametrize(
    "point",
    ["return.before_proof", "return.after_proof", "claim.before_commit", "claim.after_commit"],
)
async def test_a_clock_that_jumps_before_the_pg_is_asked_changes_nothing(
    house: House, pg: StandInPg, point: str, hours: int
) -> None:
    """A leap looks like sleep; who slept asks nobody, but this question is in no other hands."""
    payment = await house.open()
    async with jumping(house, point, hours):
        paid = await approve(house.gateway, payment.imp_uid, form(house, pg, payment))
    assert paid is not None
    assert paid.step is Step.PAID
    assert [each.operation for each in pg.asked] == ["approvals"]
    assert await house.history(payment.imp_uid) == ["opened", "authenticated", "approved"]
    await let_time_pass(house, minutes=30, step=300)
    await agree(house, pg, payment.imp_uid, ["paid"])


@pytest.mark.fault("C2_CJ", "C2_SL")
@pytest.mark.promise("P3")
@pytest.mark.parametrize("hours", [-1, 1])
async def test_who_slept_and_whose_clock_was_set_asks_nobody_what_is_in_other_hands(
    house: House, pg: StandInPg, hours: int
) -> None:
    """Set back by more than it slept the wall clock says that no time went by; the loop's knows."""
    payment = await house.open()
    fields = form(house, pg, payment)

    async def takes(gateway: Gateway) -> object:
        return await approve(gateway, payment.imp_uid, fields)

    with asleep(house, "claim.after_commit", takes) as sleeper:
        assert await sleeper.sleeps()
        house.clock.advance(seconds=400)
        await reconcile(house.gateway, payment.imp_uid)
        assert (await house.payment(payment.imp_uid)).step is Step.FAILED
        house.clock.advance(hours=hours)
        await sleeper.goes_on(after_seconds=400)
    assert pg.count("approvals") == 0
    await agree(house, pg, payment.imp_uid, [])


@pytest.mark.fault("C3_CJ")
@pytest.mark.parametrize("hours", [-1, 1])
async def test_a_clock_that_jumps_before_the_result_is_written_changes_nothing(
    house: House, pg: StandInPg, hours: int
) -> None:
    payment = await house.open()
    async with jumping(house, "approve.after_pg", hours):
        paid = await approve(house.gateway, payment.imp_uid, form(house, pg, payment))
    assert paid is not None
    assert paid.step is Step.PAID
    assert paid.paid_at is not None
    said = pg.orders[payment.pg_order_no]["approval"]["approved_at"]
    assert int(paid.paid_at.timestamp()) == said, "when it was paid is the PG's word"
    await agree(house, pg, payment.imp_uid, ["paid"])


async def test_the_control_a_line_that_is_not_cut_and_a_process_that_does_not_die(
    house: House, pg: StandInPg, merchant_server: Receiver
) -> None:
    """Every point at which these tests die or sleep is passed; the line by itself changes nothing."""
    passed: list[str] = []
    await house.set_merchant(confirm_url=merchant_server.url)
    listen(passed.append)
    try:
        async with over_a_line(house) as line:
            payment = await house.open()
            await pays_now(house, pg, payment, form(house, pg, payment))
            assert line.cuts == 0
    finally:
        listen(None)
    ours = ("return.", "confirm.", "claim.", "approve.", "settle.")
    assert {point for point in POINTS if point.startswith(ours)} <= set(passed)
