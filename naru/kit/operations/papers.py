"""Cash receipts and parcels. Source: V1, REST facts §8, §9."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict, Unpack

from naru.kit.operations.asked import Money, wired
from naru.kit.operations.call import Call, imp_uid_of, money_of, segment_of, text_of
from naru.kit.records import Receipt, Shipment
from naru.kit.types import Facts

IdentifierType = Literal["person", "business", "phone", "taxcard"]


class ReceiptMore(TypedDict, total=False):
    """What some PGs want on a receipt."""

    type: Literal["person", "company"]
    identifier_type: IdentifierType
    product_type: Literal["real", "digital"]
    buyer_name: str
    buyer_email: str
    buyer_tel: str
    tax_free: Money
    vat_amount: Money
    corp_reg_no: str


def cash_receipt(imp_uid: str) -> Call[Receipt]:
    """The receipt of a payment. Raises NotFound."""
    return Call("GET", f"/receipts/{imp_uid_of(imp_uid)}", Receipt.read, question=True)


def issue_cash_receipt(
    imp_uid: str,
    identifier: str,
    *,
    company_tel: str | None = None,
    company_name: str | None = None,
    **more: Unpack[ReceiptMore],
) -> Call[Receipt]:
    """Issue a receipt for what is left of a payment in cash. `identifier` is a phone or resident number,
    a business's number or a tax card: never log it. Raises Refused (400 twice, 501 a PG that cannot).
    """
    fields = wired(more, identifier=identifier, company_tel=company_tel, company_name=company_name)
    return Call("POST", f"/receipts/{imp_uid_of(imp_uid)}", Receipt.read, fields=fields)


def cancel_cash_receipt(imp_uid: str) -> Call[Receipt]:
    """Take the receipt of a payment back."""
    return Call("DELETE", f"/receipts/{imp_uid_of(imp_uid)}", Receipt.read)


def external_receipt(merchant_uid: str) -> Call[Receipt]:
    """The receipt of cash that you took yourself. Raises NotFound."""
    return Call("GET", _external(merchant_uid), Receipt.read, question=True)


def issue_external_receipt(
    merchant_uid: str,
    *,
    identifier: str,
    name: str,
    amount: Money,
    channel_key: str | None = None,
    pay_method: Literal["trans", "vbank"] | None = None,
    **more: Unpack[ReceiptMore],
) -> Call[Receipt]:
    """Issue a receipt for cash that you took yourself. Raises Refused (400) for an order that has one."""
    own = {
        "identifier": identifier,
        "name": name,
        "amount": money_of(amount),
        "channel_key": channel_key,
        "pay_method": pay_method,
    }
    return Call("POST", _external(merchant_uid), Receipt.read, fields=wired(more, **own))


def cancel_external_receipt(merchant_uid: str) -> Call[Receipt]:
    """Take the receipt of an order back."""
    return Call("DELETE", _external(merchant_uid), Receipt.read)


class Part(TypedDict, total=False):
    """One seller's part of a payment on a slip."""

    business_registration_number: str
    company_name: str
    amount: Money
    tax_free: Money
    vat_amount: Money


def issue_partner_receipt(imp_uid: str, parts: Sequence[Part]) -> Call[str]:
    """A slip that names the sellers behind one payment (html5_inicis); answers its address."""
    fields = wired({}, data=[dict(part) for part in parts])
    return Call("POST", f"/partners/receipts/{imp_uid_of(imp_uid)}", _receipt_url, fields=fields)


class Place(TypedDict, total=False):
    """Who sends or receives a parcel."""

    name: str
    tel: str
    addr: str
    postcode: str
    relationship: str
    formed_address: Mapping[str, str]


class Goods(TypedDict, total=False):
    """A product in a parcel."""

    id: str
    name: str
    amount: Money
    code: str
    currency: str
    quantity: int
    tag: str


def shipment(imp_uid: str) -> Call[Shipment]:
    """The parcel of an escrow payment. Raises NotFound, and Refused (409) while none is told."""
    return Call("GET", _logis(imp_uid), Shipment.read, question=True)


def register_shipment(
    imp_uid: str,
    *,
    sender: Place,
    receiver: Place,
    company: str,
    invoice: str,
    sent_at: datetime,
    receiving_at: str | None = None,
    address: str | None = None,
    products: Sequence[Goods] | None = None,
    send_email: bool | None = None,
) -> Call[Shipment]:
    """Tell the PG that the goods of an escrow payment left. `company` is a courier's code (§11.3)."""
    fields = _parcel(sender, receiver, company, invoice, sent_at, receiving_at, address, products)
    if send_email is not None:
        fields["send_email"] = send_email
    return Call("POST", _logis(imp_uid), Shipment.read, fields=fields)


def change_shipment(
    imp_uid: str,
    *,
    sender: Place,
    receiver: Place,
    company: str,
    invoice: str,
    sent_at: datetime,
    receiving_at: str | None = None,
    address: str | None = None,
    products: Sequence[Goods] | None = None,
) -> Call[Shipment]:
    """Correct what was told about a parcel."""
    fields = _parcel(sender, receiver, company, invoice, sent_at, receiving_at, address, products)
    return Call("PUT", _logis(imp_uid), Shipment.read, fields=fields)


def _parcel(
    sender: Place,
    receiver: Place,
    company: str,
    invoice: str,
    sent_at: datetime,
    receiving_at: str | None,
    address: str | None,
    products: Sequence[Goods] | None,
) -> dict[str, Any]:
    logis = {
        "company": company,
        "invoice": invoice,
        "sent_at": sent_at,
        "receiving_at": receiving_at,
        "address": address,
    }
    goods = None if products is None else [dict(each) for each in products]
    return wired({}, sender=sender, receiver=receiver, logis=logis, products=goods)


def _logis(imp_uid: str) -> str:
    return f"/escrows/logis/{imp_uid_of(imp_uid)}"


def _external(merchant_uid: str) -> str:
    segment = segment_of("merchant_uid", text_of("merchant_uid", merchant_uid))
    return f"/receipts/external/{segment}"


def _receipt_url(value: Any) -> str:
    return Facts(value, "slip").needed_text("receipt_url")
