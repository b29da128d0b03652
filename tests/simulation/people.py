"""Who acts: buyers, merchants' servers, the PG that tells of deposits, attackers; and what they are told.

Everybody speaks to the house as the doors do: one verb, in one process, which may die meanwhile.
"""

from __future__ import annotations

import asyncio
import json
import random
from collections import defaultdict
from collections.abc import Callable, Coroutine, Mapping
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any, TypeVar

from naru.domain.cancellation import CancelRequest
from naru.domain.cash_receipt import CASH_METHODS
from naru.domain.channel import Channel
from naru.domain.errors import ForgedReturn, NaruError, NoBillingKey
from naru.domain.ids import MerchantUid
from naru.domain.merchant import Merchant
from naru.domain.money import Money
from naru.domain.outcome import Deposited
from naru.domain.payment import Payment, Step, Surface
from naru.domain.prepared import Prepared
from naru.domain.schedule import Schedule
from naru.payments.approve import approve
from naru.payments.cancel import cancel
from naru.payments.close_virtual_account import close_virtual_account
from naru.payments.confirm_deposit import confirm_deposit
from naru.payments.delete_billing_key import delete_billing_key
from naru.payments.gateway import Gateway
from naru.payments.issue_billing_key import issue_billing_key
from naru.payments.issue_virtual_account import issue_virtual_account
from naru.payments.pay_by_billing_key import pay_by_billing_key
from naru.payments.pay_by_card_number import pay_by_card_number
from naru.payments.prepare import prepare
from naru.payments.run_schedule import retry_schedule
from naru.payments.schedule import Planned, change_time, reschedule, schedule, unschedule
from naru.payments.start import Opening, start
from naru.wire import Answer
from tests.simulation.clerks import Clerks
from tests.simulation.loop import PROCESS, Killed
from tests.simulation.pg import CARD, Order, Pg
from tests.simulation.world import Gone, Process, World

T = TypeVar("T")
# So many of the buyers come to a clerk.
NEWER_WAYS = 0.12


@dataclass
class Shop:
    """A merchant's server: the orders it believes paid, and every webhook it heard."""

    merchant: Merchant
    channel: Channel
    url: str
    kind: str
    paid: dict[str, str] = field(default_factory=dict)  # merchant_uid -> imp_uid
    heard: dict[tuple[str, int], str] = field(default_factory=dict)  # (imp_uid, version) -> id
    # Its order -> what it may cost: more than one where the merchant changed an account.
    prices: dict[str, set[int]] = field(default_factory=lambda: defaultdict(set))
    ill_until: float = 0.0


class People:
    """Everybody outside of the house."""

    def __init__(self, world: World, pg: Pg, shops: list[Shop]) -> None:
        self.world = world
        self.pg = pg
        self.shops = shops
        self.gateways: dict[Process, Gateway] = {}
        self.told: list[tuple[str, Step, int]] = []
        self.spent: dict[tuple[str, int], int] = {}
        self.telling = 0
        self.clerks = Clerks(self)

    async def call(
        self, verb: Callable[[Gateway], Coroutine[Any, Any, T]], *, tries: int = 1
    ) -> T | NaruError | None:
        """One request at a door of any gateway. None: nobody answered. A refusal comes as it is."""
        world = self.world
        for _ in range(tries):
            process = world.gateway()
            if process is not None:
                try:
                    return await process.do(verb(self.gateways[process]))
                except NaruError as refused:
                    return refused
                except Gone:
                    pass
                except (Killed, asyncio.CancelledError):
                    pass
                except Exception as error:
                    world.breaks("P0", f"a door would answer 500: {error!r}", world_subject(error))
                    return None
            await asyncio.sleep(world.rng.uniform(0.5, 5))
        return None

    # --- buyers ---

    async def buy(self, number: int) -> None:
        """One buyer, one order, one to three windows."""
        world = self.world
        rng = random.Random(f"{world.plan.seed}:buyer:{number}")
        await asyncio.sleep(rng.uniform(0, world.plan.chaos_seconds * 0.8))
        shop = rng.choice(self.shops)
        order = MerchantUid(f"order-{number}")
        amount = rng.choice((100, 1004, 50_000, 1_000_000))
        shop.prices[order] = {amount}
        if rng.random() < 0.3:
            announced = Prepared(order, Money(amount))
            await self.call(lambda g: prepare(g, shop.merchant.id, announced), tries=2)
        way = random.Random(f"{world.plan.seed}:way:{number}").random()
        if way > 1 - NEWER_WAYS:
            await self.clerks.sell(shop, order, amount)
            return
        if way < 0.25 * (1 - NEWER_WAYS):
            await self._without_a_window(shop, order, amount)
            return
        if random.Random(f"{world.plan.seed}:later:{number}").random() < 0.15:
            await self._by_schedule(shop, order, amount)
            return
        method = "vbank" if rng.random() < 0.25 else "card"
        if method == "vbank" and rng.random() < 0.4:
            await self.account_by_api(shop, order, amount, rng)
        else:
            windows = rng.choice((1, 1, 1, 1, 2, 3))
            await asyncio.gather(
                *(self._window(shop, order, amount, method, rng) for _ in range(windows))
            )

    def opening(self, shop: Shop, order: MerchantUid, amount: int, method: str) -> Opening:
        return Opening(
            merchant=shop.merchant,
            channel=shop.channel,
            merchant_uid=order,
            amount=Money(amount),
            surface=Surface.PC,
            pay_method=method,
        )

    async def _without_a_window(self, shop: Shop, order: MerchantUid, amount: int) -> None:
        """The merchant's server charges a card or a key, once or from several processes at once."""
        rng = random.Random(f"{self.world.plan.seed}:charge:{order}")
        customer = f"customer-{rng.randrange(3)}"
        opening = replace(
            self.opening(shop, order, amount, "card"),
            surface=Surface.API,
        )
        way = rng.choice(("card", "keep", "key", "key"))

        async def by_key(gateway: Gateway) -> Payment:
            async with gateway.store.direct() as session:
                key = await session.billing_keys.get(shop.merchant.id, customer)
            if key is None:
                raise NoBillingKey
            return await pay_by_billing_key(gateway, opening, key)

        async def by_card(gateway: Gateway) -> Payment:
            kept = customer if way == "keep" else None
            return await pay_by_card_number(gateway, opening, CARD, customer_uid=kept)

        if way == "key" and rng.random() < 0.8:
            await self.issue_key(shop, customer)
        await self.charge(order, by_key if way == "key" else by_card, rng)
        if rng.random() < 0.2:
            await self.call(lambda g: delete_billing_key(g, shop.merchant.id, customer))

    async def issue_key(self, shop: Shop, customer: str) -> None:
        """The customer's card is kept."""
        await self.call(
            lambda g: issue_billing_key(g, shop.merchant, shop.channel, customer, CARD), tries=2
        )

    async def charge(
        self,
        order: str,
        verb: Callable[[Gateway], Coroutine[Any, Any, Payment]],
        rng: random.Random,
    ) -> list[Payment]:
        """One order is charged, perhaps by several at once, perhaps again. Who was told that it was paid."""
        paid: list[Payment] = []
        for _ in range(rng.choice((1, 1, 2))):
            rivals = rng.choice((1, 1, 1, 1, 2, 4))
            ended = await asyncio.gather(*(self.call(verb) for _ in range(rivals)))
            won = [each for each in ended if isinstance(each, Payment)]
            if len(won) > 1:
                self.world.breaks("P2", f"{len(won)} charges of one order succeeded", order)
            for each in won:
                self.tell(each)
            paid += won
            await asyncio.sleep(rng.random() * 60)
        return paid

    async def _by_schedule(self, shop: Shop, order: MerchantUid, amount: int) -> None:
        """The merchant schedules a charge, perhaps moves or revokes it as it runs, retries what failed."""
        world = self.world
        rng = random.Random(f"{world.plan.seed}:schedule:{order}")
        customer, merchant_id = f"customer-{rng.randrange(3)}", shop.merchant.id
        opening = replace(self.opening(shop, order, amount, "card"), surface=Surface.API)
        due = world.now() + timedelta(seconds=rng.uniform(-60, 200))

        async def plan(gateway: Gateway) -> list[Schedule]:
            async with gateway.store.direct() as session:
                key = await session.billing_keys.get(merchant_id, customer)
            if key is None:
                raise NoBillingKey
            return await schedule(gateway, key, [Planned(opening, due)])

        if rng.random() < 0.9:
            await self.issue_key(shop, customer)
        await asyncio.gather(*(self.call(plan, tries=2) for _ in range(rng.choice((1, 1, 2)))))
        wait = (due - world.now()).total_seconds()
        if rng.random() < 0.3:
            # Just as it runs.
            await asyncio.sleep(max(0.0, wait + rng.uniform(-3, 5)))
            await self.call(lambda g: unschedule(g, merchant_id, customer, [order]), tries=2)
            if rng.random() < 0.3:
                await self._again(merchant_id, order, rng)
            return
        if rng.random() < 0.2:
            later = world.now() + timedelta(seconds=rng.uniform(1, 200))
            await self.call(lambda g: change_time(g, merchant_id, order, later), tries=2)
        await asyncio.sleep(max(0.0, wait) + rng.uniform(5, 120))
        if rng.random() < 0.1:
            await self.call(lambda g: delete_billing_key(g, merchant_id, customer))
        if rng.random() < 0.5:
            rivals = rng.choice((1, 2, 8))
            tried = await asyncio.gather(
                *(self.call(lambda g: retry_schedule(g, merchant_id, order)) for _ in range(rivals))
            )
            paid = [each for each in tried if isinstance(each, Payment) and each.step is Step.PAID]
            if len(paid) > 1:
                world.breaks("P15", f"{len(paid)} retries of one schedule succeeded", order)
            for each in paid:
                self.tell(each)
        elif rng.random() < 0.4:
            await self._again(merchant_id, order, rng)

    async def _again(self, merchant_id: int, order: str, rng: random.Random) -> None:
        """A schedule that failed or was revoked is given another time, perhaps by two at once."""
        later = self.world.now() + timedelta(seconds=rng.uniform(1, 100))
        await asyncio.gather(
            *(
                self.call(lambda g: reschedule(g, merchant_id, order, later), tries=2)
                for _ in range(rng.choice((1, 2)))
            )
        )
        await asyncio.sleep((later - self.world.now()).total_seconds() + rng.uniform(5, 60))

    async def _window(
        self, shop: Shop, order: MerchantUid, amount: int, method: str, rng: random.Random
    ) -> None:
        for _ in range(3):
            await asyncio.sleep(rng.uniform(0, 5))
            asked = amount
            if "attack" in self.world.faults and rng.random() < 0.05:
                asked = 1  # the buyer changes the amount; the shop compares
            opening = self.opening(shop, order, asked, method)
            opened = await self.call(lambda g, o=opening: start(g, o), tries=12)
            if not isinstance(opened, tuple):
                return
            payment = opened[0]
            await asyncio.sleep(rng.choice((2, 5, 20, 60, 500)) * rng.random())
            ended = await self._come_back(shop, payment, rng)
            if ended is None or ended.step is not Step.FAILED or rng.random() < 0.3:
                # Paid, waiting, being checked, or not known: who is told "checking" does not pay again.
                return

    async def _come_back(self, shop: Shop, payment: Payment, rng: random.Random) -> Payment | None:
        """The browser returns from the PG, perhaps twice, perhaps forged. What the buyer is told."""
        imp_uid = payment.imp_uid
        if rng.random() < 0.08:
            fields = {"gave_up": payment.pg_order_no}
        else:
            fields = self.pg.authenticate(payment)
        if "attack" in self.world.faults and rng.random() < 0.1:
            await self._attack(payment, fields, rng)
        again = rng.random() < 0.15
        first = self.world.spawn(self._return(imp_uid, fields))
        if again:
            await asyncio.sleep(rng.random() * 3)
            await self._return(imp_uid, fields)
        ended = await first
        if ended is None and rng.random() < 0.7:
            await asyncio.sleep(rng.uniform(1, 60))
            ended = await self._return(imp_uid, fields)
        if ended is not None and ended.step is Step.WAITING_DEPOSIT:
            self.world.spawn(self.deposits(shop, ended, rng))
        return ended

    async def _return(self, imp_uid: str, fields: dict[str, str]) -> Payment | None:
        ended = await self.call(lambda g: approve(g, imp_uid, fields))
        if not isinstance(ended, Payment):
            return None
        self.tell(ended)
        return ended

    async def _attack(self, payment: Payment, fields: dict[str, str], rng: random.Random) -> None:
        forged = dict(fields)
        forged[rng.choice(sorted(forged))] = "forged"
        if rng.random() < 0.5 and self.pg.orders:
            other = rng.choice(list(self.pg.orders.values()))
            forged = {
                "order": other.number,
                "token": other.token,
                "proof": self.pg.proof(other.number, other.token),
            }
            if other.number == payment.pg_order_no:
                return
        answer = await self.call(lambda g: approve(g, payment.imp_uid, forged))
        if answer is not None and isinstance(answer, Payment):
            self.world.breaks("P12", "a forged return was believed", payment.imp_uid)
        elif isinstance(answer, NaruError) and not isinstance(answer, ForgedReturn):
            pass  # the database was away

    # --- virtual accounts ---

    async def account_by_api(
        self, shop: Shop, order: MerchantUid, amount: int, rng: random.Random
    ) -> None:
        due = self.world.now() + timedelta(hours=1)
        opening = self.opening(shop, order, amount, "vbank")
        issued = await self.call(
            lambda g: issue_virtual_account(g, opening, bank_code="004", holder=None, due=due)
        )
        if isinstance(issued, Payment):
            self.tell(issued)
            await self.deposits(shop, issued, rng)

    async def deposits(self, shop: Shop, payment: Payment, rng: random.Random) -> None:
        """The buyer goes to the bank; the merchant may close the account meanwhile."""
        order = self.pg.orders[payment.pg_order_no]
        if rng.random() < 0.15:
            self.world.spawn(self._close(shop, payment, rng))
        await asyncio.sleep(rng.choice((1, 20, 200)) * rng.random())
        if payment.pay_method == "cvs" and not await self.clerks.till(shop, payment):
            return
        kind = rng.choice(("exact", "exact", "exact", "short", "parts", "over", "late", "none"))
        half = max(1, order.asked // 2)
        amounts = {
            "exact": [order.asked],
            "late": [order.asked],
            "short": [half],
            "parts": [half, order.asked - half],
            "over": [order.asked + 1],
            "none": [],
        }[kind]
        for amount in filter(None, amounts):
            if order.state != "account":
                return
            at = self.world.now() + timedelta(hours=2) if kind == "late" else None
            self.world.spawn(self._notify(shop, self.pg.deposit(order, amount, at), rng))
            await asyncio.sleep(rng.random() * 30)

    async def _notify(self, shop: Shop, deposited: Deposited, rng: random.Random) -> None:
        """The PG tells of a deposit until it hears OK, and sometimes once more."""
        self.telling += 1
        left = rng.choice((1, 1, 1, 2, 3))
        while left:
            await asyncio.sleep(self.world.rng.choice((0.1, 5, 60)) * self.world.rng.random())
            answer = await self.call(lambda g: confirm_deposit(g, shop.channel, deposited))
            if isinstance(answer, str):
                left -= 1
                self.world.note("", "PG", f"heard OK for {deposited.notice_key}: {answer}")
        self.telling -= 1

    async def _close(self, shop: Shop, payment: Payment, rng: random.Random) -> None:
        await asyncio.sleep(rng.random() * 100)
        barcode = payment.pay_method == "cvs"
        closed = await self.call(
            lambda g: close_virtual_account(g, shop.merchant.id, payment.imp_uid, barcode=barcode)
        )
        if isinstance(closed, Payment):
            self.tell(closed)
            if barcode:
                self.clerks.recalled.add(payment.imp_uid)

    # --- merchants ---

    async def _cancels(self, shop: Shop, payment: Payment) -> None:
        """Money goes back: all or part, one request or many at once, by the same balance."""
        rng = random.Random(f"{self.world.plan.seed}:cancel:{payment.imp_uid}")
        if rng.random() < 0.6:
            return
        await asyncio.sleep(rng.choice((0, 5, 100)) * rng.random())
        left = payment.amount.minor
        for _ in range(rng.choice((1, 1, 2, 3))):
            amount = rng.choice((left, max(1, left // 2), max(1, left // 3)))
            checksum = Money(left) if rng.random() < 0.7 else None
            rivals = rng.choice((1, 1, 1, 1, 2, 2, 4, 16 if rng.random() < 0.8 else 64))
            request = CancelRequest(
                amount=Money(amount),
                checksum=checksum,
                reason="변심",
                enable_webhook=rng.random() < 0.5,
            )
            if "attack" in self.world.faults and rng.random() < 0.1:
                await self._foreign_cancel(shop, payment, request)
            ended = await asyncio.gather(
                *(
                    self.call(
                        lambda g, r=request: cancel(g, shop.merchant.id, payment.imp_uid, r)  # type: ignore[misc]
                    )
                    for _ in range(rivals)
                )
            )
            won = [each for each in ended if isinstance(each, Payment)]
            for each in won:
                self.tell(each)
            if checksum is not None and won:
                spent = self.spent.get((payment.imp_uid, left), 0) + len(won)
                self.spent[payment.imp_uid, left] = spent
                if spent > 1:
                    self.world.breaks(
                        "P7", f"{spent} cancels with checksum {left} succeeded", payment.imp_uid
                    )
            if not won:
                return
            left = min(each.balance.minor for each in won)
            if left == 0:
                return
            await asyncio.sleep(rng.random() * 60)

    async def _busy(self, work: Coroutine[Any, Any, None]) -> None:
        """Somebody still has something to do: the run does not end meanwhile."""
        self.telling += 1
        try:
            await work
        finally:
            self.telling -= 1

    async def _foreign_cancel(self, shop: Shop, payment: Payment, request: CancelRequest) -> None:
        for other in self.shops:
            if other.merchant.id != shop.merchant.id:
                answer = await self.call(
                    lambda g, m=other.merchant.id: cancel(g, m, payment.imp_uid, request)
                )
                if isinstance(answer, Payment):
                    self.world.breaks("P10", "another merchant cancelled it", payment.imp_uid)
                return

    def hear(self, url: str, headers: Mapping[str, str], body: bytes) -> Answer:
        """A webhook arrives. The shop believes nothing of it, and asks."""
        world = self.world
        shop = next(each for each in self.shops if each.url == url)
        if shop.ill_until > world.loop._now:
            return Answer(world.rng.choice((500, 503, 429)), {}, b"ill")
        imp_uid = json.loads(body)["imp_uid"]
        version = int(headers["naru-sequence"])
        row = world.database.tables["payments"].rows[imp_uid].now
        if row is None or row["version"] < version:
            world.breaks("P24", f"version {version} was told before its commit", imp_uid)
        key = (imp_uid, version)
        if key not in shop.heard:
            for row_ in world.database.tables["webhook_deliveries"].of(("imp_uid",), imp_uid):
                other = row_.now
                if other is not None and other["state"] == "waiting" and other["version"] < version:
                    world.breaks("P4", f"{version} overtook {other['version']}", imp_uid)
            shop.heard[key] = headers["webhook-id"]
        elif shop.heard[key] != headers["webhook-id"]:
            world.breaks("P4", "another id for the same change", imp_uid)
        world.spawn(self.look(shop, imp_uid, version))
        return Answer(200, {}, b"ok")

    async def look(self, shop: Shop, imp_uid: str, at_least: int = 0) -> None:
        """GET /payments/{imp_uid}, compare, finish the order."""

        async def get(gateway: Gateway) -> Payment | None:
            async with gateway.store.direct() as session:
                return await session.payments.get_of_merchant(imp_uid, shop.merchant.id)

        payment = await self.call(get, tries=20)
        if not isinstance(payment, Payment):
            return
        if payment.version < at_least:
            self.world.breaks("P23", f"GET says {payment.version} after {at_least}", imp_uid)
        self.tell(payment)
        if payment.step is not Step.PAID or payment.cancelled:
            return
        if payment.amount.minor not in shop.prices[payment.merchant_uid]:
            return
        if payment.merchant_uid not in shop.paid:
            shop.paid[payment.merchant_uid] = imp_uid
            self.world.spawn(self._busy(self._cancels(shop, payment)))
            if payment.pay_method in CASH_METHODS:
                self.world.spawn(self._busy(self.clerks.receipt_of(shop, payment)))

    def tell(self, payment: Payment) -> None:
        """Somebody outside is told how this payment stands. Is it true, and durable?"""
        world, imp_uid = self.world, payment.imp_uid
        world.note(imp_uid, "told", f"{payment.step} (version {payment.version})")
        row = world.database.tables["payments"].rows[imp_uid].now
        if row is None or row["version"] < payment.version:
            world.breaks("P11", f"version {payment.version} told before its commit", imp_uid)
        if payment.step is Step.FAILED:
            order = self.pg.orders.get(payment.pg_order_no)
            if order is not None and order.net > 0 and not self._doubtful(imp_uid, row):
                world.breaks("P12", f"told failed, and the PG holds {order.net}", imp_uid)

    def _doubtful(self, imp_uid: str, row: Any) -> bool:
        """Is there an open question, or did the row move on since?"""
        if row is None or row["step"] != "failed":
            return True
        if any(
            each.now is not None and each.now["state"] in ("open", "unknown", "undoing")
            for each in self.world.database.tables["intents"].of(("imp_uid",), imp_uid)
        ):
            return True
        # A deposit is a fact that a person looks at, not an approval.
        return row["pay_method"] == "vbank"


def world_subject(error: BaseException) -> str:
    """The payment that an error names, if it does."""
    for part in str(error).replace("'", " ").split():
        if part.startswith("imp"):
            return part.strip(".,:()")
    return ""


class SimulatedWire:
    """`naru.wire.Wire`, as far as verbs use it: webhooks to shops."""

    def __init__(self, world: World, people: People) -> None:
        self._world = world
        self._people = people

    async def request(
        self,
        method: str,
        url: str,
        *,
        body: bytes = b"",
        headers: Mapping[str, str] | None = None,
        timeouts: Any = None,
        max_body: int = 0,
    ) -> Answer:
        process = PROCESS.get()
        assert isinstance(process, Process)
        given = dict(headers or {})
        answer = await self._world.ask(
            lambda: self._people.hear(url, given, body),
            seconds=timeouts.total,
            subject=json.loads(body)["imp_uid"],
            what=f"webhook {given.get('naru-sequence')}",
            think=60.0 if self._world.network_lost and self._world.toss(0.02) else 0.1,
        )
        assert isinstance(answer, Answer)
        return answer


__all__ = ["Order", "People", "Shop", "SimulatedWire"]
