"""V1 in plain Python, further: people. Who somebody is (certifications by a code), and who quick pay knows.

What the company and the PG know is kept beside what the gateway knows: a doubt is the difference.
"""

from __future__ import annotations

from dataclasses import dataclass

from tests.model.v1 import ALREADY_PAID, CHECKING, Payment, Words
from tests.model.v1_papers import Papers

NOBODY = "인증결과가 존재하지 않습니다."
CERTIFIED_ALREADY = "이미 본인인증이 완료된 건입니다."
CODE_REFUSED = "인증번호가 만료되었거나 입력 횟수를 초과하였습니다. 본인인증을 다시 요청해주세요."
CODE_DOUBT = "인증사의 처리 결과를 확인하고 있습니다. 잠시 후 다시 시도해주세요."
TOO_MANY_CODES = "본인인증 요청이 너무 많습니다. 잠시 후 다시 시도해주세요."
EXPIRED = "본인인증 유효시간이 지났습니다."
# The company's own words.
CODE_WRONG = "인증번호가 일치하지 않습니다."
CODE_DEAD = "인증번호 입력시간이 지났습니다."
TOO_MANY_TRIES = "인증번호를 5회 잘못 입력하였습니다."

NO_MEMBER = "유효하지 않은 member_id 입니다."
NO_FIDO = "등록된 거래가 없습니다."
NO_PIN = "PIN 인증(PinCheck)을 진행한 결제건이 존재하지 않습니다."
QUICK_ANNOUNCED = "이미 사전등록된 merchant_uid 입니다."
QUICK_NOT_ANNOUNCED = "사전등록 정보를 찾을 수 없습니다."
QUICK_DIFFERS = "사전등록된 선불머니 결제금액과 요청금액이 일치하지 않습니다."

CODE_SECONDS, CODE_TRIES = 180, 5
CODES_OF_PHONE, CODES_WINDOW = 5, 600
WINDOW_SECONDS, LOOKED_FOR = 1_800, 86_400
QUICK = "kcp_quick"


@dataclass(eq=False)
class Code:
    """A certification by a code. `company`: what the company knows (None: it never heard of it)."""

    merchant: int
    phone: str
    order: str
    opened_at: int
    imp_uid: str = ""
    told: bool = False  # does the merchant know its name?
    stage: str = "asking"
    company: str | None = None  # open | certified | failed
    tries: int = 0
    tries_there: int = 0
    certified_at: int = 0  # by the company's clock
    promised_at: int = 0
    fail_reason: str = ""

    @property
    def open(self) -> bool:
        """Has it not ended?"""
        return self.stage in ("asking", "waiting")

    def fail(self, reason: str) -> None:
        """Nobody is certified."""
        self.stage, self.fail_reason = "failed", reason


@dataclass
class Member:
    """Whom quick pay knows."""

    inserted: int
    updated: int
    fido: bool = True


@dataclass(eq=False)
class Question:
    """What the PG is asked about a member. `answer`: what it did; None while it never heard of it."""

    merchant: int
    kind: str  # delete | release
    member: str
    answer: tuple[str, int, int] | None = None
    ended: bool = False
    silences: int = 1


class People(Papers):
    """With certifications and members of quick pay."""

    def __init__(self) -> None:
        super().__init__()
        self.codes: list[Code] = []
        # How often a phone was rung, and until when that counts.
        self.rung: dict[str, tuple[int, int]] = {}
        self.members: dict[str, Member] = {}
        self.questions: list[Question] = []
        self.pins: dict[str, str] = {}  # who entered their PIN, by the payment
        self.wallets: dict[str, str] = {}  # whose money was taken, by the payment
        self.quick_prepared: dict[tuple[int, str], int | None] = {}

    # --- certifications ------------------------------------------------------------------------

    def rings(self, phone: str, now: int) -> bool:
        """May this phone be rung once more, by whomever?"""
        count, ends_at = self.rung.get(phone, (0, 0))
        if ends_at <= now:
            count, ends_at = 0, now + CODES_WINDOW
        self.rung[phone] = (count + 1, ends_at)
        return count < CODES_OF_PHONE

    def settle_code(self, code: Code, fates: tuple[str, str], declined: str) -> str:
        """The company's answers to the question for a code, and to its repetition: what is known."""
        self.codes.append(code)
        for fate in fates:
            if fate == "declined":
                code.fail(declined)
                return "declined"
            if fate != "never":
                code.company = "open"
            if fate == "ok":
                code.stage = "waiting"
                return "sent"
        return "unknown"

    @staticmethod
    def sent(code: Code) -> None:
        """Whoever repeats the question hears what the company knows: a code is out, or it is over."""
        if code.company == "failed":
            code.fail(TOO_MANY_TRIES)
        else:
            code.stage = "waiting"

    def refuse_code(self, code: Code, merchant: int, now: int) -> Words | None:
        """Why no company is asked to compare a code, if so. A try is spent otherwise."""
        if code.merchant != merchant or code.stage == "deleted":
            return 404, -1, NOBODY
        if code.stage == "certified":
            return 400, -1, CERTIFIED_ALREADY
        if code.stage == "failed":
            return 400, -1, code.fail_reason
        if not code.open or code.tries >= CODE_TRIES or now >= code.opened_at + CODE_SECONDS:
            return 400, -1, CODE_REFUSED
        code.tries += 1
        code.promised_at = code.promised_at or now
        return None

    def compared(self, code: Code, *, right: bool, fate: str, now: int) -> Words | None:
        """What the company makes of it, and what is heard of that. None: the person is certified."""
        words: str | None = None
        if fate != "never" and code.company == "open":
            code.tries_there += 1
            if right:
                code.company, code.certified_at = "certified", now
            elif code.tries_there == CODE_TRIES:
                code.company = "failed"
            else:
                words = CODE_WRONG
        if fate != "ok":
            return 200, 1, CODE_DOUBT
        self.look(code)
        return None if code.stage == "certified" else (400, -1, words or code.fail_reason)

    @staticmethod
    def look(code: Code) -> None:
        """The company tells what it knows."""
        if code.company == "certified":
            code.stage = "certified"
        elif code.company == "failed":
            code.fail(TOO_MANY_TRIES)

    def end_codes(self, now: int, *, silent: bool) -> None:
        """The worker asks about what was promised, and ends what nobody finished."""
        for each in self.codes:
            old = each.opened_at < now - WINDOW_SECONDS
            if not each.open or not (each.promised_at or old):
                continue
            if not silent:
                self.look(each)
            promised = each.promised_at >= now - LOOKED_FOR
            if each.open and old and not promised:
                each.fail(EXPIRED)

    # --- members of quick pay ------------------------------------------------------------------

    def owner(self, member: str) -> int:
        """Whose member it is: of the merchant whom they paid first, before that of the MID's first."""
        paid = [
            (each.paid_at, each.imp_uid, each.merchant)
            for each in self.payments
            if self.wallets.get(each.imp_uid) == member and each.step in ("paid", "cancelled")
        ]
        return min(paid)[2] if paid else 0

    def question_of(self, merchant: int, kind: str, member: str) -> Question:
        """The one that is open, or a new one."""
        for each in self.questions:
            same = (each.merchant, each.kind, each.member) == (merchant, kind, member)
            if same and not each.ended:
                return each
        return Question(merchant, kind, member)

    def hear(self, question: Question, now: int) -> None:
        """The PG hears the question, and does once what it can."""
        if question.answer is not None:
            return
        member = self.members.get(question.member)
        if member is None or (question.kind == "release" and not member.fido):
            question.answer = ("refused", 0, 0)
        else:
            if question.kind == "delete":
                del self.members[question.member]
            else:
                member.fido, member.updated = False, now
            question.answer = ("done", member.inserted, member.updated)

    def end_questions(self, now: int, *, silent: bool) -> None:
        """The worker asks again, by the same number."""
        for each in self.questions:
            if each.ended:
                continue
            if silent:
                each.silences += 1
            else:
                self.hear(each, now)
                each.ended = True

    def refuse_money(self, merchant: int, order: str, amount: int, pin: Payment) -> Words | None:
        """Why no wallet is asked for this order's money, if so."""
        if self.quick_prepared.get((merchant, order)) not in (None, amount):
            return 200, 1, QUICK_DIFFERS
        if pin.merchant != merchant or pin.pg != QUICK:
            return 200, 1, NO_PIN
        holder = self.holder(merchant, order)
        if holder is None:
            return None
        return 200, 1, CHECKING if holder.step == "approving" else ALREADY_PAID
