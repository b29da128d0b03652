"""What the sandbox PG is told of a payment without moving money: shipments, sub-shops on slips, due dates.

Source: docs/reference/sandbox-wire.md.
"""

from __future__ import annotations

from typing import Any

from naru.connectors.sandbox.line import Line, Unreadable, read_no, text_of, time_of
from naru.domain.channel import Channel
from naru.domain.outcome import Declined, Unknown
from naru.domain.shipping import Errand, ErrandDone


class Escrow(Line):
    """Errands: the same number once more is one errand."""

    async def run_errand(
        self, channel: Channel, errand: Errand, *, again: bool = False
    ) -> ErrandDone | Declined | Unknown:
        path, body = "/v1/escrow/shipments", {"number": errand.number, **errand.said}
        if errand.kind == "split_slip":
            path = "/v1/partner-slips"
        elif errand.kind == "change_account":
            path = "/v1/virtual-accounts/changes"
        else:
            body["change"] = errand.kind == "reship"
        answer = await self.ask(channel, "POST", path, body)
        match answer:
            case {"result": "registered", "number": errand.number, "registered_at": int(at)}:
                try:
                    return ErrandDone(errand.number, _became(answer, int(time_of(at).timestamp())))
                except Unreadable as error:
                    return Unknown(str(error))
            case _:
                return read_no(answer, errand.number, again=again)


def _became(answer: dict[str, Any], applied_at: int) -> dict[str, Any]:
    became: dict[str, Any] = {"applied_at": applied_at}
    for name in ("company", "invoice", "receipt_url"):
        if (text := text_of(answer.get(name))) is not None:
            became[name] = text
    sent_at = answer.get("sent_at")
    if isinstance(sent_at, int):
        became["sent_at"] = int(time_of(sent_at).timestamp())
    return became
