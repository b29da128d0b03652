"""The identity company (본인인증): a code by SMS or a question in an app, and who somebody is.

Anybody may be certified here under any name, birthday and phone, and is the same person every time. The
persons of PERSONS are registered: what they say of themselves must be true, and some of them fail.

    POST /v1/certifications                      Opening       -> registered (window_url)
    GET  /v1/certifications/{number}                           -> certified | open | failed
    POST /v1/certification-codes                 CodeAsk       -> sent | declined
    POST /v1/certifications/{number}/confirm     {code}        -> certified | wrong | failed
    GET  /identity/{window_id}                   identity.html
    POST /identity/{window_id}/person            PersonAsk     -> {"ok": true, "expires_at"} or a refusal
    POST /identity/{window_id}/code              {code}        -> {"ok": true, "return_form"} or a refusal
    POST /identity/{window_id}/app               {}            -> the same, once it is confirmed in the app
    POST /identity/{window_id}/cancel            {}            -> {"ok": true, "return_form"}
    GET  /identity/app/{app_key}                 identity_app.html, the person's own app
    POST /identity/app/{app_key}                 {"agree"}     -> {"ok": true}
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta, timezone
from typing import Annotated, Any, Literal, TypedDict

import msgspec
from msgspec import Meta
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from naru.sandbox import wire as w
from naru.sandbox.company import Company, company_of
from naru.sandbox.door import Refusal, json_response, read_page_json, render
from naru.sandbox.ledger import Book, Row
from naru.sandbox.orders import LongText, OrderNo, ShortText, Url, Word
from naru.sandbox.phone import rung_often
from naru.sandbox.vault import Vault

KST = timezone(timedelta(hours=9))
WINDOW_SECONDS = 30 * 60
CODE_SECONDS = 180
CODE_TRIES = 5
CODE_SENDS = 5

Json = dict[str, Any]
Carrier = Literal["SKT", "KT", "LGT"]
Birth = Annotated[str, Meta(pattern=r"^[0-9]{6}\Z")]
GenderDigit = Annotated[str, Meta(pattern=r"^[1-8]\Z")]
Phone = Annotated[str, Meta(pattern=r"^01[016789][0-9]{7,8}\Z")]
Code = Annotated[str, Meta(pattern=r"^[0-9]{6}\Z")]
PersonName = Annotated[str, Meta(min_length=2, max_length=50, pattern=r"^[^\x00-\x1f\x7f-\x9f]*\Z")]


class Fault(msgspec.Struct, frozen=True):
    """What goes wrong with a person of ours, and when."""

    at: Literal["sending", "sms", "confirming", "answer"]
    code: str
    message: str
    ko: str
    en: str


@dataclass(frozen=True, slots=True)
class Registered:
    """A person whom the carriers know."""

    name: str
    phone: str
    birth: str
    gender_digit: str
    carrier: Carrier
    mvno: bool = False
    ko: str = "인증됩니다."
    en: str = "Is certified."
    fault: Fault | None = None


PERSONS: tuple[Registered, ...] = (
    Registered("김나루", "01010000001", "900720", "2", "SKT"),
    Registered("이여울", "01010000002", "761107", "1", "KT", True),
    Registered(
        "최옛날",
        "01010000003",
        "580428",
        "2",
        "LGT",
        True,
        "1970년 이전 출생이라 birth 가 음수입니다.",
        "Born before 1970: `birth` is negative.",
    ),
    Registered(
        "박소년",
        "01010000004",
        "120505",
        "3",
        "LGT",
        False,
        "미성년자라서 min_age 19 에서 거절됩니다.",
        "A minor: refused where min_age is 19.",
    ),
    Registered(
        "존 스미스",
        "01010000005",
        "850302",
        "5",
        "SKT",
        False,
        "외국인입니다.",
        "A foreigner.",
    ),
    Registered(
        "정정지",
        "01010000011",
        "800101",
        "1",
        "SKT",
        fault=Fault(
            "sending",
            "LINE_SUSPENDED",
            "이용이 정지된 휴대폰 번호입니다.",
            "정지된 번호라서 거절됩니다.",
            "The line is suspended and refused.",
        ),
    ),
    Registered(
        "한분실",
        "01010000012",
        "800202",
        "2",
        "KT",
        fault=Fault(
            "confirming",
            "PERSON_BLOCKED",
            "명의도용 방지 서비스에 가입되어 인증할 수 없습니다.",
            "인증번호는 맞아도 본인인증이 거절됩니다.",
            "Refused although the code is right.",
        ),
    ),
    Registered(
        "문불통",
        "01010000013",
        "800303",
        "1",
        "LGT",
        fault=Fault("sms", "", "", "문자가 도착하지 않습니다.", "The message never arrives."),
    ),
    Registered(
        "고침묵",
        "01010000014",
        "800404",
        "2",
        "SKT",
        fault=Fault(
            "answer",
            "",
            "",
            "인증은 되지만 확인(confirm)의 응답이 끊어집니다.",
            "Is certified, but the answer to the confirmation is cut off.",
        ),
    ),
)
BY_PHONE = {each.phone: each for each in PERSONS}


class PersonRow(TypedDict):
    name: str
    phone: str
    birth: str  # YYMMDD and the seventh digit of the resident number
    carrier: str
    ko: str
    en: str
    code: str  # of the refusal, "" when there is none


class Opening(msgspec.Struct, frozen=True):
    number: OrderNo
    profile: Word
    merchant_name: LongText
    return_url: Url
    language: Literal["ko", "en", "zh", "ja"] = "ko"
    min_age: Annotated[int, Meta(ge=0, le=150)] | None = None
    name: ShortText | None = None
    phone: ShortText | None = None
    carrier: ShortText | None = None
    test: bool = True


class CodeAsk(msgspec.Struct, frozen=True):
    number: OrderNo
    name: PersonName
    phone: Phone
    birth: Birth
    gender_digit: GenderDigit
    carrier: Carrier
    merchant_name: LongText
    mvno: bool = False
    how: Literal["sms", "app"] = "sms"
    text: LongText | None = None


class PersonAsk(msgspec.Struct, frozen=True):
    """What somebody says of themselves in the window."""

    name: PersonName
    phone: Phone
    birth: Birth
    gender_digit: GenderDigit
    carrier: Carrier
    mvno: bool = False
    how: Literal["sms", "app"] = "sms"


class Confirmation(msgspec.Struct):
    code: Annotated[str, Meta(max_length=20)] | None = None


class CodeAnswer(msgspec.Struct):
    code: Code


class AppAnswer(msgspec.Struct):
    agree: bool


class Nothing(msgspec.Struct):
    """An empty body, `{}`."""


@dataclass(frozen=True, slots=True)
class Refused:
    """No, and why. `final`: this request is over."""

    code: str
    message: str
    left: int | None = None
    final: bool = False


# Who somebody is


def birthday_of(birth: str, digit: str) -> date | None:
    """The birthday that six digits and the seventh mean; None for a day that never was."""
    century = 1900 if digit in "1256" else 2000
    try:
        return date(century + int(birth[:2]), int(birth[2:4]), int(birth[4:]))
    except ValueError:
        return None


def years_of(birthday: date, now: int) -> int:
    today = datetime.fromtimestamp(now, KST).date()
    return today.year - birthday.year - ((today.month, today.day) < (birthday.month, birthday.day))


def person_of(vault: Vault, mid: str, said: PersonAsk) -> Json:
    """A person as members hear of them. `ci` is theirs everywhere, `di` at this member's site only.

    Both hang on who somebody is and not on their phone, which they may change.
    """
    birthday = birthday_of(said.birth, said.gender_digit)
    assert birthday is not None
    who = f"{said.name}\0{birthday.isoformat()}\0{said.gender_digit}".encode()
    ci = hmac.new(vault.pepper, b"ci\0" + who, hashlib.sha512).digest()
    di = hmac.new(vault.pepper, b"di\0" + mid.encode() + b"\0" + who, hashlib.sha256)
    return {
        "name": said.name,
        "birthday": birthday.isoformat(),
        "gender": "male" if said.gender_digit in "1357" else "female",
        "foreigner": said.gender_digit in "5678",
        "phone": said.phone,
        "carrier": f"{said.carrier}_MVNO" if said.mvno else said.carrier,
        "ci": base64.b64encode(ci).decode(),
        "di": di.hexdigest(),
    }


def why_not(said: PersonAsk, min_age: int | None, now: int) -> Refused | None:
    """Why no code is sent to this person."""
    birthday = birthday_of(said.birth, said.gender_digit)
    if birthday is None or birthday > datetime.fromtimestamp(now, KST).date():
        return Refused("BIRTH_WRONG", "생년월일이 올바르지 않습니다.")
    known = BY_PHONE.get(said.phone)
    if known is not None:
        mine = (said.name.replace(" ", ""), said.birth, said.gender_digit, said.carrier, said.mvno)
        theirs = (
            known.name.replace(" ", ""),
            known.birth,
            known.gender_digit,
            known.carrier,
            known.mvno,
        )
        if mine != theirs:
            return Refused("PERSON_MISMATCH", "통신사에 등록된 명의자 정보와 일치하지 않습니다.")
        if known.fault is not None and known.fault.at == "sending":
            return Refused(known.fault.code, known.fault.message)
    if min_age is not None and years_of(birthday, now) < min_age:
        return Refused("UNDER_AGE", f"만 {min_age}세 이상만 인증할 수 있습니다.", final=True)
    return None


def _fault(said: PersonAsk, at: str) -> Fault | None:
    known = BY_PHONE.get(said.phone)
    return known.fault if known and known.fault and known.fault.at == at else None


# Deeds


def _find(book: Book, window_id: str) -> Row:
    row = book.one("SELECT * FROM identity_requests WHERE window_id = ?", window_id)
    if row is None:
        raise Refusal(404, "NOT_FOUND", "없는 인증창입니다.")
    return row


def _of_number(book: Book, mid: str, number: str) -> Row | None:
    return book.one("SELECT * FROM identity_requests WHERE mid = ? AND number = ?", mid, number)


def _add(book: Book, mid: str, number: str, content: object, now: int, seconds: int) -> Row:
    """The request of this number; made the first time. Raises Refusal for other content."""
    text = msgspec.json.encode(content).decode()
    book.do(
        "INSERT INTO identity_requests (mid, number, window_id, app_key, asked, state, created_at,"
        " expires_at) VALUES (?, ?, ?, ?, ?, 'open', ?, ?) ON CONFLICT (mid, number) DO NOTHING",
        *(mid, number, secrets.token_urlsafe(16), secrets.token_urlsafe(16), text),
        *(now, now + seconds),
    )
    row = _of_number(book, mid, number)
    assert row is not None
    if row["asked"] != text:
        raise Refusal(409, "CONFLICT", "this number was used with other content")
    return row


def _end(book: Book, row: Row, state: str, code: str, message: str) -> None:
    book.do(
        "UPDATE identity_requests SET state = ?, code = ?, message = ? WHERE id = ? AND state = 'open'",
        *(state, code, message, row["id"]),
    )


def _open_row(row: Row, now: int) -> Refused | None:
    if row["state"] != "open":
        return Refused("ALREADY_FINISHED", "이미 처리가 끝난 본인인증입니다.", final=True)
    if now >= row["expires_at"]:
        return Refused("SESSION_EXPIRED", "본인인증 유효시간이 지났습니다.", final=True)
    return None


def _send(
    book: Book,
    company: Company,
    row: Row,
    said: PersonAsk,
    min_age: int | None,
    merchant: str,
    text: str | None,
    now: int,
) -> Refused | int:
    """Send a code or an app's question. Answers until when it can be used."""
    refused = why_not(said, min_age, now)
    if refused is not None:
        if refused.final:
            _end(book, row, "failed", refused.code, refused.message)
        return refused
    # Nobody answers the registered phones: programs that try them may ring as they like.
    if said.phone not in BY_PHONE:
        free_at = book.ring(company.vault.mac("ring", said.phone), now)
        if free_at is not None:
            return Refused("PHONE_RUNG_OFTEN", rung_often(free_at))
    until = min(now + CODE_SECONDS, row["expires_at"])
    code = f"{secrets.randbelow(10**6):06d}"
    mac = company.vault.mac("identity code", row["window_id"], code)
    sent = book.do(
        "UPDATE identity_requests SET said = ?, code_mac = ?, code_until = ?, tries = 0, agreed = NULL,"
        " sends = sends + 1 WHERE id = ? AND sends < ?",
        *(msgspec.json.encode(said).decode(), mac, until, row["id"], CODE_SENDS),
    )
    if not sent:
        return Refused("TOO_MANY_CODES", "인증번호 요청 횟수를 초과하였습니다.")
    recipient = f"{said.phone[:3]}-****-{said.phone[-4:]}"
    if said.how == "app":
        address = f"{company.address}/identity/app/{row['app_key']}"
        message = f"[나루 샌드박스] 인증 앱: {merchant} 본인인증을 확인해 주세요. {address}"
    elif text and "[000000]" in text:
        message = text.replace("[000000]", f"[{code}]")
    else:
        message = f"[나루 샌드박스] 인증번호 [{code}] {merchant} 본인인증 (3분 안에 입력)"
    if _fault(said, "sms") is None:
        book.post_message(recipient, message, now)
    return int(until)


def _check(book: Book, vault: Vault, row: Row, code: str | None, now: int) -> Refused | None:
    """Was it this code, or confirmed in the app? None: the person is certified."""
    refused = _open_row(row, now)
    if refused is not None:
        if refused.code == "SESSION_EXPIRED":
            _end(book, row, "failed", refused.code, refused.message)
        return refused
    if row["said"] is None:
        return Refused("NOTHING_SENT", "인증번호를 먼저 요청해 주세요.")
    said = msgspec.json.decode(row["said"], type=PersonAsk)
    if now >= row["code_until"]:
        return Refused("CODE_DEAD", "인증번호 입력시간이 지났습니다. 다시 요청해 주세요.", 0)
    if said.how == "app":
        if row["agreed"] is None:
            return Refused("NOT_CONFIRMED", "아직 앱에서 확인되지 않았습니다.", CODE_TRIES)
        if not row["agreed"]:
            refused = Refused("APP_REFUSED", "앱에서 본인인증을 거절하였습니다.", final=True)
            _end(book, row, "failed", refused.code, refused.message)
            return refused
    else:
        tried = book.one(
            "UPDATE identity_requests SET tries = tries + 1 WHERE id = ? AND tries < ? RETURNING tries",
            *(row["id"], CODE_TRIES),
        )
        mac = vault.mac("identity code", row["window_id"], code or "")
        left = 0 if tried is None else CODE_TRIES - tried["tries"]
        if tried is None or not hmac.compare_digest(row["code_mac"], mac):
            if left <= 0:
                refused = Refused(
                    "TOO_MANY_TRIES", "인증번호를 5회 잘못 입력하였습니다.", final=True
                )
                _end(book, row, "failed", refused.code, refused.message)
                return refused
            return Refused(
                "CODE_WRONG", f"인증번호가 일치하지 않습니다. (남은 횟수 {left}회)", left
            )
    fault = _fault(said, "confirming")
    if fault is not None:
        refused = Refused(fault.code, fault.message, final=True)
        _end(book, row, "failed", refused.code, refused.message)
        return refused
    person = person_of(vault, row["mid"], said)
    book.do(
        "UPDATE identity_requests SET state = 'certified', tid = ?, certified_at = ?, person = ?,"
        " said = NULL, phone = ? WHERE id = ? AND state = 'open'",
        *(f"sbi{datetime.fromtimestamp(now, UTC):%Y%m%d}{secrets.token_hex(10)}", now),
        *(msgspec.json.encode(person).decode(), said.phone, row["id"]),
    )
    return None


def _told(row: Row) -> Json:
    """What a member hears of a request."""
    match row["state"]:
        case "certified":
            return {
                "result": "certified",
                "number": row["number"],
                "tid": row["tid"],
                "certified_at": row["certified_at"],
                "person": msgspec.json.decode(row["person"]),
            }
        case "open":
            return {"result": "open", "number": row["number"]}
        case _:
            return {
                "result": "failed",
                "number": row["number"],
                "code": row["code"],
                "message": row["message"],
            }


# The members' API


async def register(call: w.Call) -> w.Answer:
    ask, company = call.read(Opening), call.company

    def deed(book: Book) -> Row:
        return _add(book, call.member.mid, ask.number, ask, company.now(), WINDOW_SECONDS)

    row = await company.ledger.write(deed)
    return {
        "result": "registered",
        "number": ask.number,
        "window_url": f"{company.address}/identity/{row['window_id']}",
        "expires_at": row["expires_at"],
    }


async def tell(call: w.Call) -> w.Answer:
    company, number = call.company, call.path("number")

    def deed(book: Book) -> Row | None:
        row = _of_number(book, call.member.mid, number)
        if row is not None and row["state"] == "open" and company.now() >= row["expires_at"]:
            _end(book, row, "failed", "SESSION_EXPIRED", "본인인증 유효시간이 지났습니다.")
            row = _of_number(book, call.member.mid, number)
        return row

    row = await company.ledger.write(deed)
    if row is None:
        raise Refusal(404, "NOT_FOUND", "this number was never seen")
    return _told(row)


async def send_code(call: w.Call) -> w.Answer:
    """The same number and content once more sends nothing and answers the same."""
    ask, company = call.read(CodeAsk), call.company
    said = PersonAsk(
        ask.name, ask.phone, ask.birth, ask.gender_digit, ask.carrier, ask.mvno, ask.how
    )

    def deed(book: Book) -> w.Answer:
        now = company.now()
        row = _add(book, call.member.mid, ask.number, ask, now, CODE_SECONDS)
        sent: w.Answer = {
            "result": "sent",
            "number": ask.number,
            "expires_at": row["code_until"] or row["expires_at"],
        }
        if row["sends"]:
            return sent
        if row["state"] == "open":
            outcome = _send(book, company, row, said, None, ask.merchant_name, ask.text, now)
            if not isinstance(outcome, Refused):
                return sent | {"expires_at": outcome}
            _end(book, row, "failed", outcome.code, outcome.message)
            row = row | {"code": outcome.code, "message": outcome.message}
        return {
            "result": "declined",
            "number": ask.number,
            "code": row["code"],
            "message": row["message"],
        }

    return await company.ledger.write(deed)


async def confirm(call: w.Call) -> w.Answer | Response:
    """Asking again after the person is certified answers the person again."""
    ask, company, number = call.read(Confirmation), call.company, call.path("number")

    def deed(book: Book) -> tuple[w.Answer, bool]:
        row = _of_number(book, call.member.mid, number)
        if row is None or row["sends"] == 0:
            raise Refusal(404, "NOT_FOUND", "this number was never seen")
        if row["state"] != "open":
            return _told(row), False
        refused = _check(book, company.vault, row, ask.code, company.now())
        now_row = _of_number(book, call.member.mid, number)
        assert now_row is not None
        if refused is None or refused.final:
            return _told(now_row), refused is None
        return {
            "result": "wrong",
            "number": number,
            "code": refused.code,
            "message": refused.message,
            "attempts_left": refused.left or 0,
        }, False

    answer, fresh = await company.ledger.write(deed)
    if fresh and answer["person"]["phone"] in BY_PHONE:
        known = BY_PHONE[answer["person"]["phone"]]
        if known.fault is not None and known.fault.at == "answer":
            return w.Cut()
    return answer


# The window


def _asked(row: Row) -> Opening:
    return msgspec.json.decode(row["asked"], type=Opening)


def _return_form(company: Company, row: Row) -> Json | None:
    """The signed form that brings the browser back; None while the request is open."""
    if row["state"] == "open":
        return None
    member = company.member(row["mid"])
    assert member is not None
    fields = {
        "mid": row["mid"],
        "number": row["number"],
        "status": row["state"],
        "code": row["code"],
        "message": row["message"],
        "at": str(company.now()),
    }
    signed = "\n".join(["certification", *fields.values()]).encode()
    fields["signature"] = hmac.new(member.secret.encode(), signed, hashlib.sha256).hexdigest()
    return {"action": _asked(row).return_url, "fields": fields}


def _answer(company: Company, window_id: str, refused: Refused | None, **more: Any) -> Response:
    row = company.ledger.read(_find, window_id)
    form = _return_form(company, row)
    if refused is None:
        return json_response({"ok": True, "return_form": form, **more})
    said: Json = {"ok": False, "code": refused.code, "message": refused.message}
    if refused.left is not None:
        said["attempts_left"] = refused.left
    return json_response(said | {"return_form": form})


async def show(request: Request) -> Response:
    company = company_of(request)
    row = company.ledger.read(_find, request.path_params["window_id"])
    asked, now = _asked(row), company.now()
    context = {
        "merchant_name": asked.merchant_name,
        "language": "ko" if asked.language == "ko" else "en",
        "profile": asked.profile,
        "min_age": asked.min_age,
        "name": asked.name or "",
        "phone": asked.phone or "",
        "carrier": asked.carrier or "",
        "test": asked.test,
        "server_time": now,
        "expires_at": row["expires_at"],
        "expired": row["state"] == "open" and now >= row["expires_at"],
        "return_form": _return_form(company, row),
        "inbox_url": f"{company.address}/inbox",
    }
    return render(company, "identity.html", context, popup=True)


async def say_who(request: Request) -> Response:
    company, window_id = company_of(request), request.path_params["window_id"]
    said = await read_page_json(request, PersonAsk)

    def deed(book: Book) -> Refused | int:
        row, now = _find(book, window_id), company.now()
        refused = _open_row(row, now)
        if refused is not None:
            if refused.code == "SESSION_EXPIRED":
                _end(book, row, "failed", refused.code, refused.message)
            return refused
        asked = _asked(row)
        return _send(book, company, row, said, asked.min_age, asked.merchant_name, None, now)

    outcome = await company.ledger.write(deed)
    if isinstance(outcome, Refused):
        return _answer(company, window_id, outcome)
    return json_response({"ok": True, "expires_at": outcome, "return_form": None})


async def check_code(request: Request) -> Response:
    ask = await read_page_json(request, CodeAnswer)
    return await _confirm_in_window(request, ask.code)


async def check_app(request: Request) -> Response:
    await read_page_json(request, Nothing)
    return await _confirm_in_window(request, None)


async def _confirm_in_window(request: Request, code: str | None) -> Response:
    company, window_id = company_of(request), request.path_params["window_id"]

    def deed(book: Book) -> Refused | None:
        return _check(book, company.vault, _find(book, window_id), code, company.now())

    return _answer(company, window_id, await company.ledger.write(deed))


async def cancel(request: Request) -> Response:
    company, window_id = company_of(request), request.path_params["window_id"]
    await read_page_json(request, Nothing)

    def deed(book: Book) -> None:
        row = _find(book, window_id)
        _end(book, row, "cancelled", "USER_CANCEL", "사용자가 본인인증을 취소하였습니다.")

    await company.ledger.write(deed)
    return _answer(company, window_id, None)


# The person's app


def _of_app(book: Book, app_key: str) -> Row:
    row = book.one("SELECT * FROM identity_requests WHERE app_key = ?", app_key)
    if row is None:
        raise Refusal(404, "NOT_FOUND", "없는 인증 요청입니다.")
    return row


async def show_app(request: Request) -> Response:
    company = company_of(request)
    row = company.ledger.read(_of_app, request.path_params["app_key"])
    merchant = msgspec.json.decode(row["asked"])["merchant_name"]
    waits = row["state"] == "open" and row["agreed"] is None and company.now() < _until(row)
    return render(company, "identity_app.html", {"merchant_name": merchant, "waits": waits})


def _until(row: Row) -> int:
    return int(row["code_until"] or 0)


async def answer_app(request: Request) -> Response:
    company, app_key = company_of(request), request.path_params["app_key"]
    ask = await read_page_json(request, AppAnswer)

    def deed(book: Book) -> bool:
        row = _of_app(book, app_key)
        return bool(
            book.do(
                "UPDATE identity_requests SET agreed = ? WHERE id = ? AND state = 'open'"
                " AND agreed IS NULL AND code_until > ?",
                *(int(ask.agree), row["id"], company.now()),
            )
        )

    if not await company.ledger.write(deed):
        over = {"ok": False, "code": "OVER", "message": "이미 끝난 인증 요청입니다."}
        return json_response(over)
    return json_response({"ok": True})


def persons() -> list[PersonRow]:
    """The registered persons, for the page of scenarios."""
    return [
        {
            "name": each.name,
            "phone": f"{each.phone[:3]}-{each.phone[3:7]}-{each.phone[7:]}",
            "birth": f"{each.birth}-{each.gender_digit}",
            "carrier": f"{each.carrier}_MVNO" if each.mvno else each.carrier,
            "ko": each.fault.ko if each.fault else each.ko,
            "en": each.fault.en if each.fault else each.en,
            "code": each.fault.code if each.fault else "",
        }
        for each in PERSONS
    ]


_WINDOW = "/identity/{window_id}"
ROUTES = [
    Route("/v1/certifications", w.signed(register), methods=["POST"]),
    Route("/v1/certifications/{number}", w.signed(tell), methods=["GET"]),
    Route("/v1/certifications/{number}/confirm", w.signed(confirm), methods=["POST"]),
    Route("/v1/certification-codes", w.signed(send_code), methods=["POST"]),
    Route("/identity/app/{app_key}", show_app, methods=["GET"]),
    Route("/identity/app/{app_key}", answer_app, methods=["POST"]),
    Route(_WINDOW, show, methods=["GET"]),
    Route(f"{_WINDOW}/person", say_who, methods=["POST"]),
    Route(f"{_WINDOW}/code", check_code, methods=["POST"]),
    Route(f"{_WINDOW}/app", check_app, methods=["POST"]),
    Route(f"{_WINDOW}/cancel", cancel, methods=["POST"]),
]
