"""Merchants who use everything else of V1 in the storm: schedules, receipts, barcodes, points, members, a mall, parcels, people.

Each promise that a merchant was told of stands in the book (`Promise`); companies.py compares what the
companies themselves have written down. Whoever is cut off looks first, then asks again, as merchants do.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

from naru.domain.pg_profile import PROFILES
from tests.killing import staff
from tests.killing.load import CARD, WAIT_SECONDS, GaveUp, Json, Load, Promise

CASH = {"pg": "html5_inicis", "pay_method": "trans"}
QUICK = "kcp_quick"
PIN = "246810"
POINTS = {"benepia_user": "benepia", "benepia_password": "point1234"}
# Phones whose receipts the sandbox PG declines, answers with garbage, or does not answer to cancel.
PHONES = (*("010-1234-5678",) * 5, "01000000001", "01000000004", "01000000012")
# Invoices that it declines, or takes without an answer.
INVOICES = (*("1728384716123",) * 4, "900000000001", "900000000002")
GOODS = (
    {"id": "carrot", "name": "당근 10kg", "basePrice": 3_000, "quantity": 2},
    {"id": "radish", "name": "무 5kg", "basePrice": 4_000, "quantity": 1},
)
PARCEL = {"delivery_method": "DELIVERY", "delivery_company": "CJGLS", "tracking_number": "1234"}
# The PG's own deaths: its deed is on the disk, its answer is not sent.
PG_PATHS = (
    "/v1/barcodes",
    "/v1/billing-keys",
    "/v1/cash-receipts",
    "/v1/certification-codes",
    "/v1/certifications",
    "/v1/charges",
    "/v1/escrow/shipments",
    "/v1/mall/acts",
    "/v1/points/payments",
    "/v1/quick/members",
    "/v1/quick/payments",
    "/v1/virtual-accounts/changes",
)


class FullLoad(Load):
    """All of load.py, and merchants of every other service. `channels` names the channel of a pg code."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self.channels: dict[str, str] = {}

    def _journeys(self) -> list[tuple[Callable[[], Awaitable[None]], int]]:
        return [
            *super()._journeys(),
            (self.plan_charges, 3),
            (self.plan_without_a_key, 1),
            (self.be_receipted, 3),
            (self.be_receipted_outside, 1),
            (self.pay_at_a_store, 2),
            (self.pay_by_points, 2),
            (self.pay_by_money, 2),
            (self.cancel_at_the_mall, 2),
            (self.return_to_the_mall, 2),
            (self.change_account, 2),
            (self.be_shipped, 2),
            (self.be_certified, 2),
        ]

    def _leads(self) -> dict[str, Callable[[], Awaitable[None]]]:
        return super()._leads() | {
            "act": self.return_to_the_mall,
            "errand": self.be_shipped,
            "member": self.pay_by_money,
            "receipt": self.be_receipted,
            "schedule": self.plan_charges,
            "schedule.before_fail": self.plan_without_a_key,
            "schedule.after_fail": self.plan_without_a_key,
            "pg /v1/barcodes": self.pay_at_a_store,
            "pg /v1/cash-receipts": self.be_receipted,
            "pg /v1/certification-codes": self.be_certified,
            "pg /v1/certifications": self.be_certified,
            "pg /v1/escrow/shipments": self.be_shipped,
            "pg /v1/mall/acts": self.return_to_the_mall,
            "pg /v1/points/payments": self.pay_by_points,
            "pg /v1/quick/members": self.pay_by_money,
            "pg /v1/quick/payments": self.pay_by_money,
            "pg /v1/virtual-accounts/changes": self.change_account,
        }

    # Journeys.

    async def plan_charges(self) -> None:
        """A card is kept and two orders are planned for the next seconds; one may be moved or revoked."""
        customer = self._order()
        first, second = await self._plan(customer)
        if self._chance.random() < 0.3:
            self._promise("asked to revoke", first)
            revoked = await self._try(
                "POST", "/subscribe/payments/unschedule", {"merchant_uid": [first]}
            )
            for each in revoked or ():
                self._promise("revoked", each["merchant_uid"])
        if self._chance.random() < 0.3:
            moved = {"schedule_at": int(time.time()) + self._chance.randint(3, 8)}
            await self._try("PUT", f"/subscribe/payments/schedule/{second}", moved)
        await self._watch_plan(first, second)

    async def plan_without_a_key(self) -> None:
        """The card is deleted before its orders are due: they fail, and are executed all the same."""
        customer = self._order()
        orders = await self._plan(customer)
        await self._try("DELETE", f"/subscribe/customers/{customer}")
        await self._watch_plan(*orders)

    async def be_receipted(self) -> None:
        """A bank transfer with a cash receipt, which is taken back alone, with the money, or not at all."""
        imp_uid = await self._pay(self._amount(), **CASH)
        if imp_uid is None:
            return
        where = f"/receipts/{imp_uid}"
        await self._receipt("POST", where, {"identifier": self._chance.choice(PHONES)})
        end = self._chance.random()
        if end < 0.35:
            await self._receipt("DELETE", where)
        elif end < 0.7:
            await self._cancel(imp_uid, None)
        await self._receipt("GET", where)

    async def be_receipted_outside(self) -> None:
        """The receipt of an order that was paid elsewhere."""
        where = f"/receipts/external/{self._order()}"
        body = {
            "name": "당근",
            "amount": self._amount(),
            "identifier": self._chance.choice(PHONES),
        }
        await self._receipt("POST", where, body)
        if self._chance.random() < 0.4:
            await self._receipt("DELETE", where)
        await self._receipt("GET", where)

    async def pay_at_a_store(self) -> None:
        """A barcode that is paid at a till, or recalled."""
        imp_uid = await self._charge("/cvs", self._amount(), {"name": "당근"})
        number = (await self._look(imp_uid)).get("vbank_num") if imp_uid else None
        if not number:
            return
        if self._chance.random() < 0.25:
            await self._try("DELETE", f"/cvs/{imp_uid}")
        else:
            till = {"barcode": number, "pay_type": self._chance.choice(("cash", "card"))}
            # Paid is paid: a till whose answer was lost says ALREADY_PAID the next time.
            await self._page(f"{self._sandbox}/till/payments", till)
            await self._wait_for(str(imp_uid), "paid")
        await self._look(str(imp_uid))

    async def pay_by_points(self) -> None:
        """Points of a person, now and then given back."""
        means = {**POINTS, "benepia_member_code": "1001", "name": "당근"}
        imp_uid = await self._charge("/benepia/payment", self._chance.randint(10, 300), means)
        if imp_uid is not None and self._chance.random() < 0.4:
            await self._cancel(imp_uid, None)

    async def pay_by_money(self) -> None:
        """A member of quick pay enters a PIN and pays by a wallet; then they are forgotten, twice asked for."""
        member = f"m{self._chance.getrandbits(40):010x}"
        mid, key = PROFILES[QUICK].mid, self.channels[QUICK]
        joining = {"mid": mid, "member_id": member, "pin": PIN, "money": 50_000, "fido": True}
        await self._page(f"{self._sandbox}/quick/members", joining)
        merchant_uid = self._order()
        opened = await self._open(1_000, pg=QUICK, merchant_uid=merchant_uid)
        if await self._enter(opened) is None:
            return
        order_no = await self._at_the_pg(staff.order_of, merchant_uid)
        entry = {"mid": mid, "order_no": order_no, "member_id": member, "pin": PIN}
        await self._page(f"{self._sandbox}/quick/pins", entry)
        means = {
            "member_id": member,
            "channel_key": key,
            "name": "당근",
            "imp_uid": opened["imp_uid"],
        }
        await self._charge("/kcpquick/payment/money", self._chance.randint(100, 20_000), means)
        where = f"/kcpquick/members/{member}"
        if await self._ask_of_member("POST", f"{where}/fido/release", {"channel_key": key}):
            self._promise("fido released", member)
        named = f"?site_code={mid}&partner_type=IX99&partner_subtype=99IX"
        if await self._ask_of_member("DELETE", where + named):
            self._promise("member forgotten", member)

    async def cancel_at_the_mall(self) -> None:
        """The merchant takes an order on, the buyer wants half of it cancelled, the merchant agrees."""
        imp_uid, goods = await self._buy_at_the_mall()
        if imp_uid is None:
            return
        if self._chance.random() < 0.3:
            await self._act(imp_uid, "cancel", goods[1:], reason="SOLD_OUT")
            return
        await self._act(imp_uid, "place", goods)
        await self._as_buyer(goods[0], "ask_cancel")
        await self._act(imp_uid, "approve-cancel", goods[:1])
        await self._look(imp_uid)

    async def return_to_the_mall(self) -> None:
        """Both goods are shipped and sent back; the money of one comes back with it."""
        imp_uid, goods = await self._buy_at_the_mall()
        if imp_uid is None:
            return
        await self._act(imp_uid, "ship", goods, **PARCEL, dispatched_at=int(time.time()))
        way = {"delivery_method": "RETURN_INDIVIDUAL", "reason": "BROKEN"}
        await self._act(imp_uid, "request-return", goods, **way)
        await self._act(imp_uid, "approve-return", goods[:1])
        await self._act(imp_uid, "reject-return", goods[1:], memo="사용한 상품")
        await self._look(imp_uid)

    async def change_account(self) -> None:
        """A virtual account of settle, changed before it is paid as it then stands."""
        amount = self._amount()
        imp_uid = await self._order_account(amount, "settle")
        if imp_uid is None:
            return
        changed = await self._try("PUT", f"/vbanks/{imp_uid}", {"amount": amount + 10})
        if changed:
            self._promise("account changed", imp_uid, str(amount + 10))
            await self._deposit(imp_uid, amount + 10)

    async def be_shipped(self) -> None:
        """An escrow order whose parcel is told of, and told of anew."""
        imp_uid = await self._pay(self._amount(), escrow=True, **CASH)
        if imp_uid is None:
            return
        for method in ("POST", "PUT"):
            invoice = self._chance.choice(INVOICES)
            body = {
                "sender": {"name": "나루 상점"},
                "receiver": {"name": "홍길동"},
                "logis": {"company": "CJGLS", "invoice": invoice, "sent_at": int(time.time())},
            }
            if await self._try(method, f"/escrows/logis/{imp_uid}", body):
                self._promise("shipped", imp_uid, invoice)

    async def be_certified(self) -> None:
        """A person proves by a code who they are."""
        phone = f"0105{self._chance.randrange(10**7):07d}"
        person = {
            "name": "김나루",
            "phone": phone,
            "birth": "900720",
            "gender_digit": "2",
            "carrier": "SKT",
        }
        asked = await self._try("POST", "/certifications/otp/request", person)
        code = await self._at_the_pg(staff.code_sent_to, phone) if asked else None
        if code is None:
            return
        where = f"/certifications/otp/confirm/{asked['imp_uid']}"
        known = await self._try("POST", where, {"otp": code})
        if not known:
            # It may have been the right code, and nobody heard so.
            await asyncio.sleep(WAIT_SECONDS)
            known = await self._try("GET", f"/certifications/{asked['imp_uid']}")
        if known:
            self._promise("certified", asked["imp_uid"], known["unique_key"])

    # Steps.

    def _promise(self, deed: str, subject: str, how: str = "") -> None:
        self.book.promised.append(Promise(deed, subject, how))

    async def _try(self, method: str, path: str, body: Json | None = None) -> Any:
        """What was answered to one question; None for a refusal, and when nobody answered."""
        with contextlib.suppress(GaveUp):
            answer = await self._rest(method, path, body, tries=1)
            return answer.get("response") if answer.get("code") == 0 else None
        return None

    async def _plan(self, customer: str) -> tuple[str, str]:
        """Keep a card and plan two orders for the next seconds."""
        first, second = self._order(), self._order()
        await self._try("POST", f"/subscribe/customers/{customer}", {**CARD, "pwd_2digit": "00"})
        due = int(time.time()) + self._chance.randint(3, 8)
        items = [
            {
                "merchant_uid": each,
                "schedule_at": due,
                "amount": self._amount(),
                "name": "매달 당근",
            }
            for each in (first, second)
        ]
        body = {"customer_uid": customer, "schedules": items}
        planned = await self._try("POST", "/subscribe/payments/schedule", body)
        for each in planned or ():
            self._promise("planned", each["merchant_uid"])
        return first, second

    async def _watch_plan(self, *orders: str) -> None:
        """Look at each until it was made, as long as the storm lasts."""
        for order in orders:
            for _ in range(40):
                seen = await self._try("GET", f"/subscribe/payments/schedule/{order}")
                if seen and seen["imp_uid"]:
                    await self._look(seen["imp_uid"])
                    break
                if self._stop.is_set() or (seen and seen["schedule_status"] == "revoked"):
                    break
                await asyncio.sleep(WAIT_SECONDS)

    async def _receipt(self, method: str, where: str, body: Json | None = None) -> None:
        receipt = await self._try(method, where, body)
        if receipt:
            deed = "receipt cancelled" if receipt["cancelled_at"] else "receipt issued"
            self._promise(deed, receipt["receipt_tid"])

    async def _ask_of_member(self, method: str, path: str, body: Json | None = None) -> bool:
        """Asked until somebody answers: the same question once more is one question."""
        for _ in range(6):
            with contextlib.suppress(GaveUp):
                answer = await self._rest(method, path, body, tries=1)
                if answer.get("code") == 0:
                    return True
                if answer["status"] == 404:
                    return False
            await asyncio.sleep(WAIT_SECONDS)
        return False

    async def _buy_at_the_mall(self) -> tuple[str | None, list[str]]:
        """A payment of two goods, and their numbers at the mall."""
        imp_uid = await self._pay(
            10_000, pg="naverco", pay_method="naverpay", naverProducts=list(GOODS)
        )
        if imp_uid is None:
            return None, []
        for _ in range(10):
            goods = await self._try("GET", f"/payments/{imp_uid}/naver/product-orders")
            if goods:
                return imp_uid, [each["product_order_id"] for each in goods]
            await asyncio.sleep(WAIT_SECONDS)
        return None, []

    async def _act(self, imp_uid: str, act: str, goods: Sequence[str], **said: Any) -> None:
        """Do it to these goods; whoever was cut off asks for the same again."""
        body = {"product_order_id": list(goods), **said}
        for _ in range(5):
            with contextlib.suppress(GaveUp):
                answer = await self._rest("POST", f"/payments/{imp_uid}/naver/{act}", body, tries=1)
                for each in answer.get("response") or ():
                    self._promise("acted", each["product_order_id"], act)
                if answer.get("code") == 0 or answer["status"] == 500:
                    return
            await asyncio.sleep(WAIT_SECONDS)

    async def _as_buyer(self, product_order: str, act: str) -> None:
        with contextlib.suppress(GaveUp):
            await self._page(f"{self._sandbox}/mall/product-orders/{product_order}", {"act": act})
