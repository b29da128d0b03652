"""What merchants' servers ask of the offices: receipts, barcodes, points, members, product orders, changed accounts.

As everybody in people.py they speak to the house as the doors do, and compare what they are told.
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from dataclasses import replace
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from naru.domain.cancellation import CancelRequest
from naru.domain.cash_receipt import CashReceipt, Identifier
from naru.domain.errors import NoBillingKey
from naru.domain.ids import MerchantUid
from naru.domain.mall import Acted, MallAct
from naru.domain.money import Money
from naru.domain.outcome import BarcodeRead
from naru.domain.payment import Payment, Surface
from naru.domain.point_account import PointAccount
from naru.payments.act_on_order import Wanted, act_on_order
from naru.payments.cancel import cancel
from naru.payments.cancel_cash_receipt import cancel_cash_receipt
from naru.payments.change_virtual_account import change_virtual_account
from naru.payments.check_card import check_card
from naru.payments.gateway import Gateway
from naru.payments.issue_barcode import issue_barcode, may_be_paid
from naru.payments.issue_cash_receipt import (
    ReceiptRequest,
    issue_cash_receipt,
    issue_external_receipt,
)
from naru.payments.issue_virtual_account import issue_virtual_account
from naru.payments.pay_by_card_number import pay_by_card_number
from naru.payments.pay_by_points import pay_by_points
from naru.payments.quick_pay import ask_about_member, pay_by_money
from naru.payments.start import Opening, start
from naru.store.order_acts import KeptAct
from tests.simulation.pg import CARD

if TYPE_CHECKING:
    from tests.simulation.people import People, Shop

PERSON = ReceiptRequest(Identifier.read("01012345678"))
ACCOUNT = PointAccount("홍길동", "password")
CHECKING = 100
PLAIN = (MallAct.PLACE, MallAct.SHIP, MallAct.CONFIRM)
GIVING_BACK = (MallAct.CANCEL, MallAct.APPROVE_CANCEL, MallAct.APPROVE_RETURN)


class Clerks:
    """Merchants' servers, at everything that is no window, card or cancel."""

    def __init__(self, people: People) -> None:
        self._people = people
        self.world = people.world
        self.offices = people.pg.offices
        self.recalled: set[str] = (
            set()
        )  # barcodes of which a merchant was told that they are closed

    async def sell(self, shop: Shop, order: MerchantUid, amount: int) -> None:
        """One order, in one of the newer ways."""
        rng = random.Random(f"{self.world.plan.seed}:office:{order}")
        ways: tuple[Callable[..., Coroutine[Any, Any, None]], ...]
        ways = (self._barcode, self._points, self._member, self._mall, self._check, self._outside)
        if shop.channel.pg_code == "settle":
            ways = (*ways, self._changed_account, self._changed_account)
        await rng.choice(ways)(shop, order, amount, rng)

    def _opening(self, shop: Shop, order: MerchantUid, amount: int, method: str) -> Opening:
        opening = self._people.opening(shop, order, amount, method)
        return replace(opening, surface=Surface.API)

    # --- barcodes and accounts ---

    async def _barcode(
        self, shop: Shop, order: MerchantUid, amount: int, rng: random.Random
    ) -> None:
        opening = self._opening(shop, order, amount, "cvs")
        due = self.world.now() + timedelta(hours=1)
        for _ in range(rng.choice((1, 1, 2))):
            issued = await self._people.call(
                lambda g: issue_barcode(g, opening, barcode=None, due=due)
            )
            if isinstance(issued, Payment):
                self._people.tell(issued)
                self.world.spawn(self._people.deposits(shop, issued, rng))

    async def till(self, shop: Shop, payment: Payment) -> bool:
        """A customer shows the barcode; the till asks whether it may be paid."""
        assert payment.virtual_account is not None
        number, asks_late = payment.virtual_account.number, payment.imp_uid in self.recalled
        read = BarcodeRead(payment.pg_order_no, number, payment.amount, "cash")
        said = await self._people.call(lambda g: may_be_paid(g, shop.channel, read))
        if said is True and asks_late:
            self.world.breaks("P16", "a till was told yes after the recall", payment.imp_uid)
        return said is True

    async def _changed_account(
        self, shop: Shop, order: MerchantUid, amount: int, rng: random.Random
    ) -> None:
        """An account by API, which the merchant gives other amounts while its buyer is on the way."""
        due = self.world.now() + timedelta(hours=1)
        opening = self._opening(shop, order, amount, "vbank")
        issued = await self._people.call(
            lambda g: issue_virtual_account(g, opening, bank_code="004", holder=None, due=due)
        )
        if not isinstance(issued, Payment):
            return
        imp_uid = issued.imp_uid
        self._people.tell(issued)
        self.world.spawn(self._people.deposits(shop, issued, rng))
        for _ in range(rng.choice((1, 1, 2, 3))):
            await asyncio.sleep(rng.choice((0, 5, 60)) * rng.random())
            another = Money(amount + rng.choice((0, 500, 1000)))
            later = due + timedelta(minutes=rng.choice((0, 10)))
            shop.prices[order].add(another.minor)
            rivals = rng.choice((1, 1, 2))
            changed = await asyncio.gather(
                *(
                    self._people.call(
                        lambda g, a=another, d=later: change_virtual_account(  # type: ignore[misc]
                            g, shop.merchant.id, imp_uid, a, d
                        )
                    )
                    for _ in range(rivals)
                )
            )
            for each in changed:
                if isinstance(each, Payment):
                    self._people.tell(each)

    # --- charges ---

    async def _points(
        self, shop: Shop, order: MerchantUid, amount: int, rng: random.Random
    ) -> None:
        opening = self._opening(shop, order, amount, "point")
        await self._people.charge(order, lambda g: pay_by_points(g, opening, ACCOUNT), rng)

    async def _member(
        self, shop: Shop, order: MerchantUid, amount: int, rng: random.Random
    ) -> None:
        """Quick pay: a PIN in a window, a charge of the wallet; then the member may leave."""
        member_id = f"member-{rng.randrange(5)}-{shop.merchant.id}"
        pin = MerchantUid(f"pin-{order}")
        window = self._people.opening(shop, pin, amount, "point")
        opened = await self._people.call(lambda g: start(g, window), tries=5)
        if not isinstance(opened, tuple):
            return
        shown = opened[0]
        self.offices.join(member_id, shown.pg_order_no)
        opening = self._opening(shop, order, amount, "point")
        await self._people.charge(
            order, lambda g: pay_by_money(g, opening, member_id, shown.imp_uid), rng
        )
        if rng.random() < 0.5:
            kind = rng.choice(("delete_member", "delete_member", "release_fido"))
            rivals = rng.choice((1, 1, 2, 3))
            await asyncio.gather(
                *(
                    self._people.call(
                        lambda g: ask_about_member(g, shop.channel, kind, member_id), tries=2
                    )
                    for _ in range(rivals)
                )
            )

    async def _check(self, shop: Shop, order: MerchantUid, amount: int, rng: random.Random) -> None:
        """`checking_amount`: the card of a key is charged, and the money given back."""
        customer = f"customer-{rng.randrange(3)}"
        if rng.random() < 0.8:
            await self._people.issue_key(shop, customer)

        async def check(gateway: Gateway) -> None:
            name = MerchantUid(f"check-{self.world.ids.pg_order_no()}")
            opening = self._opening(shop, name, CHECKING, "card")
            async with gateway.store.direct() as session:
                key = await session.billing_keys.get(shop.merchant.id, customer)
            if key is None:
                raise NoBillingKey
            await check_card(gateway, opening, key)

        await asyncio.gather(*(self._people.call(check) for _ in range(rng.choice((1, 1, 3)))))

    # --- malls ---

    async def _mall(self, shop: Shop, order: MerchantUid, amount: int, rng: random.Random) -> None:
        """A paid order of some products: told about, and given back product by product, by several at once."""
        opening = self._opening(shop, order, amount, "card")
        won = await self._people.charge(order, lambda g: pay_by_card_number(g, opening, CARD), rng)
        if not won:
            return
        payment = won[0]
        sold = self.offices.sell(self._people.pg.orders[payment.pg_order_no], rng.choice((1, 2, 3)))
        for _ in range(rng.choice((1, 2, 3))):
            await asyncio.sleep(rng.random() * 40)
            act = rng.choice((*PLAIN, *GIVING_BACK, *GIVING_BACK))
            products = rng.sample(sorted(sold), rng.randrange(len(sold)) + 1)
            wanted = [
                Wanted(each, {}, Money(sold[each]) if act.gives_money_back else None)
                for each in products
            ]
            ended = await asyncio.gather(
                *(
                    self._people.call(
                        lambda g, a=act, w=wanted: act_on_order(g, payment, shop.channel, a, w)  # type: ignore[misc]
                    )
                    for _ in range(rng.choice((1, 1, 2, 3)))
                )
            )
            for acts in ended:
                for each in acts if isinstance(acts, list) else ():
                    self._hear(payment, each)

    def _hear(self, payment: Payment, act: KeptAct) -> None:
        """A merchant is told how an act ended. Is it true?"""
        order = self._people.pg.orders[payment.pg_order_no]
        happened = act.number in order.given_back
        if not act.act.gives_money_back:
            happened = isinstance(self.offices.answers.get(act.number), Acted)
        if act.state == "done" and not happened:
            self.world.breaks("P3", f"{act.act} was told as done, and is not", payment.imp_uid)
        if act.state == "refused" and happened:
            self.world.breaks("P12", f"{act.act} was told as refused, and is done", payment.imp_uid)

    # --- receipts ---

    async def receipt_of(self, shop: Shop, payment: Payment) -> None:
        """The receipt of a payment in cash: asked for once or by several at once, taken back, asked for anew."""
        rng = random.Random(f"{self.world.plan.seed}:receipt:{payment.imp_uid}")
        if rng.random() < 0.4:
            return
        imp_uid = payment.imp_uid

        async def issue(gateway: Gateway) -> CashReceipt:
            return await issue_cash_receipt(gateway, shop.merchant, imp_uid, PERSON)

        async def revoke(gateway: Gateway) -> CashReceipt:
            async with gateway.store.direct() as session:
                receipt = await session.cash_receipts.of_payment(shop.merchant.id, imp_uid)
            return await cancel_cash_receipt(gateway, receipt)

        if rng.random() < 0.3:
            # The money goes back at the same moment.
            self.world.spawn(self._give_back(shop, payment, rng.random() * 2))
        await self._receipts(imp_uid, issue, revoke, rng)

    async def _give_back(self, shop: Shop, payment: Payment, seconds: float) -> None:
        await asyncio.sleep(seconds)
        whole = CancelRequest(reason="변심")
        await self._people.call(lambda g: cancel(g, shop.merchant.id, payment.imp_uid, whole))

    async def _outside(
        self, shop: Shop, order: MerchantUid, amount: int, rng: random.Random
    ) -> None:
        """The receipt of an order that was paid elsewhere; now and then its buyer pays here all the same."""
        if rng.random() < 0.5:
            self.world.spawn(self._people.account_by_api(shop, order, amount, rng))

        async def issue(gateway: Gateway) -> CashReceipt:
            return await issue_external_receipt(
                gateway, shop.merchant, shop.channel, order, "책", Money(amount), PERSON
            )

        async def revoke(gateway: Gateway) -> CashReceipt:
            async with gateway.store.direct() as session:
                receipt = await session.cash_receipts.of_order(shop.merchant.id, order)
            return await cancel_cash_receipt(gateway, receipt)

        await self._receipts(order, issue, revoke, rng)

    async def _receipts(
        self,
        subject: str,
        issue: Callable[[Gateway], Coroutine[Any, Any, CashReceipt]],
        revoke: Callable[[Gateway], Coroutine[Any, Any, CashReceipt]],
        rng: random.Random,
    ) -> None:
        call = self._people.call
        for _ in range(rng.choice((1, 1, 2))):
            await asyncio.sleep(rng.choice((0, 5, 60)) * rng.random())
            # Whoever asks anew of a receipt that stands is refused.
            asked = await asyncio.gather(*(call(issue) for _ in range(rng.choice((1, 1, 2, 4)))))
            issued = {each.number for each in asked if isinstance(each, CashReceipt)}
            if len(issued) > 1:
                self.world.breaks("P2", f"{len(issued)} receipts of the same money", subject)
            await asyncio.sleep(rng.random() * 30)
            if rng.random() < 0.5:
                continue
            await asyncio.gather(*(call(revoke) for _ in range(rng.choice((1, 1, 2)))))
