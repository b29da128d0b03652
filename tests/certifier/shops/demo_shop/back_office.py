"""The demo shop's back office, for the certifier: it has no address for this, but it has its books.

python back_office.py place AMOUNT             an order whose price is the nearest that there is
python back_office.py state MERCHANT_UID       how it stands
"""

import json
import os
import sys
from pathlib import Path

from naru.shop.goods import PRODUCTS, QUANTITY_MAX, price
from naru.shop.orders import Buyer, Orders


def place(orders: Orders, amount: int) -> dict[str, object]:
    """The shop sells at its own prices, so it is asked for what comes nearest."""
    offers = [
        (product, quantity)
        for product in PRODUCTS.values()
        if product.currency == "KRW"
        for quantity in range(1, QUANTITY_MAX + 1)
    ]
    product, quantity = min(offers, key=lambda offer: abs(price(*offer) - amount))
    merchant_uid = orders.place(
        visitor="certifier",
        product_key=product.key,
        quantity=quantity,
        amount_minor=price(product, quantity),
        currency="KRW",
        buyer=Buyer("홍길동", "010-4242-4242", "gildong@example.com", "서울특별시 강남구", "01181"),
    )
    return {"merchant_uid": merchant_uid, "amount": price(product, quantity)}


def state(orders: Orders, merchant_uid: str) -> dict[str, object]:
    """How it stands, and how many parcels were packed for it."""
    order = orders.find(merchant_uid)
    if order is None:
        raise SystemExit(f"There is no order {merchant_uid}.")
    paid = order.status == "paid"
    return {
        "status": order.status,
        "fulfilled": orders.parcels(merchant_uid),
        "paid_amount": order.amount_minor - order.cancelled_minor if paid else 0,
    }


if __name__ == "__main__":
    verb, given = sys.argv[1:]
    books = Orders(Path(os.environ["DATABASE"]))
    print(json.dumps(place(books, int(given)) if verb == "place" else state(books, given)))
