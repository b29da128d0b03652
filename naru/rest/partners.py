"""Sub-shops that share a payment, put on its sales slip. Source: protocol facts, REST §8."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from naru.domain.cash_receipt import Tax
from naru.domain.errors import NoSuchPayment, NotSupported
from naru.domain.money import Money
from naru.domain.shipping import Errand
from naru.payments.split_slip import SubShop, split_slip
from naru.rest import messages
from naru.rest.coerce import Each, Text, malformed, number
from naru.rest.envelope import Answer, HttpRefusal, not_known_yet, success
from naru.rest.operation import Call, Operation
from naru.rest.orders_at_pg import errand_of

SHOPS_MAX = 100
_BUSINESS_NUMBER = re.compile(r"[0-9]{10}")


class SubShopRow(msgspec.Struct):
    """One sub-shop and its part. VAT is an eleventh of what is taxed unless it is told."""

    business_registration_number: Annotated[str, Text(12)]
    company_name: Annotated[str, Text(100)]
    amount: Annotated[str | int | Decimal, number]
    tax_free: Annotated[str | int | Decimal, number] | None = None
    vat_amount: Annotated[str | int | Decimal, number] | None = None


class SplitSlip(msgspec.Struct):
    """What `POST /partners/receipts/{imp_uid}` takes."""

    imp_uid: Annotated[str, Text()]
    data: Annotated[tuple[SubShopRow, ...], Each(SubShopRow, SHOPS_MAX)]


class PartnerReceiptAnnotation(msgspec.Struct, frozen=True):
    """Where the slip with its sub-shops is shown."""

    receipt_url: str


async def split(call: Call, request: SplitSlip) -> Answer:
    """Put the sub-shops on the slip; a later call replaces them. 404 unknown, 400 not paid, 501 unless html5_inicis."""
    async with call.gateway.store.direct() as session:
        payment = await session.payments.get_of_merchant(request.imp_uid, call.merchant_id)
    if payment is None:
        raise HttpRefusal(404, messages.NO_PAYMENT)
    shops = [_shop(row, payment.amount.currency) for row in request.data]
    try:
        errand = await split_slip(call.gateway, call.merchant_id, request.imp_uid, shops, call.once)
    except NoSuchPayment:
        raise HttpRefusal(404, messages.NO_PAYMENT) from None
    except NotSupported:
        raise HttpRefusal(501, messages.SLIP_UNSUPPORTED) from None
    return success(_annotation(errand))


async def recall_split(call: Call, request: Any, errand_number: str) -> Answer:
    """What became of the errand with this number."""
    errand = await errand_of(call, errand_number)
    return not_known_yet(None) if errand.state == "asking" else success(_annotation(errand))


def _shop(row: SubShopRow, currency: str) -> SubShop:
    digits = row.business_registration_number.replace("-", "").strip()
    if not (_BUSINESS_NUMBER.fullmatch(digits) and digits.isascii()):
        raise malformed("business_registration_number")
    amount = Money.from_wire(row.amount, currency)
    if not amount:
        raise malformed("amount")
    free = None if row.tax_free is None else Money.from_wire(row.tax_free, currency)
    vat = None if row.vat_amount is None else Money.from_wire(row.vat_amount, currency)
    return SubShop(digits, row.company_name, Tax.of(amount, free, vat))


def _annotation(errand: Errand) -> PartnerReceiptAnnotation:
    return PartnerReceiptAnnotation(receipt_url=str(errand.became.get("receipt_url", "")))


OPERATIONS = (
    Operation(
        "POST",
        "/partners/receipts/{imp_uid}",
        SplitSlip,
        "매출전표 하위 상점 등록",
        "partners",
        split,
        recall=recall_split,
        answer=PartnerReceiptAnnotation,
        english="Put sub-shops on the sales slip of a payment",
    ),
)
