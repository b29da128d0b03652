"""Put the sub-shops that share a payment on its sales slip (하위 상점 거래 등록)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from naru.connectors import Can
from naru.domain.cash_receipt import SPLIT_SLIP, Tax
from naru.domain.errors import BadRequest, ExceedsBalance, NoSuchPayment, NotSupported
from naru.domain.money import Money
from naru.domain.once import Once
from naru.domain.payment import Step
from naru.domain.shipping import Errand
from naru.domain.text import is_storable
from naru.payments.gateway import Gateway
from naru.payments.run_errand import ask, run

UNSUPPORTED = "하위 상점 거래 등록을 지원하지 않는 PG사입니다."


@dataclass(frozen=True, slots=True)
class SubShop:
    """One of the shops that share a payment: ten digits, a name, and its part."""

    business_number: str
    name: str
    tax: Tax


async def split_slip(
    gateway: Gateway,
    merchant_id: int,
    imp_uid: str,
    shops: Sequence[SubShop],
    once: Once | None = None,
) -> Errand:
    """Tell the PG who shares this payment; what was told before is replaced.

    Raises NoSuchPayment, NotSupported, BadRequest (not paid), ExceedsBalance, ErrandInProgress, Superseded;
    PgRefused with the PG's words; OutcomeUnknown when the PG did not answer: the worker tells it again.
    """
    if not all(is_storable(shop.name) for shop in shops):
        raise BadRequest("사용할 수 없는 문자가 있습니다.")
    async with gateway.store.begin() as tx:
        payment = await tx.payments.lock(imp_uid, merchant_id)
        if payment is None:
            raise NoSuchPayment
        channel = await tx.channels.get(payment.channel_id)
        assert channel is not None, "a payment's channel is never deleted"
        if (
            Can.SPLIT_SLIP not in gateway.connector_of(channel).can
            or channel.pg_code not in SPLIT_SLIP
        ):
            raise NotSupported(UNSUPPORTED)
        if payment.step is not Step.PAID:
            raise BadRequest("결제완료된 결제건이 아닙니다.")
        total = Money(sum(shop.tax.amount.minor for shop in shops), payment.amount.currency)
        if total > payment.balance:
            raise ExceedsBalance("하위 상점 금액의 합이 결제금액을 초과하였습니다.")
        said = {
            "tid": payment.pg_tid,
            "shops": [
                {
                    "business_number": shop.business_number,
                    "name": shop.name,
                    "amount": shop.tax.amount.minor,
                    "tax_free": shop.tax.tax_free.minor,
                    "vat": shop.tax.vat.minor,
                }
                for shop in shops
            ],
        }
        errand = await ask(gateway, tx, payment, "split_slip", said, once)
    return await run(gateway, channel, errand)
