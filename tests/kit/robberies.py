"""One robbery for each of the five checks, against a till in memory and a gateway over HTTP.

`succeeded()` names those that got goods out of the house. Two of the shops have a database that
helps less than it should, because the kit's own check must hold there, too.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from naru.kit import Client, Finaliser
from naru.kit.orders import StoredOrder
from naru.kit.orders.memory import MemoryDesk, MemoryOrders
from tests.support.stand_in_gateway import API_KEY, API_SECRET, StandInGateway

CHAIR = 64_900


class _LaxDesk(MemoryDesk):
    """Finds "ORDER-1" for "order-1", as MySQL does, and lets one payment have two orders."""

    def find(self, merchant_uid: str) -> StoredOrder | None:
        rows = self.session.values()
        return next((row for row in rows if row.merchant_uid.lower() == merchant_uid.lower()), None)

    def change(self, before: StoredOrder, after: StoredOrder) -> bool:
        if self.session[before.merchant_uid] != before:
            return False
        self.session[before.merchant_uid] = after
        return True


class _LaxOrders(MemoryOrders):
    @contextmanager
    def begin(self) -> Iterator[MemoryDesk]:
        with super().begin() as desk:
            yield _LaxDesk(desk.session)


class House:
    """A shop with two chairs on order, and its gateway."""

    def __init__(self, gateway: StandInGateway, client: Client, orders: MemoryOrders) -> None:
        self.gateway = gateway
        self.parcels: list[str] = []
        for number in ("ORDER-1", "ORDER-2"):
            orders.place(number, CHAIR)
        self.till = Finaliser(
            client,
            orders,
            fulfil=lambda order, payment, session: self.parcels.append(order.merchant_uid),
            allow_sandbox=True,
        )


def _status(house: House) -> bool:
    """Payments that failed, were never made, or went back, presented as paid."""
    gateway = house.gateway
    returned = gateway.pay("ORDER-2", CHAIR)
    gateway._cancel({"imp_uid": returned})
    house.till.finalise(gateway.fail("ORDER-1", CHAIR))
    house.till.finalise(gateway.pay("ORDER-1", CHAIR, status="ready", paid_at=0))
    house.till.finalise(gateway.issue_account("ORDER-1", CHAIR))
    house.till.finalise(returned)
    return bool(house.parcels)


def _amount(house: House) -> bool:
    """The page was changed: a thousand won for a chair."""
    house.till.finalise(house.gateway.pay("ORDER-1", 1000))
    return bool(house.parcels)


def _currency(house: House) -> bool:
    """64,900 dong are some 3,500 won."""
    house.till.finalise(house.gateway.pay("ORDER-1", CHAIR, currency="VND"))
    return bool(house.parcels)


def _merchant_uid(house: House) -> bool:
    """A payment for somebody else's order, whose number the database cannot tell from ours."""
    house.till.finalise(house.gateway.pay("order-1", CHAIR))
    return bool(house.parcels)


def _imp_uid(house: House) -> bool:
    """One payment, shown for two orders."""
    imp_uid = house.gateway.pay("ORDER-1", CHAIR)
    house.till.finalise(imp_uid)
    house.gateway.payments[imp_uid]["merchant_uid"] = "ORDER-2"
    house.till.finalise(imp_uid)
    return len(house.parcels) > 1


ROBBERIES: dict[str, tuple[Callable[[House], bool], type[MemoryOrders]]] = {
    "status": (_status, MemoryOrders),
    "amount": (_amount, MemoryOrders),
    "currency": (_currency, MemoryOrders),
    "merchant_uid": (_merchant_uid, _LaxOrders),
    "imp_uid": (_imp_uid, _LaxOrders),
}


def succeeded() -> list[str]:
    """The robberies that got goods."""
    names = []
    with StandInGateway() as gateway, Client(API_KEY, API_SECRET, base_url=gateway.url) as client:
        for name, (rob, orders) in ROBBERIES.items():
            gateway.payments.clear()
            if rob(House(gateway, client, orders())):
                names.append(name)
    return names
