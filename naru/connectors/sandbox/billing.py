"""Billing keys and charges without a window at the sandbox PG. Source: docs/reference/sandbox-wire.md."""

from __future__ import annotations

from typing import Any

from naru.connectors import ChargeOrder, KeyOrder
from naru.connectors.sandbox.line import Line, Unreadable, order_of, read_no, why
from naru.connectors.sandbox.payments import read_charge, read_issued_key
from naru.domain.billing_key import CardNumber
from naru.domain.channel import Channel
from naru.domain.outcome import (
    KeyOutcome,
    NotFound,
    Outcome,
    Undone,
    Unknown,
)


class Billing(Line):
    """Keep cards under keys, and charge them."""

    async def issue_key(self, channel: Channel, order: KeyOrder, card: CardNumber) -> KeyOutcome:
        body = {
            "key_no": order.number,
            "card": _card(card),
            "holder": order.customer.name,
            "test": channel.test,
        }
        return _read_key(await self.ask(channel, "POST", "/v1/billing-keys", body), order.number)

    async def inquire_key(self, channel: Channel, number: str) -> KeyOutcome | NotFound:
        answer = await self.ask(channel, "GET", f"/v1/billing-keys/{number}")
        match answer:
            case {"result": "error", "code": "NOT_FOUND"}:
                return NotFound()
            case {"result": "key_issued" | "declined"}:
                return _read_key(answer, number)
            case _:
                # A question that failed, even one that never left us, says nothing about the key.
                return Unknown(why(answer))

    async def forget_key(self, channel: Channel, number: str) -> Undone | Unknown:
        match await self.ask(channel, "DELETE", f"/v1/billing-keys/{number}"):
            case {"result": "forgotten", "key_no": str(forgotten)} if forgotten == number:
                return Undone()
            case answer:
                return Unknown(why(answer))

    async def approve_by_key(self, channel: Channel, order: ChargeOrder, key: str) -> Outcome:
        return await self._charge(channel, order, {"billing_key": key})

    async def approve_by_card(
        self, channel: Channel, order: ChargeOrder, card: CardNumber
    ) -> Outcome:
        return await self._charge(channel, order, {"card": _card(card)})

    async def _charge(self, channel: Channel, order: ChargeOrder, means: dict[str, Any]) -> Outcome:
        body = {
            **order_of(channel, order),
            "tax_free": order.tax_free.minor,
            "installment_months": order.installment_months,
            "interest_free": order.interest_free,
            "use_card_point": order.use_card_point,
            "keep_card": order.customer_uid is not None,
            **means,
        }
        answer = await self.ask(channel, "POST", "/v1/charges", body)
        return read_charge(answer, order.order_no)


def _card(card: CardNumber) -> dict[str, str | None]:
    return {
        "number": card.number,
        "expiry": card.expiry,
        "birth": card.birth,
        "password": card.password,
        "cvc": card.cvc,
    }


def _read_key(answer: Any, asked: str) -> KeyOutcome:
    """What became of the key `asked`. A refusal of another key says nothing about ours."""
    match answer:
        case {"result": "key_issued", "key_no": str(number)} if number == asked:
            try:
                issued = read_issued_key(answer, asked)
            except Unreadable as error:
                return Unknown(str(error))
            return issued or Unknown("unreadable answer")
        case _:
            return read_no(answer, asked, "key_no")
