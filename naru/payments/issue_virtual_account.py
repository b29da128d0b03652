"""A virtual account asked for by the merchant's server, without a window."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from datetime import datetime

from naru.connectors import AccountOrder, Can
from naru.domain.deadline import check_due
from naru.domain.errors import (
    AlreadyClaimed,
    AlreadyPaid,
    BadRequest,
    OutcomeUnknown,
    PgBusy,
    PgRefused,
    Refused,
)
from naru.domain.once import Once
from naru.domain.outcome import AccountIssued, Declined, Outcome, Unknown
from naru.domain.payment import Payment, Step
from naru.domain.points import reach
from naru.payments.abandon import abandon
from naru.payments.claim import claim
from naru.payments.gateway import Gateway
from naru.payments.settle import settle_approval
from naru.payments.start import Opening, start


async def issue_virtual_account(
    gateway: Gateway,
    opening: Opening,
    *,
    bank_code: str,
    holder: str | None,
    due: datetime,
    once: Once | None = None,
) -> Payment:
    """Issue an account that waits for its deposit until `due`.

    Raises what `start` raises, BadRequest (deadline, PG without this power), PgRefused with the
    PG's words, Superseded (another try of the same Idempotency-Key has the word), OutcomeUnknown when the PG did not answer (the worker finds out).
    """
    channel = opening.channel
    connector = gateway.connector_of(channel)
    if Can.ISSUE_ACCOUNT not in connector.can:
        raise BadRequest("API 가상계좌 발급을 지원하지 않는 PG사입니다.")
    check_due(due, gateway.now())

    async def ask(claimed: Payment) -> AccountIssued | Declined | Unknown:
        order = AccountOrder(
            order_no=claimed.pg_order_no,
            amount=claimed.amount,
            bank_code=bank_code,
            holder=holder,
            due=due,
            name=claimed.name,
            merchant_name=opening.merchant.name,
            merchant_uid=claimed.merchant_uid,
            notice_url=gateway.notice_url(channel),
            buyer=claimed.buyer,
        )
        return await connector.issue_account(channel, order)

    return await issue_number(gateway, opening, ask, once)


async def issue_number(
    gateway: Gateway,
    opening: Opening,
    ask: Callable[[Payment], Awaitable[AccountIssued | Declined | Unknown]],
    once: Once | None,
) -> Payment:
    """Have the PG issue a number that money is paid into later: an account's, or a barcode's.

    `ask` puts the question for the claimed payment. Raises as `issue_virtual_account` does.
    """
    channel = opening.channel
    payment, _ = await start(gateway, opening)
    try:
        claimed = await claim(
            gateway, payment, None, {}, once, announced_binds=opening.announced_binds
        )
    except Refused as refused:
        # Something was faster by a moment; nobody else will end this payment.
        code = "F1002" if isinstance(refused, AlreadyPaid) else "F400"
        await abandon(gateway, payment.imp_uid, code, refused.sentence)
        raise
    if claimed is None:
        raise AlreadyClaimed
    outcome: Outcome
    try:
        with gateway.pg_load.asking(channel.id):
            outcome = await ask(claimed)
        gateway.pg_load.heard(channel.id, outcome)
    except PgBusy as busy:
        outcome = Declined("F500", busy.sentence)  # Not asked, so nothing was issued.
    reach("account.after_pg")

    settled = await settle_approval(gateway, claimed, channel, outcome)
    if settled.step is Step.FAILED:
        raise PgRefused(settled.fail_code or "", settled.fail_reason or "")
    if settled.step is not Step.WAITING_DEPOSIT:
        raise OutcomeUnknown
    return settled
