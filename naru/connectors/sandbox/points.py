"""Welfare points and prepaid money at the sandbox PG. Source: docs/reference/sandbox-wire.md, "Points"."""

from __future__ import annotations

from naru.connectors import ChargeOrder
from naru.connectors.sandbox.line import Line, order_of, read_no
from naru.connectors.sandbox.payments import read_charge
from naru.domain.channel import Channel
from naru.domain.outcome import Declined, Outcome, Unknown
from naru.domain.point_account import PointAccount


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
            case answer:
                return read_no(answer, account.user, "user")

    async def approve_by_points(
        self, channel: Channel, order: ChargeOrder, account: PointAccount
    ) -> Outcome:
        body = {
            **order_of(channel, order),
            "user": account.user,
            "password": account.password,
            "member_code": account.member_code,
        }
        answer = await self.ask(channel, "POST", "/v1/points/payments", body)
        return read_charge(answer, order.order_no)
