"""Certifications (본인인증): read, let go, and a code without a window. Source: protocol facts, REST §7, models §6."""

from __future__ import annotations

import hmac
import re
from typing import Annotated

import msgspec
from msgspec import UNSET, UnsetType

from naru.domain.certification import (
    AlreadyCertified,
    Certification,
    CodeRefused,
    NoSuchCertification,
    Stage,
    midnight_seconds,
)
from naru.domain.channel import choose_channel
from naru.domain.errors import OutcomeUnknown
from naru.domain.ids import MerchantUid, is_merchant_uid
from naru.domain.limit import Limit
from naru.payments.certify import delete_certification, look
from naru.payments.certify_by_code import (
    CodeAsk,
    confirm_code,
    request_code,
    what_became_of_code,
)
from naru.rest import messages
from naru.rest.annotations import unix
from naru.rest.coerce import Text, flag, json_text, malformed
from naru.rest.envelope import Answer, HttpRefusal, not_known_yet, success
from naru.rest.operation import Call, Operation

# A person who mistypes may ask again; a number is not rung without end, and no site rings a whole city.
CODES_OF_PHONE = Limit("code.phone", 5, 600)
CODES_OF_MERCHANT = Limit("code.merchant", 600, 60)

_PHONE = re.compile(r"01[016789][0-9]{7,8}")
_CARRIERS = {"SKT": "SKT", "KT": "KT", "KTF": "KT", "LGT": "LGT"}
_METHODS = ("SMS", "APP")


class CertificationAnnotation(msgspec.Struct, frozen=True):
    """Who a person is. `phone` and `carrier` are there only when the channel's contract tells them."""

    birth: int | None
    birthday: str | None
    certified: bool
    certified_at: int
    foreigner: bool
    foreigner_v2: bool | None
    gender: str | None
    imp_uid: str
    merchant_uid: str | None
    name: str | None
    origin: str | None
    pg_provider: str
    pg_tid: str | None
    unique_in_site: str | None
    unique_key: str | None
    carrier: str | UnsetType = UNSET
    phone: str | UnsetType = UNSET


class CodeRequestAnnotation(msgspec.Struct, frozen=True):
    """The name under which the code is confirmed."""

    imp_uid: str


class ReadCertification(msgspec.Struct):
    """What `GET` and `DELETE /certifications/{imp_uid}` take."""

    imp_uid: Annotated[str, Text()]


class RequestCode(msgspec.Struct):
    """What `POST /certifications/otp/request` takes. Anything but digits in `phone` and `birth` is left out.

    The channel is named by `channel_key`, else by `pg`, else it is the default one for certifications.
    """

    name: Annotated[str, Text(50)]
    phone: Annotated[str, Text(40)]
    birth: Annotated[str, Text(20)]
    gender_digit: Annotated[str, Text(1)]
    carrier: Annotated[str, Text(10)]
    is_mvno: Annotated[bool, flag] = False
    company: Annotated[str, Text(100, cut=True)] | None = None
    merchant_uid: Annotated[str, Text(40)] | None = None
    pg: Annotated[str, Text(80)] | None = None
    channel_key: Annotated[str, Text(100)] | None = None
    verification_method: Annotated[str, Text(10)] | None = None
    bypass: Annotated[str, json_text] | None = None


class ConfirmCode(msgspec.Struct):
    """What `POST /certifications/otp/confirm/{imp_uid}` takes; no `otp` for what the app confirmed."""

    imp_uid: Annotated[str, Text()]
    otp: Annotated[str, Text(20)] | None = None


async def read(call: Call, request: ReadCertification) -> Answer:
    """Who the person is. 404 for an unknown one, and while nobody is certified."""
    async with call.gateway.store.direct() as session:
        found = await session.certifications.get_of_merchant(request.imp_uid, call.merchant_id)
    if found is not None and found.promised_at is not None:
        # The company may know by now what it did not say when it was asked.
        found = await look(call.gateway, found)
    if found is None or found.stage is not Stage.CERTIFIED:
        raise HttpRefusal(404, messages.NO_CERTIFICATION)
    return success(certification_annotation(found))


async def delete(call: Call, request: ReadCertification) -> Answer:
    """Let go of it for good, and say once more who it was. 404 for an unknown one.

    It takes no Idempotency-Key, and neither does confirm: an answer that is kept for a repetition would
    be the very data that the merchant lets go of.
    """
    try:
        gone = await delete_certification(call.gateway, call.merchant_id, request.imp_uid)
    except NoSuchCertification:
        raise HttpRefusal(404, messages.NO_CERTIFICATION) from None
    return success(certification_annotation(gone))


async def ask_code(call: Call, request: RequestCode) -> Answer:
    """Send a code, or ask in the person's app. 400 for what is missing or cannot be, 429 too often."""
    name, phone = request.name.strip(), _digits(request.phone)
    birth, carrier = _digits(request.birth)[-6:], _CARRIERS.get(request.carrier.strip().upper())
    method = (request.verification_method or "SMS").strip().upper()
    if len(name) < 2 or _CONTROL.search(name):
        raise malformed("name")
    if not _PHONE.fullmatch(phone):
        raise malformed("phone")
    if len(_digits(request.birth)) not in (6, 8):
        raise malformed("birth")
    if request.gender_digit not in tuple("12345678"):
        raise malformed("gender_digit")
    if carrier is None:
        raise malformed("carrier")
    if method not in _METHODS:
        raise malformed("verification_method")
    if request.merchant_uid is not None and not is_merchant_uid(request.merchant_uid):
        raise malformed("merchant_uid")
    message = _message(request.bypass)
    async with call.gateway.store.direct() as session:
        merchant = await session.merchants.get(call.merchant_id)
        channels = await session.channels.of_merchant(call.merchant_id)
    if merchant is None:
        raise HttpRefusal(401, messages.UNAUTHORIZED)
    channel = choose_channel(
        channels, channel_key=request.channel_key, pg=request.pg, kind="certification"
    )
    await _count(call, phone)
    certification = await request_code(
        call.gateway,
        CodeAsk(
            merchant=merchant,
            channel=channel,
            merchant_uid=None
            if request.merchant_uid is None
            else MerchantUid(request.merchant_uid),
            name=name,
            phone=phone,
            birth=birth,
            gender_digit=request.gender_digit,
            carrier=carrier,
            mvno=request.is_mvno,
            by_app=method == "APP",
            company=_CONTROL.sub(" ", request.company) if request.company else None,
            message=message,
        ),
        call.once,
    )
    return success(CodeRequestAnnotation(certification.imp_uid))


async def confirm(call: Call, request: ConfirmCode) -> Answer:
    """Who the person is, if the code is right. 400 for a wrong, late or used one, 404 for an unknown one."""
    code = request.otp.strip() if request.otp else None
    if code is not None and not (code.isascii() and code.isdigit() and len(code) == 6):
        raise malformed("otp")
    try:
        certified = await confirm_code(call.gateway, call.merchant_id, request.imp_uid, code)
    except NoSuchCertification:
        raise HttpRefusal(404, messages.NO_CERTIFICATION) from None
    except (AlreadyCertified, CodeRefused) as refused:
        raise HttpRefusal(400, refused.sentence) from None
    return success(certification_annotation(certified))


async def recall_code(call: Call, request: RequestCode, imp_uid: str) -> Answer:
    """What became of the question with this name; no second code is sent."""
    async with call.gateway.store.direct() as session:
        asked = await session.certifications.get(imp_uid)
    assert asked is not None, "certifications are never removed"
    try:
        await what_became_of_code(call.gateway, asked)
    except OutcomeUnknown:
        return not_known_yet(None)
    return success(CodeRequestAnnotation(asked.imp_uid))


def certification_annotation(certification: Certification) -> CertificationAnnotation:
    """A certified person in i'mport's words (models §6). `foreigner` is false without the contract."""
    person = certification.person
    assert person is not None, "only who is certified is told"
    assert certification.certified_at is not None
    return CertificationAnnotation(
        imp_uid=certification.imp_uid,
        merchant_uid=certification.merchant_uid,
        pg_tid=certification.pg_tid,
        pg_provider=certification.pg_code,
        name=person.name,
        gender=person.gender,
        birth=None if person.birthday is None else midnight_seconds(person.birthday),
        birthday=None if person.birthday is None else person.birthday.isoformat(),
        foreigner=person.foreigner is True,
        foreigner_v2=person.foreigner,
        certified=True,
        certified_at=unix(certification.certified_at),
        unique_key=person.ci,
        unique_in_site=person.di,
        origin=certification.origin,
        phone=UNSET if person.phone is None else person.phone,
        carrier=UNSET if person.carrier is None else person.carrier,
    )


async def _count(call: Call, phone: str) -> None:
    """One more code for this phone, whoever asks, and of this merchant. Raises HttpRefusal 429.

    The name under which a phone is counted does not tell the number.
    """
    async with call.gateway.store.direct() as session:
        hidden = hmac.digest(call.gateway.root_key, f"code\n{phone}".encode(), "sha256").hex()[:32]
        for limit, who in ((CODES_OF_PHONE, hidden), (CODES_OF_MERCHANT, str(call.merchant_id))):
            taken = await session.limits.take(limit, who, call.now)
            if not taken.permits:
                wait = str(taken.wait_seconds(call.now)).encode()
                raise HttpRefusal(429, messages.TOO_MANY_CODES, ((b"retry-after", wait),))


_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u2028\u2029\ud800-\udfff]")


def _digits(text: str) -> str:
    return re.sub(r"[^0-9]", "", text)


def _message(bypass: str | None) -> str | None:
    """`bypass.kcpV2.cp_sms_msg`: the merchant's own text, with [000000] where the code goes."""
    if bypass is None:
        return None
    try:
        read = msgspec.json.decode(bypass.encode("utf-8", "surrogatepass"))
    except (msgspec.DecodeError, UnicodeError, RecursionError):
        return None
    kcp = read.get("kcpV2") if isinstance(read, dict) else None
    text = kcp.get("cp_sms_msg") if isinstance(kcp, dict) else None
    if not isinstance(text, str):
        return None
    if "[000000]" not in text or len(text) > 200 or _CONTROL.search(text):
        raise malformed("bypass.kcpV2.cp_sms_msg")
    return text


OPERATIONS = (
    Operation(
        "GET",
        "/certifications/{imp_uid}",
        ReadCertification,
        "본인인증 결과 조회",
        "certifications",
        read,
        answer=CertificationAnnotation,
        english="Read a certification",
    ),
    Operation(
        "DELETE",
        "/certifications/{imp_uid}",
        ReadCertification,
        "본인인증 결과 삭제",
        "certifications",
        delete,
        answer=CertificationAnnotation,
        english="Delete a certification",
    ),
    Operation(
        "POST",
        "/certifications/otp/request",
        RequestCode,
        "본인인증 요청 (SMS, 앱)",
        "certifications",
        ask_code,
        recall=recall_code,
        answer=CodeRequestAnnotation,
        english="Have a code sent to a person",
    ),
    Operation(
        "POST",
        "/certifications/otp/confirm/{imp_uid}",
        ConfirmCode,
        "본인인증 완료",
        "certifications",
        confirm,
        answer=CertificationAnnotation,
        english="Confirm the code",
    ),
)
