"""Quick pay at the sandbox PG. Source: docs/reference/sandbox-wire.md, "Quick pay"."""

from __future__ import annotations

from typing import Any
from urllib.parse import quote

from naru.connectors import ChargeOrder
from naru.connectors.sandbox.line import Line, Unreadable, order_of, read_no, time_of
from naru.connectors.sandbox.payments import read_charge
from naru.domain.channel import Channel
from naru.domain.outcome import Declined, Outcome, Unknown
from naru.domain.quick import QuickMember, QuickQuestion


class Quick(Line):
    """Members of a shop: forgotten, their phone's FIDO switched off, their prepaid money taken."""

    async def ask_about_member(
        self, channel: Channel, question: QuickQuestion, *, again: bool
    ) -> QuickMember | Declined | Unknown:
        path = f"/v1/quick/members/{quote(question.member_id, safe='')}"
        body: dict[str, Any] = {"number": question.number}
        done = "released"
        if question.kind == "delete_member":
            done = "deleted"
            body |= {
                "partner_type": question.partner_type,
                "partner_subtype": question.partner_subtype,
            }
        deed = "delete" if done == "deleted" else "fido/release"
        answer = await self.ask(channel, "POST", f"{path}/{deed}", body)
        return _read(answer, question, done, again)

    async def approve_by_money(
        self, channel: Channel, order: ChargeOrder, member_id: str, pin_order_no: str
    ) -> Outcome:
        body = {
            **order_of(channel, order),
            "member_id": member_id,
            "pin_order_no": pin_order_no,
        }
        answer = await self.ask(channel, "POST", "/v1/quick/payments", body)
        return read_charge(answer, order.order_no)


def _read(
    answer: Any, asked: QuickQuestion, done: str, again: bool
) -> QuickMember | Declined | Unknown:
    """What became of the question `asked`; a word about another number says nothing of ours."""
    match answer:
        case {
            "result": result,
            "number": asked.number,
            "member_id": asked.member_id,
            "inserted": int(inserted),
            "updated": int(updated),
        } if result == done:
            try:
                return QuickMember(asked.member_id, time_of(inserted), time_of(updated))
            except Unreadable as error:
                return Unknown(str(error))
        case _:
            return read_no(answer, asked.number, again=again)
