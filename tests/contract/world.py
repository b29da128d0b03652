"""Two merchants with things of every kind, made through the door itself; and a picture of what one of them has.

Every text that only the owner's rows hold carries `MARK`: an answer to somebody else in which it stands is a leak.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field, replace
from itertools import count
from typing import Any

from tests.contract.examples import VALUES
from tests.rest.cash import transfer
from tests.rest.conftest import Answered, Desk, House, Shop, new_shop, sign_in
from tests.rest.test_escrow_logis import SHIPMENT
from tests.rest.test_kcpquick import add_quick_channel, check_pin, join
from tests.rest.test_naver import buy, channel_of

MARK = "비밀표"
_NUMBERS = count(1)
_WON = count(2_001)  # No amount that means something to the sandbox.


@dataclass
class Owned:
    """What one merchant has: identifiers by name, and by the beginning of the paths that mean a special one."""

    shop: Shop
    names: dict[str, str] = field(default_factory=dict)
    special: dict[str, dict[str, str]] = field(default_factory=dict)

    def for_path(self, path: str) -> dict[str, str]:
        """The identifiers that an operation of this path would mean."""
        found = dict(self.names)
        for prefix, names in sorted(self.special.items(), key=lambda each: len(each[0])):
            if path.startswith(prefix):
                found |= names
        return found


@dataclass
class World:
    """A desk, and what its shop owns."""

    house: House
    desk: Desk
    owner: Owned

    async def member(self, shop: Shop) -> None:
        """Make this merchant a member of the sandbox PG, with a channel for cards without a window and one for
        certifications.
        """
        for kind, pg_code in (("payment", "kcp"), ("certification", "danal")):
            mid, secret = shop.channel.mid, shop.channel.settings["secret"]
            if kind != "payment":
                mid, secret = f"{mid}-{pg_code}", f"{secret}-{pg_code}"
                async with self.desk.gateway.store.begin() as tx:
                    await tx.channels.add(
                        shop.merchant.id,
                        f"{shop.channel.channel_key}-{pg_code}",
                        pg_code,
                        mid,
                        "sandbox",
                        test=True,
                        settings={
                            "url": self.house.pg_url,
                            "secret": secret,
                            "phone_approved": True,
                        },
                        kind=kind,
                        is_default=True,
                    )
            body = {"secret": secret, "name": shop.merchant.name, "profile": pg_code}
            async with self.desk.http.put(
                f"{self.house.pg_url}/v1/members/{mid}", json=body
            ) as answer:
                assert answer.status == 200
        await add_quick_channel(self.of(shop))

    def of(self, shop: Shop) -> Desk:
        """The same desk, with this merchant at it."""
        return replace(self.desk, shop=shop)

    async def newcomer(self) -> Shop:
        """Another merchant, signed in, who has nothing."""
        shop = await new_shop(self.house.store, self.house.pg_url)
        await self.member(shop)
        await sign_in(self.desk, shop)
        return shop

    async def picture(self, merchant_id: int) -> dict[str, str]:
        """A fingerprint of every table's rows of a merchant, by the table's name."""
        async with self.house.store.direct() as session:
            connection = session._connection.raw
            tables = await connection.fetch(_TABLES)
            parts = [
                f"SELECT '{name}' AS name, count(*) || ' ' || "
                f"coalesce(md5(string_agg(t::text, '|' ORDER BY t::text)), '') AS said "
                f"FROM {name} t WHERE {how.format(merchant_id)}"
                for name, how in ((row["name"], row["how"]) for row in tables)
            ]
            rows = await connection.fetch(" UNION ALL ".join(parts))
        return {row["name"]: row["said"] for row in rows}


# Tables that say whose their rows are, or whose payment they are about.
_TABLES = """
SELECT c.relname AS name,
       CASE WHEN bool_or(a.attname = 'merchant_id') THEN 'merchant_id = {0}'
            ELSE 'imp_uid IN (SELECT imp_uid FROM payments WHERE merchant_id = {0})' END AS how
  FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
 WHERE c.relnamespace = 'public'::regnamespace AND c.relkind = 'r'
   AND a.attname IN ('merchant_id', 'imp_uid') AND NOT a.attisdropped
 GROUP BY c.relname ORDER BY c.relname
"""


async def make_world(house: House, desk: Desk) -> World:
    """The owner's things, one of every kind that the door can make."""
    world = World(house, desk, Owned(desk.shop))
    await world.member(desk.shop)
    tier = await new_shop(house.store, house.pg_url)
    async with house.store.begin() as tx:
        await tx.tiers.add(tier.merchant.id, desk.shop.merchant.id, "NRU")
    world.owner.names["tier_code"] = "NRU"
    await give_things(world, world.owner)
    return world


def own_channel(shop: Shop) -> dict[str, str]:
    """The channel of a merchant that an operation means which must be told one, by its two names."""
    return {
        "channel_key": f"quick-{shop.channel.channel_key}",
        "site_code": f"Q{shop.channel.mid}",
    }


async def give_things(world: World, owned: Owned, *kinds: str) -> None:
    """Make one thing of every kind for this merchant, or of these kinds."""
    maker = _Maker(world, owned)
    for kind in kinds or KINDS:
        await getattr(maker, kind)()


class _Maker:
    def __init__(self, world: World, owned: Owned) -> None:
        self.world, self.owned = world, owned
        self.tag = f"{MARK}{next(_NUMBERS)}"

    async def ask(self, method: str, path: str, **fields: Any) -> Answered:
        answer = await self.world.desk.ask(
            method, path, token=self.owned.shop.token, json=fields or None
        )
        assert answer.status == 200, (method, path, answer.body)
        assert answer.body["code"] == 0, (method, path, answer.body)
        return answer

    def order(self) -> str:
        """A number of an order, which no other merchant has."""
        return f"{self.owned.shop.merchant.name}-{next(_NUMBERS)}"

    async def paid(self, **more: Any) -> dict[str, Any]:
        """A payment by a card's number."""
        answer = await self.ask(
            "POST",
            "/subscribe/payments/onetime",
            merchant_uid=self.order(),
            amount=next(_WON),
            card_number=VALUES["card_number"],
            expiry=VALUES["expiry"],
            name=self.tag,
            buyer_name=self.tag,
            buyer_email=f"{self.tag}@example.com",
            custom_data={"note": self.tag},
            **more,
        )
        found: dict[str, Any] = answer.response
        return found

    async def payment(self) -> None:
        paid = await self.paid()
        self.owned.names |= {"imp_uid": paid["imp_uid"], "merchant_uid": paid["merchant_uid"]}
        cancelled = await self.paid()
        self.owned.special["/payments/cancel"] = {
            "imp_uid": cancelled["imp_uid"],
            "merchant_uid": cancelled["merchant_uid"],
        }

    async def announced(self) -> None:
        uid = self.order()
        await self.ask("POST", "/payments/prepare", merchant_uid=uid, amount=next(_WON))
        self.owned.special["/payments/prepare"] = {"merchant_uid": uid}

    async def account(self) -> None:
        answer = await self.ask(
            "POST",
            "/vbanks",
            merchant_uid=self.order(),
            amount=next(_WON),
            vbank_code="004",
            vbank_due=VALUES["vbank_due"],
            vbank_holder=self.tag[:16],
            name=self.tag,
            buyer_name=self.tag,
        )
        self.owned.special["/vbanks"] = {"imp_uid": answer.response["imp_uid"]}

    async def customer(self) -> None:
        for path in ("", "/subscribe/customers"):
            uid = f"{self.owned.shop.merchant.name}-customer-{next(_NUMBERS)}"
            await self.ask(
                "POST",
                f"/subscribe/customers/{uid}",
                card_number=VALUES["card_number"],
                expiry=VALUES["expiry"],
                customer_name=self.tag,
                customer_email=f"{self.tag}@example.com",
            )
            if path:
                self.owned.special[path] = {"customer_uid": uid}
            else:
                self.owned.names["customer_uid"] = uid
            await self.ask(
                "POST",
                "/subscribe/payments/again",
                customer_uid=uid,
                merchant_uid=self.order(),
                amount=next(_WON),
                name=self.tag,
            )

    async def schedule(self) -> None:
        uid = self.order()
        await self.ask(
            "POST",
            "/subscribe/payments/schedule",
            customer_uid=self.owned.names["customer_uid"],
            schedules=[
                {
                    "merchant_uid": uid,
                    "schedule_at": int(self.world.desk.clock().timestamp()) + 86_400,
                    "amount": next(_WON),
                    "name": self.tag,
                    "buyer_name": self.tag,
                }
            ],
        )
        self.owned.special["/subscribe/payments/schedule"] = {"merchant_uid": uid}
        self.owned.special["/subscribe/payments/unschedule"] = {"merchant_uid": uid}

    async def person(self) -> None:
        """A person whose code was sent, and one who is certified."""
        person = {
            "name": "김나루",
            "phone": "010-1000-0001",
            "birth": "900720",
            "gender_digit": "2",
            "carrier": "SKT",
            "merchant_uid": self.order(),
        }
        # Worlds share one database, and this one person's phone: it is rung five times in ten minutes.
        async with self.world.desk.gateway.store.direct() as session:
            await session._connection.raw.execute("DELETE FROM limits")
        waiting = await self.ask("POST", "/certifications/otp/request", **person)
        self.owned.special["/certifications/otp/confirm"] = {"imp_uid": waiting.response["imp_uid"]}
        person["merchant_uid"] = self.order()
        asked = await self.ask("POST", "/certifications/otp/request", **person)
        imp_uid = asked.response["imp_uid"]
        async with self.world.desk.http.get(f"{self.world.house.pg_url}/inbox/messages") as answer:
            said = await answer.json()
        code = re.search(r"\[(\d{6})\]", said["messages"][0]["text"])
        assert code is not None
        await self.ask("POST", f"/certifications/otp/confirm/{imp_uid}", otp=code[1])
        self.owned.special["/certifications/{"] = {"imp_uid": imp_uid}

    async def cash(self) -> None:
        """A transfer with its receipt, one with its parcel, a receipt of an order from elsewhere."""
        desk = self.world.of(self.owned.shop)
        paid = await transfer(desk, next(_WON))
        receipt = {"identifier": VALUES["identifier"], "identifier_type": "phone"}
        await self.ask("POST", f"/receipts/{paid.imp_uid}", **receipt)
        self.owned.special["/receipts/{"] = {"imp_uid": paid.imp_uid}
        parcel = await transfer(desk, next(_WON), escrow=True)
        await self.ask("POST", f"/escrows/logis/{parcel.imp_uid}", **SHIPMENT)
        self.owned.special["/escrows"] = {"imp_uid": parcel.imp_uid}
        uid = self.order()
        await self.ask(
            "POST", f"/receipts/external/{uid}", name=self.tag, amount=next(_WON), **receipt
        )
        self.owned.special["/receipts/external"] = {"merchant_uid": uid}

    async def barcode(self) -> None:
        answer = await self.ask(
            "POST", "/cvs", merchant_uid=self.order(), amount=next(_WON), name=self.tag
        )
        self.owned.special["/cvs"] = {"imp_uid": answer.response["imp_uid"]}

    async def goods(self) -> None:
        """An order at Naver, and payments of the wallets that have operations of their own."""
        desk, shop = self.world.of(self.owned.shop), self.owned.shop
        channel = await channel_of(desk, "naverco", shop)
        ordered = await buy(desk, channel, 10_000, shop=shop)
        answer = await self.ask("GET", f"/payments/{ordered.imp_uid}/naver/product-orders")
        product = answer.response[0]["product_order_id"]
        of_order = {"imp_uid": ordered.imp_uid, "product_order_id": product}
        self.owned.special["/payments/{imp_uid}/naver"] = of_order
        self.owned.special["/naver"] = {"product_order_id": product}
        for pg_code, paths in (
            ("naverpay", [f"/payments/{{imp_uid}}/naver/{each}" for each in _OF_PAYMENT]),
            ("payco", ["/payco", "/payments/{imp_uid}/balance"]),
            ("paymentwall", ["/paymentwall"]),
        ):
            channel = await channel_of(desk, pg_code, shop)
            paid = await buy(desk, channel, next(_WON), products=(), shop=shop)
            for path in paths:
                names = {"imp_uid": paid.imp_uid, "merchant_uid": paid.merchant_uid}
                self.owned.special[path] = names

    async def quick(self) -> None:
        """A member of quick pay, and an order that is announced."""
        uid = self.order()
        member = await join(self.world.of(self.owned.shop))
        announced = {name: VALUES[name] for name in ("btid", "cust_ip", "code_verifier")}
        await self.ask("POST", f"/kcpquick/prepare/{uid}", **announced)
        self.owned.special["/kcpquick/members"] = {"member_id": member}
        self.owned.special["/kcpquick/members/{member_id}/fido"] = {
            "member_id": await join(self.world.of(self.owned.shop))
        }
        pin, _ = await check_pin(self.world.of(self.owned.shop), member)
        of_pin = {"member_id": member, "imp_uid": pin.imp_uid, "merchant_uid": self.order()}
        self.owned.special["/kcpquick/payment/money"] = of_pin
        customer = f"{self.owned.shop.merchant.name}-quick-{next(_NUMBERS)}"
        card = {name: VALUES[name] for name in ("card_number", "expiry")}
        await self.ask(
            "POST",
            f"/subscribe/customers/{customer}",
            **card,
            channel_key=own_channel(self.owned.shop)["channel_key"],
        )
        for path in ("/kcpquick/autopay", "/kcpquick/payment/autopay"):
            self.owned.special[path] = {"customer_uid": customer, "merchant_uid": self.order()}
        self.owned.special["/kcpquick/prepare"] = {"merchant_uid": uid}


_OF_PAYMENT = ("point", "confirm", "cash-amount")
KINDS = (
    "payment",
    "announced",
    "account",
    "customer",
    "schedule",
    "person",
    "cash",
    "barcode",
    "goods",
    "quick",
)
