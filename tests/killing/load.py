"""Buyers and a merchant's server that live through the storm, and write down what they were told.

Complete payments without a browser: opened as the SDK does, authenticated at the PG's own pages,
returned, asked after by REST, told by webhook; cancels, virtual accounts, deposits, refusals,
abandoned windows. Arrivals come by the clock (an open model), so a stall is not hidden.
Whoever is cut off tries again, as people and merchants do.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import random
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import urlsplit

import aiohttp
from aiohttp import web

from naru.cli import seed
from naru.domain.errors import PgBusy
from naru.rest import messages
from naru.sandbox.cards import DEMO_ACCOUNT
from tests.killing import staff

Json = dict[str, Any]
T = TypeVar("T")

ANSWER_SECONDS = 25.0
WAIT_SECONDS = 0.4
TRIES = 25
IN_FLIGHT_MAX = 80
SHOP = "http://127.0.0.1"
# Magic amounts of the sandbox PG (naru/sandbox/magic.py): what it does with an approval or a cancel.
REFUSED = (900_001, 900_002, 900_003, 900_004)
DOUBTFUL = (900_015, 900_016, 900_017, 900_018, 900_019, 900_020)
NEVER_DONE = 900_016
OTHER_AMOUNT = 900_018
SLOW = 900_011
# A card of the sandbox PG, and what the first digits of its password do to a question for a key.
CARD = {"card_number": "4518-4212-3456-7811", "expiry": "2049-12", "birth": "880101"}
CARD_FATES = ("00", "00", "94", "95", "99")
DOUBTFUL_CANCEL = (900_035, 900_036)
PAID = ("paid", "cancelled")
# Every payment passes at these; whoever is to die at another one is led there.
BY_PAYING = {
    "start",
    "window",
    "return",
    "claim",
    "approve",
    "settle",
    "webhook",
    "pg /v1/approvals",
}
OUR_MISTAKE = messages.internal("").partition("(")[0]


class GaveUp(Exception):
    """Nobody answered for as long as this buyer or merchant was ready to try."""


@dataclass(frozen=True, slots=True)
class Told:
    """One acknowledgement: who was told what about a payment. `cancelled` in the smallest unit."""

    imp_uid: str
    said: str  # paid, ready, failed, cancelled
    cancelled: int
    by: str  # window, rest, cancel, webhook
    at: float


@dataclass(slots=True)
class Webhook:
    """One webhook as it arrived."""

    imp_uid: str
    status: str
    sequence: int
    webhook_id: str
    at: float
    event: str = ""  # what it tells of goods; empty for one that tells of money


@dataclass(frozen=True, slots=True)
class Promise:
    """A merchant was told that something is done which is no payment: `deed`, of whom, and how."""

    deed: str
    subject: str
    how: str = ""


@dataclass
class Book:
    """What everybody was told, in order, and what looked wrong at once."""

    told: list[Told] = field(default_factory=list)
    promised: list[Promise] = field(default_factory=list)
    webhooks: list[Webhook] = field(default_factory=list)
    orders: dict[str, str] = field(default_factory=dict)  # imp_uid -> merchant_uid
    wrong: list[str] = field(default_factory=list)
    journeys: Counter[str] = field(default_factory=Counter)
    untold: set[str] = field(default_factory=set)  # PG orders in which only the PG knows something
    closed: list[tuple[str, float]] = field(default_factory=list)  # answers 503: path, UNIX time
    _last: dict[str, Told] = field(default_factory=dict, repr=False)

    def hear(self, imp_uid: str, said: str, by: str, cancelled: int = 0) -> None:
        """Write down an acknowledgement; what one was told never goes back (P23)."""
        told = Told(imp_uid, said, cancelled, by, time.monotonic())
        self.told.append(told)
        if by == "webhook":  # It may be a second delivery, and holds no amount.
            return
        earlier = self._last.get(imp_uid)
        if earlier is not None and (
            (earlier.said in PAID and said not in PAID) or earlier.cancelled > cancelled > 0
        ):
            self.wrong.append(f"{imp_uid}: {by} said {said} ({cancelled}) after {earlier}")
        self._last[imp_uid] = told

    @property
    def webhook_lag(self) -> list[float]:
        """Seconds from the moment somebody knew of a payment until its first webhook came."""
        first: dict[str, float] = {}
        for webhook in self.webhooks:
            if webhook.status == "paid":
                first.setdefault(webhook.imp_uid, webhook.at)
        known: dict[str, float] = {}
        for told in self.told:
            if told.said == "paid" and told.by != "webhook":
                known.setdefault(told.imp_uid, told.at)
        return sorted(max(0.0, first[uid] - at) for uid, at in known.items() if uid in first)


class Load:
    """Everybody who buys and sells. `receive()` stands where webhooks and confirm_url lead."""

    def __init__(self, chance: random.Random) -> None:
        self.book = Book()
        self.origin = ""
        # The points of the money path that somebody waits for: half of the journeys lead there.
        self.wanted: Callable[[], list[str]] = list
        # The PG's own file, for what its staff does there; None: they do nothing.
        self.ledger: Path | None = None
        self._chance = chance
        self._http: aiohttp.ClientSession | None = None
        self._gateway = self._sandbox = ""
        self._token: str | None = None
        self._number = 0
        self._stop = asyncio.Event()

    @contextlib.asynccontextmanager
    async def receive(self) -> AsyncIterator[Load]:
        """Listen at `origin` until the block ends."""
        app = web.Application()
        app.router.add_post("/payments/webhook", self._webhook)
        app.router.add_post("/confirm", self._confirm)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
        await runner.setup()
        site = web.TCPSite(runner, "127.0.0.1", 0)
        await site.start()
        self.origin = f"http://127.0.0.1:{runner.addresses[0][1]}"
        timeout = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        try:
            async with aiohttp.ClientSession(
                timeout=timeout,
                # Kept connections would all end up at the gateway that lived longest.
                connector=aiohttp.TCPConnector(limit=0, force_close=True),
            ) as self._http:
                yield self
        finally:
            await runner.cleanup()

    async def run(self, gateway: str, sandbox: str, rate: float, stop: asyncio.Event) -> None:
        """Send `rate` journeys a second until `stop`; then let those under way end."""
        self._gateway, self._sandbox, self._stop = gateway, sandbox, stop
        under_way: set[asyncio.Task[None]] = set()
        kinds = [each for each, weight in self._journeys() for _ in range(weight)]
        leads = self._leads()
        due = time.monotonic()
        while not stop.is_set():
            if len(under_way) < IN_FLIGHT_MAX:
                journey = self._chance.choice(kinds)
                wanted = self.wanted()
                if wanted and self._chance.random() < 0.5:
                    point = self._chance.choice(wanted)
                    journey = leads.get(point) or leads.get(point.partition(".")[0], self.pay)
                task = asyncio.create_task(self._live(journey))
                under_way.add(task)
                task.add_done_callback(under_way.discard)
            due += self._chance.expovariate(rate)
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(stop.wait(), max(0.0, due - time.monotonic()))
        if under_way:
            await asyncio.wait(under_way)

    async def resend(self, sandbox: str, notice_id: str) -> None:
        """The PG's staff press "send again" for a deposit that was not acknowledged."""
        await self._page(f"{sandbox}/desk/notices/{notice_id}/resend", {})

    def _journeys(self) -> list[tuple[Callable[[], Awaitable[None]], int]]:
        staffed = int(self.ledger is not None)
        return [
            (self.be_charged_after_undoing, staffed),
            (self.pay_in_untold, staffed),
            (self.pay_in_early, staffed),
            (self.pay, 5),
            (self.pay_and_cancel, 4),
            (self.pay_and_cancel_in_parts, 4),
            (self.pay_prepared_and_confirmed, 2),
            (self.doubt, 3),
            (self.doubt_a_cancel, 1),
            (self.be_refused, 1),
            (self.give_up, 1),
            (self.give_up_at_the_pg, 1),
            (self.transfer_to_account, 3),
            (self.order_account, 3),
            (self.close_account, 2),
            (self.charge_a_kept_card, 3),
            (self.charge_a_card, 2),
        ]

    def _leads(self) -> dict[str, Callable[[], Awaitable[None]]]:
        at_the_pg = {
            "compare": self.pay_in_untold,
            "compare.after_pg": self.be_charged_after_undoing,
            "deposit.early_before_commit": self.pay_in_early,
        }
        return (at_the_pg if self.ledger else {}) | {
            "abandon": self.give_up,
            "account": self.order_account,
            "cancel": self.pay_and_cancel,
            "close": self.close_account,
            "confirm": self.pay_prepared_and_confirmed,
            "deposit": self.order_account,
            "key": self.charge_a_kept_card,
            "notice": self.order_account,
            "prepare": self.pay_prepared_and_confirmed,
            "reconcile": self.doubt,
            "slow": self.pay_slowly,
            "undo": self.doubt_the_amount,
            "pg /v1/cancels": self.pay_and_cancel,
            "pg /v1/virtual-accounts": self.order_account,
            "pg /v1/billing-keys": self.charge_a_kept_card,
            "pg /v1/charges": self.charge_a_card,
        }

    async def _live(self, journey: Callable[[], Awaitable[None]]) -> None:
        name = getattr(journey, "__name__", "journey")
        try:
            await journey()
            self.book.journeys[name] += 1
        except GaveUp:
            self.book.journeys["gave up"] += 1

    # Journeys.

    async def pay(self) -> None:
        """A wallet or a bank transfer, paid and asked after."""
        if self._chance.random() < 0.5:
            await self._pay(self._amount())
        else:
            await self._pay(self._amount(), pg="html5_inicis", pay_method="trans")

    async def pay_and_cancel(self) -> None:
        """Paid, then all of it given back."""
        imp_uid = await self._pay(self._amount())
        if imp_uid is not None:
            await self._cancel(imp_uid, None)

    async def pay_and_cancel_in_parts(self) -> None:
        """Paid, then two parts given back."""
        amount = self._amount()
        imp_uid = await self._pay(amount)
        if imp_uid is not None:
            await self._cancel(imp_uid, amount // 3)
            await self._cancel(imp_uid, amount // 4)

    async def pay_prepared_and_confirmed(self) -> None:
        """The merchant announces the amount and wants to be asked."""
        amount, merchant_uid = self._amount(), self._order()
        prepared = {"merchant_uid": merchant_uid, "amount": amount}
        await self._rest("POST", "/payments/prepare", prepared)
        await self._pay(amount, merchant_uid=merchant_uid, confirm_url=f"{self.origin}/confirm")

    async def doubt(self) -> None:
        """The PG's answer to the approval is cut off, garbled, forged or for another amount."""
        await self._pay(self._chance.choice(DOUBTFUL))

    async def pay_slowly(self) -> None:
        """The PG approves at once, and its answer comes three seconds later."""
        await self._pay(SLOW)

    async def come_back_at(self, moment: asyncio.Event) -> None:
        """The buyer is done at the PG, and returns no earlier than that."""
        opened = await self._open(self._amount())
        window = await self._enter(opened)
        if window is not None:
            proof = await self._page(f"{window}/wallet", {})
            await moment.wait()
            await self._come_back(opened, proof)
            await self._look(opened["imp_uid"])

    async def doubt_the_amount(self) -> None:
        """The PG approved another amount than was asked: it must be undone."""
        await self._pay(OTHER_AMOUNT)

    async def doubt_a_cancel(self) -> None:
        """The PG's answer to the cancel is cut off or garbled."""
        imp_uid = await self._pay(self._chance.choice(DOUBTFUL_CANCEL))
        if imp_uid is not None:
            await self._cancel(imp_uid, None, patient=False)

    async def be_refused(self) -> None:
        """The card is refused."""
        await self._pay(self._chance.choice(REFUSED))

    async def give_up(self) -> None:
        """The buyer closes the window."""
        opened = await self._open(self._amount())
        url = f"{self._gateway}/checkout/payments/{opened['imp_uid']}/abandon"
        body = {"token": opened["token"], "reason": "closed"}
        told = await self._ask("POST", url, data=json.dumps(body))
        self._hear_result(opened, told)

    async def give_up_at_the_pg(self) -> None:
        """The buyer presses cancel in the PG's window."""
        opened = await self._open(self._amount())
        window = await self._enter(opened)
        if window is not None:
            await self._come_back(opened, await self._page(f"{window}/cancel", {}))

    async def transfer_to_account(self) -> None:
        """A virtual account from the window, then a deposit."""
        amount = self._amount()
        imp_uid = await self._pay(amount, pg="html5_inicis", pay_method="vbank")
        if imp_uid is not None:
            await self._deposit(imp_uid, amount)

    async def order_account(self) -> None:
        """A virtual account by REST, a deposit, and now and then its refund."""
        amount = self._amount()
        imp_uid = await self._order_account(amount)
        if imp_uid is None or not await self._deposit(imp_uid, amount):
            return
        if self._chance.random() < 0.5 and await self._wait_for(imp_uid, "paid"):
            account = {"refund_holder": "홍길동", "refund_bank": "004", "refund_account": "110123"}
            await self._cancel(imp_uid, amount // 2, **account)

    async def pay_in_early(self) -> None:
        """Somebody pays into the account while the PG's answer that issued it is on its way."""
        amount, merchant_uid = SLOW, self._order()
        paying = asyncio.create_task(
            self._pay(amount, pg="html5_inicis", pay_method="vbank", merchant_uid=merchant_uid)
        )
        try:
            while not paying.done():
                number = await self._at_the_pg(staff.number_of, merchant_uid)
                if number is not None:
                    await self._pay_in(number, amount)
                    break
                await asyncio.wait([paying], timeout=WAIT_SECONDS)
        finally:
            await paying

    async def pay_in_untold(self) -> None:
        """A deposit that the PG tells nobody of: only a comparison of the books finds it."""
        amount = self._amount()
        imp_uid = await self._order_account(amount)
        number = (await self._look(imp_uid)).get("vbank_num") if imp_uid else None
        if number:
            order_no = await self._at_the_pg(staff.pay_in_untold, number, amount)
            self.book.untold.add(order_no)

    async def be_charged_after_undoing(self) -> None:
        """The PG takes money for what it had undone, and tells nobody."""
        merchant_uid = self._order()
        await self._pay(NEVER_DONE, merchant_uid=merchant_uid)
        found = await self._rest("GET", f"/payments/find/{merchant_uid}")
        imp_uid = self._hear_payment(found, "rest")
        if imp_uid is not None and await self._wait_for(imp_uid, "failed", times=100):
            order_no = await self._at_the_pg(staff.approve_after_all, merchant_uid)
            if order_no is not None:
                self.book.untold.add(order_no)

    async def close_account(self) -> None:
        """A virtual account by REST that is closed again."""
        imp_uid = await self._order_account(self._amount())
        if imp_uid is not None:
            with contextlib.suppress(GaveUp):
                await self._rest("DELETE", f"/vbanks/{imp_uid}")
            await self._look(imp_uid)

    async def charge_a_kept_card(self) -> None:
        """A card that is kept by REST, charged twice by its key, and now and then deleted."""
        customer = f"customer-{self._chance.randrange(30)}"
        path = f"/subscribe/customers/{customer}"
        card = {**CARD, "pwd_2digit": self._chance.choice(CARD_FATES)}
        with contextlib.suppress(GaveUp):
            await self._rest("POST", path, card, tries=1)
        for _ in range(2):
            named = {"customer_uid": customer, "name": "매달 당근"}
            await self._charge("/subscribe/payments/again", self._amount(), named)
        if self._chance.random() < 0.3:
            with contextlib.suppress(GaveUp):
                await self._rest("DELETE", path, tries=1)

    async def charge_a_card(self) -> None:
        """A card that the merchant's server brings; the PG's answer may be lost, and the card be kept."""
        amount = self._chance.choice((self._amount(), self._chance.choice((*DOUBTFUL, *REFUSED))))
        kept = {"customer_uid": f"customer-{self._chance.randrange(30)}"}
        more = kept if self._chance.random() < 0.5 else {}
        imp_uid = await self._charge("/subscribe/payments/onetime", amount, {**CARD, **more})
        if imp_uid is not None and self._chance.random() < 0.3:
            await self._cancel(imp_uid, None)

    # Steps of a buyer.

    async def _pay(
        self,
        amount: int,
        *,
        pg: str = "kakaopay",
        pay_method: str = "card",
        merchant_uid: str | None = None,
        **more: Any,
    ) -> str | None:
        """Open, authenticate, return, ask. The imp_uid when the window said success."""
        opened = await self._open(
            amount, pg=pg, pay_method=pay_method, merchant_uid=merchant_uid, **more
        )
        window = await self._enter(opened)
        if window is None:
            return None
        if pay_method == "trans":
            proof = await self._page(f"{window}/trans", DEMO_ACCOUNT)
        elif pay_method == "vbank":
            proof = await self._page(f"{window}/vbank", {"bank_code": "004", "holder": "홍길동"})
        else:
            proof = await self._page(f"{window}/wallet", {})
        success = await self._come_back(opened, proof)
        await self._look(opened["imp_uid"])
        return opened["imp_uid"] if success else None

    async def _open(
        self,
        amount: int,
        *,
        pg: str = "kakaopay",
        pay_method: str = "card",
        merchant_uid: str | None = None,
        **more: Any,
    ) -> Json:
        merchant_uid = merchant_uid or self._order()
        body = {
            "user_code": seed.USER_CODES[0],
            "tier_code": None,
            "param": {
                "pg": pg,
                "pay_method": pay_method,
                "merchant_uid": merchant_uid,
                "name": "노르웨이 회전 의자",
                "amount": amount,
                "buyer_name": "홍길동",
                "buyer_tel": "010-4242-4242",
                **more,
            },
            "page_url": f"{SHOP}/order",
            "surface": "pc",
            "mode": "iframe",
            "generation": "old",
            "request_id": f"req_{merchant_uid}",
        }
        headers = {"Origin": SHOP, "Content-Type": "text/plain"}
        opened = await self._ask(
            "POST", f"{self._gateway}/checkout/payments", data=json.dumps(body), headers=headers
        )
        if "imp_uid" not in opened:
            # A PG that says nothing while it is stopped is spared; the buyer comes back later.
            if PgBusy.sentence not in json.dumps(opened, ensure_ascii=False):
                self.book.wrong.append(f"{merchant_uid} could not be opened: {opened}")
            raise GaveUp
        self.book.orders[opened["imp_uid"]] = merchant_uid
        return opened

    async def _enter(self, opened: Json) -> str | None:
        """The PG's window; None when the payment ended on the way there."""
        url = f"{self._gateway}/checkout/enter/{opened['imp_uid']}?token={opened['token']}"
        answer = await self._ask("GET", url)
        window = str(answer.get("location", ""))
        return window if window.startswith(self._sandbox) else None

    async def _come_back(self, opened: Json, proof: Json) -> bool:
        """Carry the PG's form to the gateway, then hear how it ended. True for a success."""
        form = proof.get("return_form")
        if not isinstance(form, dict):
            return False
        fields = {str(name): str(text) for name, text in form["fields"].items()}
        await self._ask("POST", str(form["action"]), data=fields)
        url = f"{self._gateway}/checkout/payments/{opened['imp_uid']}/result"
        for _ in range(8):
            told = await self._ask("GET", f"{url}?token={opened['token']}")
            if told.get("state") == "final":
                return self._hear_result(opened, told)
            await asyncio.sleep(WAIT_SECONDS)
        return False

    def _hear_result(self, opened: Json, told: Json) -> bool:
        result = told.get("result")
        if not isinstance(result, dict):
            return False
        success = result.get("success") is True
        said = str(result.get("status") or "paid") if success else "failed"
        # A payment given back before the browser heard of it is told as a failure.
        if success or result.get("status") != "cancelled":
            self.book.hear(opened["imp_uid"], said, "window")
        return success

    # Steps of a merchant.

    async def _order_account(self, amount: int, pg: str = "html5_inicis") -> str | None:
        merchant_uid = self._order()
        body = {
            "merchant_uid": merchant_uid,
            "amount": amount,
            "vbank_code": "004",
            "vbank_due": int(time.time()) + 86_400 * 3,
            "vbank_holder": "나루 상점",
            "pg": pg,
        }
        try:
            answer = await self._rest("POST", "/vbanks", body, tries=1)
        except GaveUp:
            # Perhaps it was issued: the merchant looks before asking for another one.
            await asyncio.sleep(WAIT_SECONDS)
            answer = await self._rest("GET", f"/payments/find/{merchant_uid}")
        return self._hear_payment(answer, "rest")

    async def _charge(self, path: str, amount: int, means: Json) -> str | None:
        """Charge an order once; who heard nothing looks at it, and charges it no second time."""
        merchant_uid = self._order()
        body = {"merchant_uid": merchant_uid, "amount": amount, **means}
        try:
            answer = await self._rest("POST", path, body, tries=1)
        except GaveUp:
            await asyncio.sleep(WAIT_SECONDS)
            answer = await self._rest("GET", f"/payments/find/{merchant_uid}")
        return self._hear_payment(answer, "rest")

    async def _look(self, imp_uid: str) -> Json:
        answer = await self._rest("GET", f"/payments/{imp_uid}")
        self._hear_payment(answer, "rest")
        return answer.get("response") or {}

    async def _wait_for(self, imp_uid: str, status: str, *, times: int = 20) -> bool:
        for _ in range(times):
            if (await self._look(imp_uid)).get("status") == status:
                return True
            if self._stop.is_set():
                break
            await asyncio.sleep(WAIT_SECONDS)
        return False

    async def _cancel(
        self, imp_uid: str, amount: int | None, *, patient: bool = True, **account: str
    ) -> None:
        """Give money back; whoever is cut off looks first, and asks again with the same checksum."""
        before = await self._look(imp_uid)
        balance = int(before.get("amount") or 0) - int(before.get("cancel_amount") or 0)
        if before.get("status") not in ("paid", "cancelled") or balance <= 0:
            return
        body: Json = {"imp_uid": imp_uid, "checksum": balance, "reason": "변심", **account}
        if amount is not None:
            body["amount"] = amount
        if self._chance.random() < 0.5:
            body["enable_webhook"] = True
        for _ in range(8 if patient else 1):
            with contextlib.suppress(GaveUp):
                answer = await self._rest("POST", "/payments/cancel", body, tries=1)
                if answer.get("code") == 0:
                    self._hear_payment(answer, "cancel")
                    return
            await asyncio.sleep(WAIT_SECONDS * 2)
            now = await self._look(imp_uid)
            if int(now.get("cancel_amount") or 0) > int(before.get("cancel_amount") or 0):
                return

    async def _deposit(self, imp_uid: str, amount: int) -> bool:
        """Somebody pays into the account at the PG's desk, once."""
        number = (await self._look(imp_uid)).get("vbank_num")
        return bool(number) and await self._pay_in(str(number), amount)

    async def _pay_in(self, number: str, amount: int) -> bool:
        body = {"number": number, "amount": amount, "depositor": "홍길동"}
        for _ in range(TRIES):
            with contextlib.suppress(GaveUp):
                await self._page(f"{self._sandbox}/desk/deposits", body, tries=1)
                return True
            await asyncio.sleep(WAIT_SECONDS)
            desk = await self._ask("GET", f"{self._sandbox}/desk/state?number={number}")
            if desk["accounts"] and desk["accounts"][0]["total"]:
                return True
        return False

    async def _at_the_pg(self, deed: Callable[..., T], *words: str | int) -> T:
        """Something that is done in the PG's own file."""
        assert self.ledger is not None
        return await asyncio.to_thread(deed, self.ledger, *words)

    def _hear_payment(self, answer: Json, by: str) -> str | None:
        found = answer.get("response")
        if not isinstance(found, dict) or "imp_uid" not in found:
            return None
        imp_uid = str(found["imp_uid"])
        self.book.orders[imp_uid] = str(found["merchant_uid"])
        self.book.hear(imp_uid, str(found["status"]), by, int(found.get("cancel_amount") or 0))
        return imp_uid

    async def _rest(
        self, method: str, path: str, body: Json | None = None, *, tries: int = TRIES
    ) -> Json:
        """One call of the merchant's server, with a token that is fetched when it is needed."""
        for _ in range(3):
            if self._token is None:
                pair = {"imp_key": seed.IMP_KEY, "imp_secret": seed.IMP_SECRET}
                answer = await self._ask("POST", f"{self._gateway}/users/getToken", json=pair)
                self._token = str((answer.get("response") or {}).get("access_token", ""))
            headers = {"Authorization": f"Bearer {self._token}"}
            answer = await self._ask(
                method, f"{self._gateway}{path}", json=body, headers=headers, tries=tries
            )
            if answer.get("status") != 401:
                return answer
            self._token = None
        return answer

    # Hands.

    async def _page(self, url: str, body: Json, *, tries: int = TRIES) -> Json:
        """A call that a page of the PG makes."""
        parts = urlsplit(url)
        headers = {
            "Origin": f"{parts.scheme}://{parts.netloc}",
            "Content-Type": "application/json",
        }
        return await self._ask("POST", url, data=json.dumps(body), headers=headers, tries=tries)

    async def _ask(self, method: str, url: str, *, tries: int = TRIES, **more: Any) -> Json:
        """Ask until somebody answers; `status`, `location` and the answer's JSON object.

        Raises GaveUp. 5xx is an answer for nobody (but see below): it is asked again.
        """
        assert self._http is not None
        for attempt in range(tries):
            try:
                async with self._http.request(method, url, allow_redirects=False, **more) as answer:
                    raw = await answer.read()
                    told: Json = {
                        "status": answer.status,
                        "location": answer.headers.get("Location"),
                    }
                    with contextlib.suppress(ValueError):
                        read = json.loads(raw)
                        told |= read if isinstance(read, dict) else {}
                    # V1 has a 500 of its own: an act that none of a payment's goods allowed.
                    of_v1 = "/naver/" in url and not str(told.get("message")).startswith(
                        OUR_MISTAKE
                    )
                    if answer.status < 500 or (answer.status == 500 and of_v1):
                        return told
                    if answer.status == 500:
                        self.book.wrong.append(f"{method} {urlsplit(url).path}: HTTP 500")
                    if answer.status == 503:
                        self.book.closed.append((urlsplit(url).path, time.time()))
            except (aiohttp.ClientError, TimeoutError, OSError):
                pass
            if attempt + 1 < tries:
                await asyncio.sleep(WAIT_SECONDS)
        raise GaveUp(f"{method} {urlsplit(url).path}")

    def _amount(self) -> int:
        return self._chance.randrange(1_000, 800_000)

    def _order(self) -> str:
        self._number += 1
        return f"storm-{self._chance.getrandbits(40):010x}-{self._number}"

    # What comes in.

    async def _webhook(self, request: web.Request) -> web.Response:
        fact = json.loads(await request.read())
        imp_uid, status = str(fact["imp_uid"]), str(fact["status"])
        headers = request.headers
        self.book.webhooks.append(
            Webhook(
                imp_uid,
                status,
                int(headers["naru-sequence"]),
                headers["webhook-id"],
                time.monotonic(),
                str(fact.get("event", "")),
            )
        )
        self.book.hear(imp_uid, status, "webhook")
        return web.Response(text="OK")

    async def _confirm(self, request: web.Request) -> web.Response:
        await request.read()
        return web.Response(text="OK")
