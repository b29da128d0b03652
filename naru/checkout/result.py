"""What the merchant's page is told: the callback's object and the query of m_redirect_url.

Source: SDK facts §6 and §7. Two shapes exist; which one a payment gets was decided when it was
opened (`payment.callback_shape`).
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any
from urllib.parse import quote

from naru.domain.payment import Payment, Step
from naru.domain.pg_profile import Shape, profile

Result = dict[str, Any]

USER_CANCEL_MINIMAL = "사용자가 결제를 취소하였습니다."
CANCELLED_SINCE = "결제가 취소되었습니다."
FAILED = "결제에 실패하였습니다."


def callback_object(payment: Payment) -> Result:
    """The object of the merchant's callback for a payment that ended.

    Success is an approval or an issued virtual account. Money that was given back before the
    browser heard of it is not a success any more.
    """
    error = error_of(payment)
    if payment.callback_shape == Shape.MINIMAL:
        names: Result = {"imp_uid": payment.imp_uid, "merchant_uid": payment.merchant_uid}
        if payment.customer_uid and error is None:
            names["customer_uid"] = payment.customer_uid
        return names if error is None else names | error
    facts = {"success": error is None} | _full(payment)
    return facts if error is None else facts | error


def error_of(payment: Payment) -> dict[str, str] | None:
    """`error_code` and `error_msg`, the PG's own where it gave some; None for a success."""
    if payment.step in (Step.PAID, Step.WAITING_DEPOSIT):
        return None
    if payment.step is Step.CANCELLED:
        return {"error_code": "F400", "error_msg": CANCELLED_SINCE}
    return {
        "error_code": payment.fail_code or "F400",
        "error_msg": payment.fail_reason or FAILED,
    }


def refusal_object(shape: Shape, merchant_uid: str | None, code: str, sentence: str) -> Result:
    """The object of a callback when no payment came to exist."""
    names: Result = {"imp_uid": None, "merchant_uid": merchant_uid}
    error = {"error_code": code, "error_msg": sentence}
    return names | error if shape is Shape.MINIMAL else {"success": False} | names | error


def user_cancel_words(pg_code: str, callback_shape: str) -> str:
    """What i'mport says when the buyer gives up; merchants compare it literally."""
    return USER_CANCEL_MINIMAL if callback_shape == Shape.MINIMAL else profile(pg_code).cancel_words


def redirect_address(payment: Payment) -> str | None:
    """m_redirect_url with the result in its query; None when the merchant gave none."""
    if payment.return_url is None:
        return None
    return with_query(payment.return_url, _query(payment))


def refusal_address(
    return_url: str, shape: Shape, merchant_uid: str | None, code: str, sentence: str
) -> str:
    """m_redirect_url with the failure of a payment that never came to exist."""
    query = {"imp_uid": "", "merchant_uid": merchant_uid or ""}
    if shape is Shape.FULL:
        query["imp_success"] = "false"
    return with_query(return_url, query | {"error_code": code, "error_msg": sentence})


def with_query(url: str, fields: Mapping[str, str]) -> str:
    """Add fields to an address. Its own query and #fragment stay as they are, byte for byte."""
    rest, mark, fragment = url.partition("#")
    joint = "" if rest.endswith(("?", "&")) else "&" if "?" in rest else "?"
    added = "&".join(f"{name}={quote(value, safe='')}" for name, value in fields.items())
    return rest + joint + added + mark + fragment


def _query(payment: Payment) -> dict[str, str]:
    error = error_of(payment) or {}
    query = {"imp_uid": str(payment.imp_uid), "merchant_uid": str(payment.merchant_uid)}
    if payment.pg_code == "kcp_quick":
        bypass = payment.request.get("bypass")
        quick = bypass.get("kcpQuick") if isinstance(bypass, dict) else None
        action = quick.get("actionType") if isinstance(quick, dict) else None
        query |= {
            "imp_status": "failed" if error else "paid",
            "kcp_action": action if isinstance(action, str) else "Pay",
        }
    elif payment.callback_shape == Shape.FULL:
        query["imp_success"] = "false" if error else "true"
    return query | error


def _full(payment: Payment) -> Result:
    buyer, card, account = payment.buyer, payment.card, payment.virtual_account
    facts: Result = {
        "imp_uid": payment.imp_uid,
        "pay_method": payment.pay_method,
        "merchant_uid": payment.merchant_uid,
        "name": payment.name,
        "paid_amount": payment.amount.to_wire(),
        "currency": payment.amount.currency,
        "pg_provider": payment.pg_code,
        "pg_type": "payment",
        "pg_tid": payment.pg_tid or "",
        "apply_num": payment.approval_number or "",
        "buyer_name": buyer.name,
        "buyer_email": buyer.email,
        "buyer_tel": buyer.tel,
        "buyer_addr": buyer.addr,
        "buyer_postcode": buyer.postcode,
        # The page gets back what it gave: an object stays an object.
        "custom_data": payment.request.get("custom_data"),
        "status": _status(payment),
        "paid_at": int(payment.paid_at.timestamp()) if payment.paid_at else 0,
        "receipt_url": payment.receipt_url or "",
        "card_name": card.issuer_name if card else None,
        "bank_name": payment.bank.name if payment.bank else None,
        "card_quota": card.installment_months if card else 0,
        "card_number": (card.number if card else None) or "",
    }
    if payment.customer_uid:
        facts["customer_uid"] = payment.customer_uid
    if payment.hub_pg_code:
        facts["emb_pg_provider"] = payment.hub_pg_code
    if account is not None:
        facts |= {
            "vbank_num": account.number,
            "vbank_name": account.bank_name,
            "vbank_holder": account.holder,
            "vbank_date": int(account.due.timestamp()),
        }
    return facts


def _status(payment: Payment) -> str:
    return {
        Step.PAID: "paid",
        Step.WAITING_DEPOSIT: "ready",
        Step.CANCELLED: "cancelled",
    }.get(payment.step, "failed")
