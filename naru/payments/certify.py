"""A person proves in a window who they are. The browser's word is proof only; the company tells the rest.

No money moves. Still the row is written first, no transaction is open while the company is asked,
and doubt is never "failed": what the company did not say is asked again, by the page that waits, by
the merchant's next call and by the worker.
"""

from __future__ import annotations

import logging
from dataclasses import dataclass, field, replace
from datetime import timedelta

from naru.connectors import Can
from naru.domain.certification import (
    LOOKED_FOR,
    WINDOW_LIFE,
    AlreadyCertified,
    Certification,
    CertificationOrder,
    Certified,
    NoSuchCertification,
    Pending,
    Stage,
    certifier,
    too_young,
    within_contract,
)
from naru.domain.channel import Channel
from naru.domain.errors import (
    AlreadyClaimed,
    AnswerMismatch,
    BadRequest,
    PgBusy,
    PgRefused,
    TestChannelRefused,
)
from naru.domain.ids import MerchantUid, hash_secret
from naru.domain.merchant import Merchant
from naru.domain.once import Once
from naru.domain.outcome import Declined, NotFound, Unknown
from naru.domain.pg_profile import Mode
from naru.domain.window import WindowPlan
from naru.payments.gateway import Gateway

log = logging.getLogger("naru.certifications")

NAMES_TRIED = 8
LOOK_AFTER = timedelta(seconds=20)
LOOK_AGAIN = timedelta(seconds=60)
AT_ONCE = 100
EXPIRED = ("EXPIRED", "본인인증 유효시간이 지났습니다.")
TOO_YOUNG = ("UNDER_AGE", "본인인증 허용 연령이 아닙니다.")
NO_WINDOW = "인증창을 지원하지 않는 인증사입니다."


@dataclass(frozen=True, slots=True)
class CertificationOpening:
    """What a door has read, checked and translated from IMP.certification."""

    merchant: Merchant
    channel: Channel
    merchant_uid: MerchantUid
    mobile: bool
    mode: Mode
    page_origin: str
    origin: str | None = None
    return_url: str | None = None
    request_id: str | None = None
    language: str = "ko"
    min_age: int | None = None
    prefill: dict[str, str] = field(default_factory=dict)


async def open_certification(
    gateway: Gateway, opening: CertificationOpening
) -> tuple[Certification, str]:
    """Write it as opened. Returns it with the secret of its window, of which only the hash is kept.

    Nobody is asked. Raises TestChannelRefused, PgBusy, BadRequest (no window here).
    """
    merchant, channel = opening.merchant, opening.channel
    check_channel(gateway, merchant, channel, Can.CERTIFY, NO_WINDOW)
    if not certifier(channel.pg_code).window:
        raise BadRequest(NO_WINDOW)
    heeded = certifier(channel.pg_code).prefill
    secret = gateway.ids.secret()
    company = {name: text for name, text in opening.prefill.items() if name == "company"}
    opened = await begin(
        gateway,
        Certification(
            imp_uid=gateway.ids.imp_uid(),
            merchant_id=merchant.id,
            merchant_uid=opening.merchant_uid,
            channel_id=channel.id,
            pg_code=channel.pg_code,
            sandbox=channel.test,
            number=gateway.ids.pg_order_no(),
            stage=Stage.OPENED,
            opened_at=gateway.now(),
            window_mode=opening.mode,
            page_origin=opening.page_origin,
            return_url=opening.return_url,
            request_id=opening.request_id,
            language=opening.language,
            mobile=opening.mobile,
            min_age=opening.min_age if heeded else None,
            prefill=opening.prefill if heeded else company,
            origin=opening.origin,
        ),
        hash_secret(secret),
    )
    return opened, secret


async def begin(
    gateway: Gateway,
    certification: Certification,
    window_secret_hash: bytes | None,
    once: Once | None = None,
) -> Certification:
    """Write a new one, under another name when its own is taken. Raises Superseded."""
    async with gateway.store.begin() as session:
        for _ in range(NAMES_TRIED):
            opened = await session.certifications.open(certification, window_secret_hash)
            if opened is not None:
                await session.idempotency.bind(once, opened.imp_uid)
                return opened
            certification = replace(certification, imp_uid=gateway.ids.imp_uid())
    raise RuntimeError("no free imp_uid")


async def enter_certification(
    gateway: Gateway, certification: Certification, merchant: Merchant
) -> WindowPlan:
    """Ask the company where its window is. May be asked again: it answers the same.

    Raises AlreadyClaimed when it has ended, PgBusy, and PgRefused when the company cannot open one
    (it is failed then, with the company's words).
    """
    if certification.stage is not Stage.OPENED:
        raise AlreadyClaimed
    channel = await channel_of(gateway, certification)
    order = CertificationOrder(
        certification=certification,
        merchant_name=certification.prefill.get("company") or merchant.name,
        return_url=f"{gateway.public_url}/checkout/certified/{certification.imp_uid}",
    )
    with gateway.pg_load.asking(channel.id):
        plan = await gateway.connector_of(channel).open_certification(channel, order)
    if isinstance(plan, Declined):
        await give_up(gateway, certification, plan.code, plan.message)
        raise PgRefused(plan.code, plan.message)
    return plan


async def come_back(gateway: Gateway, imp_uid: str, fields: dict[str, str]) -> Certification | None:
    """The browser is back from the company's window. None: there is no such certification.

    Raises ForgedCertification.
    """
    async with gateway.store.direct() as session:
        certification = await session.certifications.get(imp_uid)
    if certification is None or certification.window_mode is None:
        return None
    channel = await channel_of(gateway, certification)
    said = gateway.connector_of(channel).read_certification_return(channel, certification, fields)
    if certification.final:
        return certification
    if isinstance(said, Declined):
        return await give_up(gateway, certification, said.code, said.message)
    now = gateway.now()
    async with gateway.store.direct() as session:
        await session.certifications.promise(imp_uid, now, now + LOOK_AFTER)
    return await look(gateway, certification)


async def look(gateway: Gateway, certification: Certification) -> Certification:
    """Ask the company what became of it, and write that down. Unchanged while nobody knows."""
    if certification.final:
        return certification
    channel = await channel_of(gateway, certification)
    try:
        with gateway.pg_load.asking(channel.id):
            answer = await gateway.connector_of(channel).inquire_certification(
                channel, certification.number
            )
    except PgBusy:
        return certification
    match answer:
        case Certified():
            return await settle(gateway, certification, channel, answer)
        case Declined(code, message):
            return await give_up(gateway, certification, code, message)
        case Unknown(why):
            log.warning("%s: %s does not say: %s", certification.imp_uid, channel.pg_code, why)
        case Pending() | NotFound():
            pass
    return certification


async def settle(
    gateway: Gateway,
    certification: Certification,
    channel: Channel,
    certified: Certified,
    *,
    once: bool = False,
) -> Certification:
    """Write who it is, as far as the channel's contract allows to know. Raises AnswerMismatch.

    With `once` whoever comes after the one who wrote it hears AlreadyCertified.
    """
    if certified.number != certification.number:
        raise AnswerMismatch(f"{certification.imp_uid}: the company spoke of another person")
    if too_young(certification, certified):
        return await give_up(gateway, certification, *TOO_YOUNG)
    person = within_contract(certified.person, certifier(channel.pg_code), channel.settings)
    async with gateway.store.begin() as session:
        written = await session.certifications.certify(
            certification, person, certified.certified_at, certified.pg_tid
        )
    if written is not None:
        return written
    standing = await _as_it_stands(gateway, certification)
    if once and standing.stage is not Stage.FAILED:
        raise AlreadyCertified
    return standing


async def give_up(
    gateway: Gateway, certification: Certification, code: str, reason: str
) -> Certification:
    """It will not become a certification; what it held of a person goes. Answers the truth."""
    async with gateway.store.begin() as session:
        failed = await session.certifications.fail(certification.imp_uid, code, reason)
    return failed or await _as_it_stands(gateway, certification)


async def abandon_certification(
    gateway: Gateway, certification: Certification, code: str, reason: str
) -> Certification:
    """The person closed the window. Had the company certified them already, that is the truth."""
    if certification.final:
        return certification
    channel = await channel_of(gateway, certification)
    try:
        with gateway.pg_load.asking(channel.id):
            answer = await gateway.connector_of(channel).inquire_certification(
                channel, certification.number
            )
    except PgBusy as busy:
        answer = Unknown(busy.sentence)
    if isinstance(answer, Certified):
        return await settle(gateway, certification, channel, answer)
    if isinstance(answer, Unknown) and certification.promised_at is not None:
        return certification
    return await give_up(gateway, certification, code, reason)


async def delete_certification(gateway: Gateway, merchant_id: int, imp_uid: str) -> Certification:
    """Let go of a person for good; answers who it was. Raises NoSuchCertification."""
    async with gateway.store.begin() as session:
        certification = await session.certifications.get_of_merchant(imp_uid, merchant_id)
        if certification is None or certification.stage is not Stage.CERTIFIED:
            raise NoSuchCertification
        if not await session.certifications.delete(imp_uid, merchant_id):
            raise NoSuchCertification  # Somebody else was faster by a moment.
    return certification


async def end_certifications(gateway: Gateway) -> None:
    """Ask again where the company did not say, and end what nobody finished. For the worker."""
    now = gateway.now()
    async with gateway.store.direct() as session:
        due = await session.certifications.due(now, now - WINDOW_LIFE, AT_ONCE)
    for imp_uid in due:
        async with gateway.store.direct() as session:
            certification = await session.certifications.get(imp_uid)
        if certification is None or certification.final:
            continue
        looked = await look(gateway, certification)
        if looked.final:
            continue
        promised = certification.promised_at
        unpromised = promised is None or promised < now - LOOKED_FOR
        if unpromised and certification.opened_at < now - WINDOW_LIFE:
            await give_up(gateway, certification, *EXPIRED)
            continue
        async with gateway.store.direct() as session:
            await session.certifications.look_later(imp_uid, now + LOOK_AGAIN)


async def channel_of(gateway: Gateway, certification: Certification) -> Channel:
    """The channel that speaks to this one's company."""
    async with gateway.store.direct() as session:
        channel = await session.channels.get(certification.channel_id)
    assert channel is not None, "a certification's channel is never deleted"
    return channel


def check_channel(
    gateway: Gateway, merchant: Merchant, channel: Channel, power: Can, sentence: str
) -> None:
    """May this channel be asked now? Raises TestChannelRefused, BadRequest (`sentence`), PgBusy."""
    if channel.test and not merchant.allow_test_channels:
        raise TestChannelRefused
    if power not in gateway.connector_of(channel).can:
        raise BadRequest(sentence)
    if not gateway.pg_load.has_room(channel.id):
        raise PgBusy


async def _as_it_stands(gateway: Gateway, certification: Certification) -> Certification:
    async with gateway.store.direct() as session:
        found = await session.certifications.get(certification.imp_uid)
    assert found is not None, "certifications are never removed"
    return found
