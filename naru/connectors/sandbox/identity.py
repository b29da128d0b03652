"""Certifications at the sandbox's identity company. Source: docs/reference/sandbox-wire.md, "Identity"."""

from __future__ import annotations

import hmac
from datetime import date
from typing import Any

from naru.connectors.sandbox.line import (
    Line,
    Unreadable,
    hmac_of,
    name_of,
    read_no,
    seconds_of,
    text_of,
    time_of,
    why,
)
from naru.domain.certification import (
    Certification,
    CertificationOrder,
    Certified,
    CodeOrder,
    CodeSent,
    ForgedCertification,
    Pending,
    Person,
    WrongCode,
)
from naru.domain.channel import Channel
from naru.domain.outcome import Declined, NotFound, Unknown
from naru.domain.text import clean
from naru.domain.window import Redirect, WindowPlan

RETURN_FIELDS = ("mid", "number", "status", "code", "message", "at")
RETURN_SECONDS_MAX = 3_600
CARRIERS = ("SKT", "KT", "LGT", "SKT_MVNO", "KT_MVNO", "LGT_MVNO")


class Identity(Line):
    """Who somebody is."""

    async def open_certification(
        self, channel: Channel, order: CertificationOrder
    ) -> WindowPlan | Declined:
        given = order.certification
        body = {
            "number": given.number,
            "profile": given.pg_code,
            "merchant_name": order.merchant_name,
            "return_url": order.return_url,
            "language": given.language,
            "min_age": given.min_age,
            "name": given.prefill.get("name"),
            "phone": given.prefill.get("phone"),
            "carrier": given.prefill.get("carrier"),
            "test": channel.test,
        }
        match await self.ask(channel, "POST", "/v1/certifications", body):
            case {"result": "registered", "number": str(number), "window_url": str(url)} if (
                number == given.number and url.startswith(("http://", "https://"))
            ):
                return Redirect(url)
            case {"code": str(code), "message": str(message)}:
                return Declined(clean(code), clean(message))
            case _:
                return Declined("F500", "인증창 호출에 실패하였습니다.")

    def read_certification_return(
        self, channel: Channel, certification: Certification, fields: dict[str, str]
    ) -> Declined | None:
        said = [fields.get(name, "") for name in RETURN_FIELDS]
        signed = "\n".join(["certification", *said]).encode("utf-8", "surrogatepass")
        given = fields.get("signature", "").encode("utf-8", "surrogatepass")
        if not hmac.compare_digest(hmac_of(channel, signed).encode(), given):
            raise ForgedCertification("signature")
        if (fields["mid"], fields["number"]) != (channel.mid, certification.number):
            raise ForgedCertification("another certification")
        if abs(self._now().timestamp() - seconds_of(fields["at"])) > RETURN_SECONDS_MAX:
            raise ForgedCertification("too old")
        match fields["status"]:
            case "certified":
                return None
            case "cancelled" | "failed":
                return Declined(clean(fields["code"]), clean(fields["message"]))
            case _:
                raise ForgedCertification("no status")

    async def inquire_certification(
        self, channel: Channel, number: str
    ) -> Certified | Pending | NotFound | Declined | Unknown:
        match await self.ask(channel, "GET", f"/v1/certifications/{number}"):
            case {"result": "error", "code": "NOT_FOUND"}:
                return NotFound()
            case {"result": "open"}:
                return Pending()
            case {"result": "failed", "code": str(code), "message": str(message)}:
                return Declined(clean(code), clean(message))
            case answer:
                return _certified(answer, number)

    async def send_code(self, channel: Channel, order: CodeOrder) -> CodeSent | Declined | Unknown:
        body = {
            "number": order.number,
            "name": order.name,
            "phone": order.phone,
            "birth": order.birth,
            "gender_digit": order.gender_digit,
            "carrier": order.carrier,
            "mvno": order.mvno,
            "how": "app" if order.by_app else "sms",
            "merchant_name": order.company,
            "text": order.message,
        }
        answer = await self.ask(channel, "POST", "/v1/certification-codes", body)
        match answer:
            case {"result": "sent", "number": str(number), "expires_at": int(until)} if (
                number == order.number
            ):
                try:
                    return CodeSent(time_of(until))
                except Unreadable as error:
                    return Unknown(str(error))
            case _:
                return read_no(answer, order.number)

    async def confirm_code(
        self, channel: Channel, number: str, code: str | None
    ) -> Certified | WrongCode | Declined | Unknown:
        path = f"/v1/certifications/{number}/confirm"
        match await self.ask(channel, "POST", path, {"code": code}):
            case {"result": "wrong", "message": str(message), "attempts_left": int(left)}:
                return WrongCode(clean(message), left)
            case {"result": "failed", "code": str(code_), "message": str(message)}:
                return Declined(clean(code_), clean(message))
            case answer:
                # Also an error at the door: it says nothing about a question before this one.
                return _certified(answer, number)


def _certified(answer: Any, asked: str) -> Certified | Unknown:
    match answer:
        case {
            "result": "certified",
            "number": str(number),
            "tid": str(tid),
            "certified_at": int(at),
            "person": dict(person),
        } if number == asked:
            try:
                return Certified(number, name_of(tid), time_of(at), _person(person))
            except (Unreadable, ValueError) as error:
                return Unknown(str(error))
        case _:
            return Unknown(why(answer))


def _person(said: dict[str, Any]) -> Person:
    birthday, gender, carrier = said.get("birthday"), said.get("gender"), said.get("carrier")
    foreigner = said.get("foreigner")
    return Person(
        name=text_of(said.get("name")),
        birthday=date.fromisoformat(birthday) if isinstance(birthday, str) else None,
        gender=gender if gender in ("male", "female") else None,
        foreigner=foreigner if isinstance(foreigner, bool) else None,
        phone=text_of(said.get("phone")),
        carrier=carrier if carrier in CARRIERS else None,
        ci=text_of(said.get("ci")),
        di=text_of(said.get("di")),
    )
