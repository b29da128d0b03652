"""The demo shop's back office, for the certifier: an order that nobody filled in a form for.

python back_office.py AMOUNT       an order whose price is the nearest that there is
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


if __name__ == "__main__":
    books = Orders(Path(os.environ["DATABASE"]))
    print(json.dumps(place(books, int(sys.argv[1]))))
