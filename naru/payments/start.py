"""Open a payment: the row exists, then the browser learns where the PG's window is."""

from __future__ import annotations

from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from typing import Any

from naru.connectors import WindowOrder
from naru.domain.channel import Channel
from naru.domain.deadline import account_due
from naru.domain.errors import (
    AlreadyClaimed,
    AlreadyPaid,
    BadAmount,
    BadCustomerUid,
    BadRequest,
    PgBusy,
    PgRefused,
    TestChannelRefused,
)
from naru.domain.ids import ImpUid, MerchantUid, hash_secret, is_customer_uid
from naru.domain.merchant import Merchant
from naru.domain.money import Money
from naru.domain.outcome import Declined
from naru.domain.payment import Buyer, Payment, Step, Surface
from naru.domain.pg_profile import profile
from naru.domain.points import reach
from naru.domain.prepared import check_prepared
from naru.domain.text import is_storable
from naru.domain.window import WindowPlan
from naru.domain.window_rules import read_rules
from naru.payments.abandon import abandon
from naru.payments.gateway import Gateway
from naru.store import Session

NAMES_TRIED = 8


@dataclass(frozen=True, slots=True)
class Opening:
    """What a door has read, checked and translated from request_pay, POST /vbanks or a charge.

    `request` is what the merchant's page gave, whole; unknown keys are kept there.
    `announced_binds`: the amount must be the announced one, if one was announced (browsers; i'mport
    ties that check to request_pay alone).
    """

    merchant: Merchant
    channel: Channel
    merchant_uid: MerchantUid
    amount: Money
    surface: Surface
    pay_method: str
    tax_free: Money | None = None
    vat: Money | None = None
    name: str | None = None
    buyer: Buyer = field(default_factory=Buyer)
    custom_data: str | None = None
    user_agent: str | None = None
    language: str = "ko"
    escrow: bool = False
    webhook_urls: tuple[str, ...] = ()
    confirm_url: str | None = None
    return_url: str | None = None
    app_scheme: str | None = None
    page_origin: str | None = None
    window_mode: str = "iframe"
    callback_shape: str = "full"
    request_id: str | None = None
    request: dict[str, Any] = field(default_factory=dict)
    customer_uid: str | None = None
    customer_uid_usage: str | None = None
    announced_binds: bool = True


async def start(gateway: Gateway, opening: Opening) -> tuple[Payment, str]:
    """Write the payment as opened. Returns it with the secret of its window (only its hash is kept).

    No PG is called. Raises BadAmount, BadRequest, TestChannelRefused, PgBusy, AlreadyPaid (F1002)
    and PreparedDiffers; then no payment exists.
    """
    merchant, channel = opening.merchant, opening.channel
    check_opening(opening)
    if not gateway.pg_load.has_room(channel.id):
        raise PgBusy
    now = gateway.now()
    # Read now, so that a bad date is refused here and not at the PG's door.
    account_due(opening.request.get("vbank_due"), now)
    secret = gateway.ids.secret()
    payment = new_payment(gateway, opening, now, gateway.ids.pg_order_no())
    announced_binds = opening.announced_binds and bool(opening.amount)
    reach("start.before_open")
    hashed = hash_secret(secret)
    async with gateway.store.direct() as session:
        if opening.customer_uid_usage == "issue" and opening.surface is not Surface.API:
            await _check_consent(session, opening)
        opened = None
        if announced_binds:
            opened = await session.payments.open(payment, hashed, if_free=True)
        if opened is None:
            # Something is in the way, or seems to be: what it is decides the refusal.
            if await session.payments.taken(merchant.id, opening.merchant_uid) is not None:
                raise AlreadyPaid
            if announced_binds:
                check_prepared(
                    await session.prepared.get(merchant.id, opening.merchant_uid),
                    opening.amount,
                    gateway.assumed_currency(channel.pg_code),
                )
            opened = await session.payments.open(payment, hashed)
        for _ in range(NAMES_TRIED):
            if opened is not None:
                reach("start.after_open")
                return opened, secret
            # The ten-to-the-twelfth part of a chance, per payment that exists already.
            payment = replace(payment, imp_uid=_new_uid(gateway, opening.surface))
            opened = await session.payments.open(payment, hashed)
    raise RuntimeError("no free imp_uid")


def check_opening(opening: Opening) -> None:
    """Is this something that may be paid at all? Raises TestChannelRefused, BadAmount and BadRequest."""
    merchant, channel = opening.merchant, opening.channel
    if channel.test and not merchant.allow_test_channels:
        raise TestChannelRefused
    tax_free = opening.tax_free or Money(0, opening.amount.currency)
    nothing = not opening.amount and opening.customer_uid_usage != "issue"
    if nothing or tax_free > opening.amount:
        raise BadAmount
    if opening.vat is not None and opening.vat + tax_free > opening.amount:
        raise BadAmount("vat_amount 가 결제금액보다 클 수 없습니다.")
    for name, value in _said(opening):
        if not is_storable(value):
            raise BadRequest(f"{name} 에 사용할 수 없는 문자가 있습니다.")
    if opening.customer_uid is not None and not is_customer_uid(opening.customer_uid):
        raise BadCustomerUid
    manners = profile(channel.pg_code)
    if opening.amount.currency in manners.refuses_currency:
        raise BadRequest(
            f"{channel.pg_code} 은(는) {opening.amount.currency} 결제를 지원하지 않습니다."
        )


def new_payment(gateway: Gateway, opening: Opening, now: datetime, pg_order_no: str) -> Payment:
    """The payment of this opening as it begins, not written yet."""
    zero = Money(0, opening.amount.currency)
    merchant, channel = opening.merchant, opening.channel
    return Payment(
        imp_uid=_new_uid(gateway, opening.surface),
        merchant_id=merchant.id,
        merchant_uid=opening.merchant_uid,
        channel_id=channel.id,
        pg_code=channel.pg_code,
        mid=channel.mid,
        sandbox=channel.test,
        surface=opening.surface,
        pay_method=opening.pay_method,
        step=Step.OPENED,
        version=1,
        amount=opening.amount,
        cancelled=zero,
        tax_free=opening.tax_free or zero,
        vat=opening.vat,
        pg_order_no=pg_order_no,
        started_at=now,
        name=opening.name,
        buyer=opening.buyer,
        custom_data=opening.custom_data,
        user_agent=opening.user_agent,
        language=opening.language,
        escrow=opening.escrow,
        webhook_urls=opening.webhook_urls,
        confirm_url=opening.confirm_url,
        return_url=opening.return_url,
        app_scheme=opening.app_scheme,
        page_origin=opening.page_origin,
        window_mode=opening.window_mode,
        callback_shape=opening.callback_shape,
        request_id=opening.request_id,
        request=opening.request,
        customer_uid=opening.customer_uid,
        customer_uid_usage=opening.customer_uid_usage,
    )


async def _check_consent(session: Session, opening: Opening) -> None:
    """A browser puts no card in the place of another: only the merchant's server does.

    Whoever opens the page could else have somebody's customer_uid charge a card of their own. That the
    order was announced is no consent: it names an order and not a customer.
    """
    merchant_id, customer_uid = opening.merchant.id, opening.customer_uid
    assert customer_uid is not None, "a key is issued for a customer"
    if await session.billing_keys.get(merchant_id, customer_uid) is not None:
        raise BadRequest(
            "이미 빌링키가 등록된 customer_uid 입니다. 빌링키를 변경하려면 가맹점 서버에서 먼저 "
            "삭제(DELETE /subscribe/customers/{customer_uid})한 뒤 다시 요청해주세요."
        )


async def enter_window(
    gateway: Gateway, payment: Payment, merchant: Merchant, channel: Channel | None = None
) -> WindowPlan:
    """Ask the PG where this payment's window is. May be asked again: the PG answers the same.

    The payment's channel is read unless the caller has it at hand.
    Raises AlreadyClaimed when the window has been used, PgBusy, and PgRefused when the PG cannot open
    one (the payment is failed then, with the PG's words).
    """
    if payment.step is not Step.OPENED:
        raise AlreadyClaimed
    if channel is None:
        async with gateway.store.direct() as session:
            channel = await session.channels.get(payment.channel_id)
    assert channel is not None, "a payment's channel is never deleted"
    order = WindowOrder(
        payment=payment,
        merchant_name=merchant.name,
        return_url=gateway.return_url(payment),
        notice_url=gateway.notice_url(channel),
        frame_ancestors=frame_ancestors(payment),
        rules=read_rules(
            payment.request,
            profile(payment.pg_code),
            mobile=payment.surface is Surface.MOBILE,
            amount_minor=payment.amount.minor,
            currency=payment.amount.currency,
        ),
        account_due=account_due(payment.request.get("vbank_due"), payment.started_at)
        if payment.pay_method == "vbank"
        else None,
    )
    with gateway.pg_load.asking(channel.id):
        plan = await gateway.connector_of(channel).prepare(channel, order)
    reach("window.after_pg")
    if isinstance(plan, Declined):
        await abandon(gateway, payment.imp_uid, plan.code, plan.message)
        raise PgRefused(plan.code, plan.message)
    return plan


def frame_ancestors(payment: Payment) -> tuple[str, ...]:
    """Who may frame this payment's pages: the page that opened it, and only as a layer."""
    if payment.window_mode != "iframe" or not payment.page_origin:
        return ()
    return (payment.page_origin,)


def _said(opening: Opening) -> list[tuple[str, Any]]:
    """Everything in words that the merchant's page or the buyer's browser gave."""
    given: dict[str, Any] = {each.name: getattr(opening, each.name) for each in fields(opening)}
    buyer = {each.name: getattr(opening.buyer, each.name) for each in fields(opening.buyer)}
    for other in ("merchant", "channel", "amount", "tax_free", "vat", "buyer"):
        del given[other]
    return [*given.items(), *(("buyer_" + name, value) for name, value in buyer.items())]


def _new_uid(gateway: Gateway, surface: Surface) -> ImpUid:
    return gateway.ids.api_imp_uid() if surface is Surface.API else gateway.ids.imp_uid()
