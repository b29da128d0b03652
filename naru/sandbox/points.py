"""Money that lies with a company instead of a bank: welfare points (Benepia), taken without a window.

What a person has left is not counted but worked out: what they were given, less what was taken and
not given back. So a cancel, or an approval that is undone, returns points by returning money.
Without a member code a payment is a test and uses nothing up.
"""

from __future__ import annotations

import hmac
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Annotated, Any

import msgspec
from msgspec import Meta
from starlette.responses import Response
from starlette.routing import Route

from naru.sandbox import magic
from naru.sandbox import wire as w
from naru.sandbox.ledger import Book
from naru.sandbox.orders import Means, Order, OrderAsk, ShortText

Secret = Annotated[str, Meta(min_length=1, max_length=100)]


@dataclass(frozen=True, slots=True)
class PointAccount:
    """A person whom the company of the points knows, with the demo password that everybody may read."""

    user: str
    password: str
    granted: int
    ko: str
    en: str
    suspended: bool = False


PERSONS = {
    person.user: person
    for person in (
        PointAccount(
            "benepia", "point1234", 100_000_000, "넉넉한 포인트", "More points than one needs"
        ),
        PointAccount("benepia-poor", "point1234", 500, "500 포인트뿐", "500 points, no more"),
        PointAccount(
            "benepia-left", "point1234", 10_000, "퇴사하여 정지됨", "Suspended", suspended=True
        ),
    )
}
MEMBER_CODES = ("1001", "1002")


class BalanceAsk(msgspec.Struct, frozen=True):
    """The body of `POST /v1/points/balance`."""

    user: ShortText
    password: Secret


class PointAsk(OrderAsk, frozen=True, kw_only=True):
    """The body of `POST /v1/points/payments`."""

    user: ShortText
    password: Secret
    member_code: ShortText | None = None


# Purchases


Refused = tuple[str, str]
# Inside the deed: the code and words of a refusal, or None; called for a fresh order only.
Look = Callable[[Book], Refused | None]


async def purchase(
    call: w.Call, ask: OrderAsk, pay_method: str, look: Look, keep: Callable[[Book], None]
) -> w.Answer | Response:
    """Take the money of an order at once; the same order number is answered as it was the first time.

    `keep` writes down, in the same deed, whose money it was.
    """
    company, mid = call.company, call.member.mid
    scenario = magic.scenario_of(None, ask.amount)
    wanted = magic.manner_at(scenario, "approval")

    def deed(book: Book) -> w.Answer:
        return _purchase(book, call, ask, pay_method, look, keep, wanted.amount_off)

    async def do() -> w.Answer:
        return await company.ledger.write(deed)

    doing: Callable[[], Awaitable[w.Answer]] = do
    undone = company.ledger.read(Book.tombstone, mid, ask.order_no) is not None
    if wanted is magic.PLAIN or undone:
        return await doing()
    return await w.misbehave(call, wanted, doing)


def _purchase(
    book: Book,
    call: w.Call,
    ask: OrderAsk,
    pay_method: str,
    look: Look,
    keep: Callable[[Book], None],
    amount_off: int,
) -> w.Answer:
    now = call.company.now()
    scenario = magic.scenario_of(None, ask.amount)

    def why_not() -> Refused | None:
        if ask.currency != "KRW":
            return "CURRENCY_REFUSED", "원화만 사용할 수 있습니다."
        return look(book) or magic.refusal_at(scenario, "approval")

    def take(order: Order) -> w.Answer:
        order = w.authenticated(book, order, Means(), now)
        answer = w.take_money(book, call.company.address, order, order.amount + amount_off, now)
        keep(book)
        book.advance(order, ("authenticated",), "approved", "", "")
        return answer

    # What was asked may hold a password: only who has the pepper can guess at it.
    content = call.company.vault.mac("purchase", pay_method, w.fingerprint(ask)).hex()
    announced = ask.announcement(pay_method)
    return w.answer_order(book, call.member.mid, announced, content, why_not, take, now)


def used(book: Book, account: str) -> int:
    """What is taken from this account and not given back."""
    row = book.one(
        "SELECT coalesce(sum(c.taken - c.returned), 0) AS used FROM purses p"
        " JOIN charges c USING (mid, order_no) WHERE p.account = ?",
        account,
    )
    assert row is not None
    return int(row["used"])


def use(book: Book, account: str, mid: str, order_no: str) -> None:
    """Inside a deed: the money of this order came from this account."""
    book.do("INSERT INTO purses (mid, order_no, account) VALUES (?, ?, ?)", mid, order_no, account)


# Benepia


async def balance(call: w.Call) -> w.Answer:
    ask = call.read(BalanceAsk)
    refusal = _who(ask.user, ask.password)
    if isinstance(refusal, tuple):
        return {"result": "refused", "code": refusal[0], "message": refusal[1]}
    left = refusal.granted - call.company.ledger.read(used, _account(refusal))
    return {"result": "points", "user": refusal.user, "point": max(left, 0)}


async def pay(call: w.Call) -> w.Answer | Response:
    ask = call.read(PointAsk)
    mid = call.member.mid

    def look(book: Book) -> Refused | None:
        person = _who(ask.user, ask.password)
        if isinstance(person, tuple):
            return person
        if ask.member_code is not None and ask.member_code not in MEMBER_CODES:
            return "MEMBER_CODE_UNKNOWN", "등록되지 않은 회원사 코드입니다."
        if person.granted - used(book, _account(person)) < ask.amount:
            return "POINT_SHORT", "보유 포인트가 부족합니다."
        return None

    def keep(book: Book) -> None:
        if ask.member_code is not None:
            use(book, _account(PERSONS[ask.user]), mid, ask.order_no)

    return await purchase(call, ask, "point", look, keep)


def _who(user: str, password: str) -> PointAccount | Refused:
    """The person, or why not: an unknown name and a wrong password are told in the same words."""
    person = PERSONS.get(user)
    if person is None or not hmac.compare_digest(person.password.encode(), password.encode()):
        return "POINT_LOGIN_FAILED", "베네피아 아이디 또는 비밀번호가 올바르지 않습니다."
    if person.suspended:
        return "POINT_SUSPENDED", "사용이 정지된 베네피아 계정입니다."
    return person


def _account(person: PointAccount) -> str:
    return f"benepia/{person.user}"


def persons() -> list[dict[str, Any]]:
    """The demo accounts, for the page that shows what everybody may try."""
    return [
        {"user": each.user, "password": each.password, "ko": each.ko, "en": each.en}
        for each in PERSONS.values()
    ]


ROUTES = [
    Route("/v1/points/balance", w.signed(balance), methods=["POST"]),
    Route("/v1/points/payments", w.signed(pay), methods=["POST"]),
]
