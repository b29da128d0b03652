"""The demo shop's back office, for the certifier: an order that nobody filled in a form for.

python back_office.py AMOUNT       an order whose price is the nearest that there is

It writes the row itself: the shop's own modules bring the whole kit along, which is most of what a
hundred and more starts of this program would cost.
"""

import json
import os
import secrets
import sqlite3
import sys
import time

from naru.shop.goods import PRODUCTS, QUANTITY_MAX, price

COLUMNS = (
    "merchant_uid, visitor, product_key, quantity, amount_minor, currency,"
    " buyer_name, buyer_tel, buyer_email, buyer_addr, buyer_postcode, placed_at"
)
BUYER = ("홍길동", "010-4242-4242", "gildong@example.com", "서울특별시 강남구", "01181")


def place(database: sqlite3.Connection, amount: int) -> dict[str, object]:
    """The shop sells at its own prices, so it is asked for what comes nearest."""
    offers = [
        (product, quantity)
        for product in PRODUCTS.values()
        if product.currency == "KRW"
        for quantity in range(1, QUANTITY_MAX + 1)
    ]
    product, quantity = min(offers, key=lambda offer: abs(price(*offer) - amount))
    number, cost = f"NR-{secrets.token_hex(13).upper()}", price(product, quantity)
    row = (number, "certifier", product.key, quantity, cost, "KRW", *BUYER, int(time.time()))
    with database:
        database.execute(
            f"INSERT INTO orders ({COLUMNS}) VALUES ({', '.join('?' * len(row))})", row
        )
    return {"merchant_uid": number, "amount": cost}


if __name__ == "__main__":
    books = sqlite3.connect(os.environ["DATABASE"], timeout=5)
    print(json.dumps(place(books, int(sys.argv[1]))))
