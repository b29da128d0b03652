"""Shipping of escrow orders. Source: protocol facts, REST §9 and §11.3, models §8."""

from __future__ import annotations

import re
from datetime import datetime, timedelta, timezone
from decimal import Decimal
from typing import Annotated, Any

import msgspec

from naru.domain.errors import NoSuchPayment, NotSupported
from naru.domain.money import Money
from naru.domain.shipping import AlreadyShipped, Errand, NotShippable, NotShipped, courier
from naru.payments.ship_escrow import ship_escrow
from naru.rest import messages
from naru.rest.coerce import Each, Inner, Seconds, Text, flag, malformed, number, whole
from naru.rest.envelope import Answer, HttpRefusal, not_known_yet, success
from naru.rest.operation import Call, Operation
from naru.rest.orders_at_pg import errand_of

PRODUCTS_MAX = 100
_DAY = re.compile(r"(20[0-9]{2})-?([01][0-9])-?([0-3][0-9])")
_KST = timezone(timedelta(hours=9))


class FormedAddress(msgspec.Struct):
    """An address in two lines."""

    address_line_1: Annotated[str, Text(200)] | None = None
    address_line_2: Annotated[str, Text(200)] | None = None


class Receiver(msgspec.Struct):
    """Who receives."""

    name: Annotated[str, Text(50)] | None = None
    tel: Annotated[str, Text(20)] | None = None
    addr: Annotated[str, Text(200)] | None = None
    postcode: Annotated[str, Text(8)] | None = None
    formed_address: Annotated[FormedAddress, Inner(FormedAddress)] | None = None


class Sender(Receiver):
    """Who sends, and what they are to the receiver."""

    relationship: Annotated[str, Text(20)] | None = None


class Logis(msgspec.Struct):
    """Who carries it. An unknown courier is ETC (REST §11.3). `receiving_at` (daou) tells the day as well as `sent_at`."""

    company: Annotated[str, Text(40)]
    invoice: Annotated[str, Text(100)]
    sent_at: Annotated[int, Seconds()] | None = None
    receiving_at: Annotated[str, Text(10)] | None = None
    address: Annotated[str, Text(200)] | None = None


class Product(msgspec.Struct):
    """One thing that is shipped."""

    id: Annotated[str, Text(100)]
    name: Annotated[str, Text(100)]
    amount: Annotated[str | int | Decimal, number]
    code: Annotated[str, Text(100)] | None = None
    currency: Annotated[str, Text(3)] = "KRW"
    quantity: Annotated[int, whole] = 1
    tag: Annotated[str, Text(100)] | None = None


class ChangeShipment(msgspec.Struct):
    """What `PUT /escrows/logis/{imp_uid}` takes: the whole shipment, in place of the one before."""

    imp_uid: Annotated[str, Text()]
    sender: Annotated[Sender, Inner(Sender)]
    receiver: Annotated[Receiver, Inner(Receiver)]
    logis: Annotated[Logis, Inner(Logis)]
    products: Annotated[tuple[Product, ...], Each(Product, PRODUCTS_MAX)] = ()


class TellShipment(ChangeShipment):
    """What `POST /escrows/logis/{imp_uid}` takes."""

    send_email: Annotated[bool, flag] = True


class OneShipment(msgspec.Struct):
    """A shipment by its payment."""

    imp_uid: Annotated[str, Text()]


class EscrowLogisAnnotation(msgspec.Struct, frozen=True):
    """What stands of a shipment, as the PG took it."""

    applied_at: int
    company: str
    invoice: str
    sent_at: int


async def show(call: Call, request: OneShipment) -> Answer:
    """What the PG was told last. 404 for an unknown payment, 400 for one without escrow, 409 when nothing was told."""
    async with call.gateway.store.direct() as session:
        payment = await session.payments.get_of_merchant(request.imp_uid, call.merchant_id)
        errand = await session.errands.shipment(call.merchant_id, request.imp_uid)
    if payment is None:
        raise HttpRefusal(404, messages.NO_PAYMENT)
    if not payment.escrow:
        raise HttpRefusal(400, messages.NOT_ESCROW)
    if errand is None:
        raise HttpRefusal(409, messages.NO_SHIPMENT)
    return success(_annotation(errand))


async def tell(call: Call, request: TellShipment) -> Answer:
    """Tell a shipment once. 404 unknown, 400 this PG has no escrow, 409 told already or not possible.

    `sender` and `receiver` must be there; which of their fields, is the PG's to say. V1's document: KG Inicis and
    Smartro want `name`, `tel` and `postcode`, Inicis `addr` and Smartro `formed_address`; Kiwoom wants the sender's
    `relationship`, `logis[receiving_at]` and `logis[address]`; Welcome wants `products`. `logis[sent_at]` may be left
    out only beside `receiving_at`.
    """
    return await _ship(call, request, change=False, send_email=request.send_email)


async def change(call: Call, request: ChangeShipment) -> Answer:
    """Tell it anew. 404 unknown, 400 this PG changes none, 409 nothing to change or not possible."""
    return await _ship(call, request, change=True, send_email=True)


async def recall(call: Call, request: Any, errand_number: str) -> Answer:
    """What became of the errand with this number."""
    errand = await errand_of(call, errand_number)
    return not_known_yet(None) if errand.state == "asking" else success(_annotation(errand))


async def _ship(call: Call, request: ChangeShipment, *, change: bool, send_email: bool) -> Answer:
    async with call.gateway.store.direct() as session:
        payment = await session.payments.get_of_merchant(request.imp_uid, call.merchant_id)
    if payment is None:
        raise HttpRefusal(404, messages.NO_PAYMENT)
    if payment.pg_code == "welcome" and not request.products:
        raise HttpRefusal(400, messages.missing("products"))
    shipment = _shipment(request, send_email)
    try:
        errand = await ship_escrow(
            call.gateway, call.merchant_id, request.imp_uid, shipment, change=change, once=call.once
        )
    except NoSuchPayment:
        raise HttpRefusal(404, messages.NO_PAYMENT) from None
    except NotSupported:
        raise HttpRefusal(400, messages.ESCROW_UNSUPPORTED) from None
    except NotShippable:
        raise HttpRefusal(409, messages.NOT_SHIPPABLE) from None
    except AlreadyShipped:
        raise HttpRefusal(409, messages.ALREADY_SHIPPED) from None
    except NotShipped:
        raise HttpRefusal(409, messages.NO_SHIPMENT) from None
    return success(_annotation(errand))


def _shipment(request: ChangeShipment, send_email: bool) -> dict[str, Any]:
    """The shipment in the words of our connectors: one address line, amounts in minor units."""
    logis = request.logis
    day = _day(logis.receiving_at)
    sent_at = logis.sent_at
    if sent_at is None:
        if day is None:
            raise HttpRefusal(400, messages.missing("sent_at"))
        sent_at = int(datetime.strptime(day, "%Y%m%d").replace(tzinfo=_KST).timestamp())
    if not logis.invoice.strip():
        raise HttpRefusal(400, messages.missing("invoice"))
    return {
        "company": courier(logis.company),
        "invoice": logis.invoice,
        "sent_at": sent_at,
        "receiving_at": day,
        "address": logis.address,
        "sender": {**_party(request.sender), "relationship": request.sender.relationship},
        "receiver": _party(request.receiver),
        "products": [_product(each) for each in request.products],
        "send_email": send_email,
    }


def _party(party: Receiver) -> dict[str, str | None]:
    formed = party.formed_address
    lines = () if formed is None else (formed.address_line_1, formed.address_line_2)
    in_one = " ".join(line for line in lines if line)
    return {
        "name": party.name,
        "tel": party.tel,
        "addr": in_one or party.addr,
        "postcode": party.postcode,
    }


def _product(product: Product) -> dict[str, Any]:
    if product.quantity < 1:
        raise malformed("quantity")
    return {
        "id": product.id,
        "name": product.name,
        "code": product.code,
        "amount": Money.from_wire(product.amount, product.currency).minor,
        "currency": product.currency.upper(),
        "quantity": product.quantity,
        "tag": product.tag,
    }


def _day(text: str | None) -> str | None:
    """`YYYYMMDD`, of a day that exists."""
    if text is None:
        return None
    found = _DAY.fullmatch(text.strip())
    try:
        if found is None or not text.isascii():
            raise ValueError
        day = datetime(int(found[1]), int(found[2]), int(found[3]), tzinfo=_KST)
    except ValueError:
        raise malformed("receiving_at") from None
    return f"{day:%Y%m%d}"


def _annotation(errand: Errand) -> EscrowLogisAnnotation:
    became = errand.became
    return EscrowLogisAnnotation(
        applied_at=int(became.get("applied_at", 0)),
        company=str(became.get("company", "")),
        invoice=str(became.get("invoice", "")),
        sent_at=int(became.get("sent_at", 0)),
    )


OPERATIONS = (
    Operation(
        "GET",
        "/escrows/logis/{imp_uid}",
        OneShipment,
        "에스크로 배송정보 조회",
        "escrow.logis",
        show,
        answer=EscrowLogisAnnotation,
        english="What was told of the shipment of an escrow order",
    ),
    Operation(
        "POST",
        "/escrows/logis/{imp_uid}",
        TellShipment,
        "에스크로 배송정보 등록",
        "escrow.logis",
        tell,
        recall=recall,
        answer=EscrowLogisAnnotation,
        english="Tell the shipment of an escrow order",
    ),
    Operation(
        "PUT",
        "/escrows/logis/{imp_uid}",
        ChangeShipment,
        "에스크로 배송정보 수정",
        "escrow.logis",
        change,
        recall=recall,
        answer=EscrowLogisAnnotation,
        english="Change the shipment of an escrow order",
    ),
)
