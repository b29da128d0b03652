"""Welfare points and prepaid money at the sandbox PG. Source: docs/reference/sandbox-wire.md, "Points"."""

from __future__ import annotations

from typing import Any

from naru.connectors import ChargeOrder
from naru.connectors.sandbox.line import Line, why
from naru.connectors.sandbox.payments import read_approval
from naru.domain.channel import Channel
from naru.domain.outcome import AccountIssued, Declined, Outcome, Unknown
from naru.domain.point_account import PointAccount
from naru.domain.text import clean


class Points(Line):
    """Points: how many are left, and taken without a window."""

    async def points_left(
        self, channel: Channel, account: PointAccount
    ) -> int | Declined | Unknown:
        body = {"user": account.user, "password": account.password}
        match await self.ask(channel, "POST", "/v1/points/balance", body):
            case {"result": "points", "user": str(user), "point": int(point)} if (
                user == account.user and not isinstance(point, bool) and 0 <= point < 10**12
            ):
                return point
            case {
                "result": "refused" | "not_sent" | "error",
                "code": str(code),
                "message": str(message),
            }:
                return Declined(clean(code), clean(message))
            case answer:
                return Unknown(why(answer))

    async def approve_by_points(
        self, channel: Channel, order: ChargeOrder, account: PointAccount
    ) -> Outcome:
        body = {
            **purchase_of(channel, order),
            "user": account.user,
            "password": account.password,
            "member_code": account.member_code,
        }
        answer = await self.ask(channel, "POST", "/v1/points/payments", body)
        return read_purchase(answer, order.order_no)


def purchase_of(channel: Channel, order: ChargeOrder) -> dict[str, Any]:
    """What every payment without a card and without a window says of its order."""
    return {
        "order_no": order.order_no,
        "amount": order.amount.minor,
        "currency": order.amount.currency,
        "item_name": order.name or order.merchant_uid,
        "merchant_name": order.merchant_name,
        "merchant_order_no": order.merchant_uid,
        "profile": channel.pg_code,
        "buyer": {
            "name": order.buyer.name,
            "email": order.buyer.email,
            "tel": order.buyer.tel,
        },
        "test": channel.test,
    }


def read_purchase(answer: Any, asked: str) -> Outcome:
    """What became of the order `asked`."""
    outcome = read_approval(answer, asked)
    if isinstance(outcome, AccountIssued):
        return Unknown("a virtual account in answer to a purchase")
    return outcome
