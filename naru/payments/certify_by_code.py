"""A person proves by a code who they are, asked for by the merchant's server: no window."""

from __future__ import annotations

from dataclasses import dataclass, field

from naru.connectors import Can
from naru.domain.certification import (
    CODE_LIFE,
    AlreadyCertified,
    Certification,
    Certified,
    CodeOrder,
    CodeRefused,
    CodeSent,
    NoSuchCertification,
    Pending,
    Stage,
    WrongCode,
    certifier,
)
from naru.domain.channel import Channel
from naru.domain.errors import BadRequest, OutcomeUnknown, PgBusy, PgRefused
from naru.domain.ids import MerchantUid
from naru.domain.merchant import Merchant
from naru.domain.once import Once
from naru.domain.outcome import Declined, NotFound, Unknown
from naru.payments.certify import LOOK_AFTER, begin, channel_of, check_channel, give_up, settle
from naru.payments.gateway import Gateway

NO_CODES = "API 본인인증(SMS, APP)을 지원하지 않는 인증사입니다."
DOUBT = "인증사의 처리 결과를 확인하고 있습니다. 잠시 후 다시 시도해주세요."


@dataclass(frozen=True, slots=True)
class CodeAsk:
    """Whom the merchant's server asks about. `carrier` is SKT, KT or LGT."""

    merchant: Merchant
    channel: Channel
    merchant_uid: MerchantUid | None
    name: str = field(repr=False)
    phone: str = field(repr=False)
    birth: str = field(repr=False)
    gender_digit: str = field(repr=False)
    carrier: str
    mvno: bool = False
    by_app: bool = False
    company: str | None = None
    message: str | None = None


async def request_code(gateway: Gateway, ask: CodeAsk, once: Once | None = None) -> Certification:
    """Have a code sent. What was asked of the person is sent on, and not kept.

    Raises TestChannelRefused, BadRequest (no such power), PgBusy, PgRefused with the company's words,
    Superseded, and OutcomeUnknown when the company did not answer (no second code is sent for it).
    """
    channel = ask.channel
    check_channel(gateway, ask.merchant, channel, Can.CERTIFY_CODE, NO_CODES)
    if not certifier(channel.pg_code).code:
        raise BadRequest(NO_CODES)
    certification = Certification(
        imp_uid=gateway.ids.imp_uid(),
        merchant_id=ask.merchant.id,
        merchant_uid=ask.merchant_uid,
        channel_id=channel.id,
        pg_code=channel.pg_code,
        sandbox=channel.test,
        number=gateway.ids.pg_order_no(),
        stage=Stage.ASKING,
        opened_at=gateway.now(),
    )
    opened = await begin(gateway, certification, None, once)
    order = CodeOrder(
        number=opened.number,
        name=ask.name,
        phone=ask.phone,
        birth=ask.birth,
        gender_digit=ask.gender_digit,
        carrier=ask.carrier,
        mvno=ask.mvno,
        by_app=ask.by_app,
        company=ask.company or ask.merchant.name,
        message=ask.message,
    )
    with gateway.pg_load.asking(channel.id):
        connector = gateway.connector_of(channel)
        answer = await connector.send_code(channel, order)
        if isinstance(answer, Unknown):
            # The same number once more sends nothing; it only tells what was done.
            answer = await connector.send_code(channel, order)
    return await _settle_sending(gateway, opened, answer)


async def what_became_of_code(gateway: Gateway, certification: Certification) -> Certification:
    """Of a question whose answer is not known: was a code sent? Raises as `request_code`."""
    if certification.stage is Stage.FAILED:
        raise PgRefused(certification.fail_code or "", certification.fail_reason or "")
    if certification.stage is not Stage.ASKING:
        return certification
    channel = await channel_of(gateway, certification)
    connector = gateway.connector_of(channel)
    match await connector.inquire_certification(channel, certification.number):
        case Pending() | Certified():
            return await _sent(gateway, certification)
        case Declined(code, message):
            return await _settle_sending(gateway, certification, Declined(code, message))
        case NotFound() | Unknown():
            raise OutcomeUnknown(DOUBT)


async def confirm_code(
    gateway: Gateway, merchant_id: int, imp_uid: str, code: str | None
) -> Certification:
    """Was it this code? `code` None asks what the person confirmed in the app.

    A right code is accepted once, however many bring it at the same moment. Raises NoSuchCertification,
    AlreadyCertified, CodeRefused (wrong, too old, too often) and
    OutcomeUnknown; asking again is safe.
    """
    now = gateway.now()
    async with gateway.store.direct() as session:
        found = await session.certifications.get_of_merchant(imp_uid, merchant_id)
    if found is None or found.window_mode is not None:
        raise NoSuchCertification
    if found.stage is Stage.CERTIFIED:
        raise AlreadyCertified
    if found.stage is Stage.FAILED:
        raise CodeRefused(found.fail_reason)
    async with gateway.store.begin() as session:
        # The try is spent before the company is asked: however many ask at once, five are asked.
        tried = await session.certifications.try_code(
            imp_uid, merchant_id, now - CODE_LIFE, now, now + LOOK_AFTER
        )
    if tried is None:
        raise CodeRefused
    channel = await channel_of(gateway, tried)
    try:
        with gateway.pg_load.asking(channel.id):
            answer = await gateway.connector_of(channel).confirm_code(channel, tried.number, code)
    except PgBusy as busy:
        raise OutcomeUnknown(DOUBT) from busy
    match answer:
        case Certified():
            settled = await settle(gateway, tried, channel, answer, once=True)
        case WrongCode(message, _):
            raise CodeRefused(message)
        case Declined(refusal, message):
            settled = await give_up(gateway, tried, refusal, message)
        case Unknown():
            raise OutcomeUnknown(DOUBT)
    if settled.stage is not Stage.CERTIFIED:
        raise CodeRefused(settled.fail_reason)
    return settled


async def _settle_sending(
    gateway: Gateway, opened: Certification, answer: CodeSent | Declined | Unknown
) -> Certification:
    match answer:
        case CodeSent():
            return await _sent(gateway, opened)
        case Declined(code, message):
            await give_up(gateway, opened, code, message)
            raise PgRefused(code, message)
        case Unknown():
            raise OutcomeUnknown(DOUBT)


async def _sent(gateway: Gateway, opened: Certification) -> Certification:
    async with gateway.store.direct() as session:
        waiting = await session.certifications.wait(opened.imp_uid)
    return waiting or opened
