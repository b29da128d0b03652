"""Who a person is, and small tables: certifications, codes, tiers. Source: V1, REST facts §7, §9, §11."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Literal

from naru.kit.operations.asked import wired
from naru.kit.operations.call import Call, imp_uid_of, list_of, segment_of
from naru.kit.records import Certification, StandardCode, Tier
from naru.kit.types import Facts


def certification(imp_uid: str) -> Call[Certification]:
    """Who was certified. Raises NotFound."""
    return Call("GET", _one(imp_uid), Certification.read, question=True)


def delete_certification(imp_uid: str) -> Call[Certification]:
    """Have the gateway forget a person; answers who it was."""
    return Call("DELETE", _one(imp_uid), Certification.read)


def request_certification_code(
    *,
    name: str,
    phone: str,
    birth: str,
    gender_digit: str,
    carrier: Literal["SKT", "KT", "LGT"],
    is_mvno: bool | None = None,
    company: str | None = None,
    merchant_uid: str | None = None,
    channel_key: str | None = None,
    pg: str | None = None,
    verification_method: Literal["SMS", "APP"] | None = None,
    bypass: Mapping[str, Any] | None = None,
) -> Call[str]:
    """Send a person a code by SMS, or a question in an app; answers the certification's imp_uid.

    `birth` is YYMMDD, `gender_digit` the seventh digit of the resident number.
    """
    fields = wired(
        {},
        name=name,
        phone=phone,
        birth=birth,
        gender_digit=gender_digit,
        carrier=carrier,
        is_mvno=is_mvno,
        company=company,
        merchant_uid=merchant_uid,
        channel_key=channel_key,
        pg=pg,
        verification_method=verification_method,
        bypass=bypass,
    )
    return Call("POST", "/certifications/otp/request", _uid, fields=fields)


def confirm_certification_code(imp_uid: str, otp: str | None = None) -> Call[Certification]:
    """Was it this code? None: was it confirmed in the app? Raises Refused (HTTP 400) for a wrong one."""
    path = f"/certifications/otp/confirm/{imp_uid_of(imp_uid)}"
    return Call("POST", path, Certification.read, fields=wired({}, otp=otp))


def cards() -> Call[list[StandardCode]]:
    """The card companies, by their standard codes."""
    return Call("GET", "/cards", list_of(StandardCode.read), question=True)


def card(code: str) -> Call[StandardCode]:
    """One card company. Raises NotFound."""
    return Call("GET", f"/cards/{segment_of('code', code)}", StandardCode.read, question=True)


def banks() -> Call[list[StandardCode]]:
    """The banks, by their standard codes."""
    return Call("GET", "/banks", list_of(StandardCode.read), question=True)


def bank(code: str) -> Call[StandardCode]:
    """One bank. Raises NotFound."""
    return Call("GET", f"/banks/{segment_of('code', code)}", StandardCode.read, question=True)


def tier(tier_code: str) -> Call[Tier]:
    """A sub-merchant of an agency, by its three characters. Raises NotFound."""
    return Call("GET", f"/tiers/{segment_of('tier_code', tier_code)}", Tier.read, question=True)


def _one(imp_uid: str) -> str:
    return f"/certifications/{imp_uid_of(imp_uid)}"


def _uid(value: Any) -> str:
    return Facts(value, "certification").needed_text("imp_uid")
