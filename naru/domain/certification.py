"""A certification (본인인증): a person proves to a company who they are, and the merchant may read it.

It is about a person and never about money. Facts: REST §7, models §6, flows §11, SDK facts §8.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import date, datetime, timedelta, timezone
from enum import StrEnum
from typing import Any

from naru.domain.errors import NaruError, Refused
from naru.domain.ids import ImpUid, MerchantUid
from naru.domain.pg_profile import Mode

KST = timezone(timedelta(hours=9))
# How often a code may be tried, and how long one lives; the company holds both too.
CODE_TRIES = 5
CODE_LIFE = timedelta(minutes=3)
# How long a window may stay open, and how long what it promised is asked for.
WINDOW_LIFE = timedelta(minutes=30)
LOOKED_FOR = timedelta(days=1)


class Stage(StrEnum):
    """How far it has come. Forward only; a deleted one keeps its name and nothing else."""

    OPENED = "opened"  # a window of the person's browser
    ASKING = "asking"  # the company is being asked to send a code
    WAITING = "waiting"  # the person has the code, or the question in the app
    CERTIFIED = "certified"
    FAILED = "failed"
    DELETED = "deleted"


@dataclass(frozen=True, slots=True)
class Person:
    """Who it is, as the company says. `ci` is the same everywhere, `di` only at one merchant's site.

    `gender` is male, female or None; `foreigner` None: the company does not tell.
    """

    name: str | None = field(repr=False)
    birthday: date | None = field(repr=False)
    gender: str | None = None
    foreigner: bool | None = None
    phone: str | None = field(default=None, repr=False)
    carrier: str | None = None
    ci: str | None = field(default=None, repr=False)
    di: str | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Certification:
    """One certification as it stands. `number` is our own name for it at the company.

    `promised_at`: since then the company may hold a result that we have not read.
    `prefill`, `origin` and `person` are sealed at rest.
    """

    imp_uid: ImpUid
    merchant_id: int
    merchant_uid: MerchantUid | None
    channel_id: int
    pg_code: str
    sandbox: bool
    number: str
    stage: Stage
    opened_at: datetime
    tries: int = 0
    window_mode: str | None = None
    page_origin: str | None = None
    return_url: str | None = None
    request_id: str | None = None
    language: str = "ko"
    mobile: bool = False
    min_age: int | None = None
    promised_at: datetime | None = None
    certified_at: datetime | None = None
    pg_tid: str | None = None
    fail_code: str | None = None
    fail_reason: str | None = None
    prefill: dict[str, str] = field(default_factory=dict, repr=False)
    origin: str | None = field(default=None, repr=False)
    person: Person | None = field(default=None, repr=False)

    @property
    def final(self) -> bool:
        """Has it ended?"""
        return self.stage in (Stage.CERTIFIED, Stage.FAILED, Stage.DELETED)


# What a company may say.


@dataclass(frozen=True, slots=True)
class Certified:
    """This is the person; of the certification `number`, and of no other."""

    number: str
    pg_tid: str
    certified_at: datetime
    person: Person


@dataclass(frozen=True, slots=True)
class Pending:
    """The person has not finished. Says nothing about what comes."""


@dataclass(frozen=True, slots=True)
class CodeSent:
    """The person has the code, or the question in the app."""

    until: datetime


@dataclass(frozen=True, slots=True)
class WrongCode:
    """Not this code (or nothing confirmed in the app yet); `left` more tries."""

    message: str
    left: int


@dataclass(frozen=True, slots=True)
class CertificationOrder:
    """What a company needs to show its window."""

    certification: Certification
    merchant_name: str
    return_url: str


@dataclass(frozen=True, slots=True)
class CodeOrder:
    """Whom a company shall send a code to. `birth` is YYMMDD, `gender_digit` the seventh of the resident number."""

    number: str
    name: str = field(repr=False)
    phone: str = field(repr=False)
    birth: str = field(repr=False)
    gender_digit: str = field(repr=False)
    carrier: str  # SKT | KT | LGT
    mvno: bool
    by_app: bool
    company: str
    message: str | None = None  # the text of the SMS, with [000000] where the code goes


@dataclass(frozen=True, slots=True)
class Certifier:
    """The manners of one i'mport `pg` code for certifications (SDK facts §8, models §6)."""

    pg_code: str
    mid: str
    window: bool = True
    code: bool = False
    prefill: bool = False  # name, phone, carrier and min_age are heeded
    site_key: bool = True  # unique_in_site is told


CERTIFIERS: dict[str, Certifier] = {
    each.pg_code: each
    for each in (
        Certifier("danal", "B010007457", code=True, prefill=True),
        Certifier("inicis_unified", "MIIiasTest", site_key=False),
        Certifier("inicis", "INIiasTest"),
        Certifier("kcp_v2", "KCPCERT", code=True),
    )
}


def certifier(pg_code: str) -> Certifier:
    """The manners of this code; an unknown one shows a window and heeds no prefill."""
    return CERTIFIERS.get(pg_code) or Certifier(pg_code, "sandbox")


def window_mode(*, mobile: bool, popup: bool) -> Mode:
    """A popup on every PC; on a phone only for `popup: true`."""
    return Mode.POPUP if popup or not mobile else Mode.REDIRECT


class AlreadyCertified(Refused):
    """A code is confirmed once."""

    code = -1
    sentence = "이미 본인인증이 완료된 건입니다."


class NoSuchCertification(Refused):
    """No certification of this merchant has that id; a foreign one answers the same."""

    code = -1
    sentence = "인증결과가 존재하지 않습니다."


class CodeRefused(Refused):
    """The code is wrong, too old, or tried too often."""

    code = -1
    sentence = "인증번호가 만료되었거나 입력 횟수를 초과하였습니다. 본인인증을 다시 요청해주세요."


class ForgedCertification(NaruError):
    """The browser's word is not the company's word about this certification."""


def full_years(birthday: date, at: datetime) -> int:
    """How old somebody is (만 나이) on that day in Korea."""
    today = at.astimezone(KST).date()
    return today.year - birthday.year - ((today.month, today.day) < (birthday.month, birthday.day))


def midnight_seconds(birthday: date) -> int:
    """UNIX seconds of that day's beginning in Korea; negative before 1970."""
    return int(datetime(birthday.year, birthday.month, birthday.day, tzinfo=KST).timestamp())


def too_young(certification: Certification, certified: Certified) -> bool:
    """Did the merchant ask for more years than the person has? Who does not tell their birthday is too young."""
    if certification.min_age is None:
        return False
    birthday = certified.person.birthday
    return birthday is None or full_years(birthday, certified.certified_at) < certification.min_age


def within_contract(person: Person, manners: Certifier, settings: dict[str, Any]) -> Person:
    """What this channel's contract lets the merchant know; the rest is not even kept.

    Settings of a channel: `phone_approved` (phone number and carrier), `foreigner_contract`.
    """
    phone = settings.get("phone_approved") is True
    return Person(
        name=person.name,
        birthday=person.birthday,
        gender=person.gender,
        foreigner=person.foreigner if settings.get("foreigner_contract") is True else None,
        phone=person.phone if phone else None,
        carrier=person.carrier if phone else None,
        ci=person.ci,
        di=person.di if manners.site_key else None,
    )
