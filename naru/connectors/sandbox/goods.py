"""The products of a payment, as the merchant's page named them (`naverProducts`), in the sandbox's words.

All of it was chosen in the buyer's browser: what cannot be read is left out, and the PG shares out
what was paid when the prices do not add up to it. Source: protocol facts, flows §16.
"""

from __future__ import annotations

from typing import Any

from naru.domain.errors import BadAmount
from naru.domain.money import Money
from naru.domain.payment import Payment
from naru.domain.text import clean

PRODUCTS_MAX = 50
QUANTITY_MAX = 9_999
NAME_CHARACTERS_MAX = 120


def products_of(payment: Payment) -> list[dict[str, Any]]:
    """One entry for each product, or for each of its options; empty when the page named none."""
    given = payment.request.get("naverProducts")
    products = [each for each in given if isinstance(each, dict)] if isinstance(given, list) else []
    lines: list[dict[str, Any]] = []
    for product in products[:PRODUCTS_MAX]:
        options = product.get("options")
        chosen = (
            [each for each in options if isinstance(each, dict)]
            if isinstance(options, list)
            else []
        )
        lines += [_line(product, each, payment.amount.currency) for each in chosen or [{}]]
    paying: set[str] = set()
    for line, shipping in zip(lines, _shipping(products, lines), strict=True):
        group, fee = shipping
        # Products of one shipping group travel together: the first pays.
        line["delivery_amount"] = 0 if group in paying else fee
        paying.add(group)
    return lines[:PRODUCTS_MAX]


def _line(product: dict[str, Any], option: dict[str, Any], currency: str) -> dict[str, Any]:
    quantity = _whole(option.get("optionQuantity")) or _whole(
        product.get("quantity") or product.get("count")
    )
    quantity = min(max(quantity or 1, 1), QUANTITY_MAX)
    price = _minor(product.get("basePrice"), currency)
    extra = _minor(option.get("optionPrice"), currency) or 0
    return {
        "product_id": _text(product.get("id") or product.get("uid")) or "item",
        "name": _text(product.get("name")) or "item",
        "option_id": _text(option.get("selectionCode")),
        "option_name": _text(_selected(option)),
        "quantity": quantity,
        "amount": None if price is None else min((price + extra) * quantity, 10**12),
    }


def _shipping(products: list[dict[str, Any]], lines: list[dict[str, Any]]) -> list[tuple[str, int]]:
    """The shipping group and fee of each line, by its product."""
    found: dict[str, tuple[str, int]] = {}
    for product in products:
        shipping = product.get("shipping")
        name = _text(product.get("id") or product.get("uid")) or "item"
        if isinstance(shipping, dict) and shipping.get("feePayType") != "CASH_ON_DELIVERY":
            fee = _minor(shipping.get("baseFee"), "KRW") or 0
            found.setdefault(name, (_text(shipping.get("groupId")) or name, fee))
    return [found.get(line["product_id"], (line["product_id"], 0)) for line in lines]


def _selected(option: dict[str, Any]) -> str | None:
    """The chosen values: "빨강 / L"."""
    selections = option.get("selections")
    if not isinstance(selections, list):
        return None
    values = [each.get("value") for each in selections if isinstance(each, dict)]
    return " / ".join(each for each in values if isinstance(each, str)) or None


def _text(value: object) -> str:
    if isinstance(value, int) and not isinstance(value, bool):
        value = str(value)
    return clean(value)[:NAME_CHARACTERS_MAX] if isinstance(value, str) else ""


def _whole(value: object) -> int:
    if isinstance(value, str) and value.isascii() and value.isdigit() and len(value) <= 6:
        return int(value)
    return value if isinstance(value, int) and not isinstance(value, bool) else 0


def _minor(value: object, currency: str) -> int | None:
    """A price in the smallest unit; None for what is none."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    try:
        minor = Money.from_wire(value, currency).minor
    except (BadAmount, ValueError):
        return None
    return minor if 0 <= minor <= 10**12 else None
