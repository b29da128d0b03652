"""Lay the webhook that a change earned, in the transaction of that change (protocol: webhook.md §1, §4)."""

from __future__ import annotations

import hashlib

from naru.domain.merchant import Merchant
from naru.domain.outcome import EscrowChanged
from naru.domain.payment import SCHEDULED, Cancellation, Payment, Status, Step
from naru.store import Session
from naru.store.queue import DELIVER_WEBHOOK
from naru.webhooks.payload import Event, write_payload

# What a payment that reached this step is announced as. A failure is not announced: i'mport sends
# nothing when a window fails, a buyer gives up or an account is closed. Only of what a schedule tried
# is either end told (webhook.md §1): nobody else was there to see it.
ESCROW_TOLD = ("html5_inicis", "inicis")
_EARNS = {Step.PAID: "paid", Step.WAITING_DEPOSIT: "ready"}


async def announce(
    session: Session,
    merchant: Merchant,
    payment: Payment,
    *,
    cancellation: Cancellation | None = None,
    enable_webhook: bool = False,
) -> int:
    """Lay one webhook per address in the outbox and ask for its delivery; answers how many.

    Call it in the transaction that changed the payment, with the payment as it is now: both become
    true together. With `cancellation` the change is money given back, which is announced only when
    the merchant asked (`enable_webhook`). Repeating it for the same version lays nothing.
    """
    if cancellation is not None:
        status = "cancelled" if enable_webhook else None
    else:
        status = _earned(payment)
    if status is None:
        return 0
    cancellation_id = None if cancellation is None else cancellation.cancellation_id
    return await _lay(session, merchant, payment, status, cancellation_id=cancellation_id)


async def announce_escrow(
    session: Session, merchant: Merchant, payment: Payment, status: Status, told: EscrowChanged
) -> int:
    """Lay what became of the goods of an escrow order, once for each notice of the PG; answers how many.

    The body is i'mport's for KG Inicis (webhook facts §3); no other PG's is known, so others' are not told.
    """
    if payment.pg_code not in ESCROW_TOLD:
        return 0
    extra: dict[str, str | int] = {
        "escrow_status": told.status,
        "changed_at": int(told.changed_at.timestamp()),
    }
    if told.reason is not None:
        extra["denied_reason"] = told.reason
    event = Event("Inicis.Escrow.Changed", extra)
    return await _lay(session, merchant, payment, status, event=event, about=told.notice_key)


async def _lay(
    session: Session,
    merchant: Merchant,
    payment: Payment,
    status: str,
    *,
    cancellation_id: str | None = None,
    event: Event | None = None,
    about: str = "",
) -> int:
    payload = write_payload(
        imp_uid=payment.imp_uid,
        merchant_uid=payment.merchant_uid,
        status=status,
        cancellation_id=cancellation_id,
        event=event,
        format=merchant.webhook_format,
    )
    laid = 0
    for url in addresses(merchant, payment):
        delivery_id = await session.outbox.lay(
            webhook_id=_webhook_id(payment, url, about),
            merchant_id=payment.merchant_id,
            imp_uid=payment.imp_uid,
            version=payment.version,
            status=status,
            cancellation_id=cancellation_id,
            url=url,
            content_type=payload.content_type,
            body=payload.body,
            mode=merchant.webhook_mode,
        )
        if delivery_id is not None:
            # Named as the timetable names it, which then leaves a long line alone.
            await session.queue.ask(
                DELIVER_WEBHOOK, str(delivery_id), once=f"deliver {delivery_id}"
            )
            laid += 1
    return laid


def earns_webhook(payment: Payment) -> bool:
    """Is the merchant told that this payment is as it is?"""
    return _earned(payment) is not None


def _earned(payment: Payment) -> str | None:
    if payment.step is Step.FAILED and payment.customer_uid_usage == SCHEDULED:
        return "failed"
    return _EARNS.get(payment.step)


def addresses(merchant: Merchant, payment: Payment) -> tuple[str, ...]:
    """Where this payment is announced: its own addresses replace the merchant's one."""
    if payment.webhook_urls:
        return tuple(dict.fromkeys(payment.webhook_urls))
    return (merchant.webhook_url,) if merchant.webhook_url else ()


def _webhook_id(payment: Payment, url: str, about: str) -> str:
    # Made from what it names: announcing the same again cannot make a second id. What is told is a
    # change of the payment, or `about` a notice of its PG, whatever the payment's version is by then.
    of_payment = (payment.imp_uid, str(payment.version), url)
    text = "\0".join((payment.imp_uid, "notice", about, url) if about else of_payment)
    return f"msg_{hashlib.sha256(text.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"
