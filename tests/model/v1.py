"""V1 in plain Python: what every answer must be, and what must be written after it.

Nothing of the house is imported here. Amounts are won, times are UNIX seconds. A rule of the machine
asks the model first what will happen, lets it happen at the gateway, and compares.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

NOTHING_TO_CANCEL = "취소할 결제건이 존재하지 않습니다."
NO_PAYMENT = "존재하지 않는 결제정보입니다."
ALREADY_PAID = "이미 결제가 이루어진 거래건입니다."
CHECKING = (
    "PG사의 처리 결과를 확인하고 있습니다. 다시 요청하지 마시고 잠시 후 결제 상태를 조회해주세요."
)
BUSY = "이 결제건에 대한 다른 요청을 처리하고 있습니다. 잠시 후 다시 시도해주세요."
UNFINISHED = "결제가 완료되지 않아 취소되었습니다."
MISMATCH = "결제금액이 요청한 금액과 달라 결제를 취소하였습니다."
OTHER_REQUEST = "같은 Idempotency-Key 로 다른 내용의 요청이 이미 접수되었습니다. 새로운 요청에는 새로운 Idempotency-Key 를 사용해주세요."

PATH_OF = {"card": "", "point": "", "vbank": "/vbanks", "cvs": "/cvs"}
CLOSED = {
    "vbank": ("가상계좌 말소", "입금기한이 지나 가상계좌가 말소되었습니다."),
    "cvs": ("수납번호 말소", "수납기한이 지나 수납번호가 말소되었습니다."),
}
NOT_WAITING = {
    "/vbanks": "입금 대기 중인 가상계좌가 아닙니다.",
    "/cvs": "수납 대기중인 편의점 결제건이 아닙니다.",
}
NO_BUYER = "등록되지 않은 구매자입니다."
NO_CUSTOMER_TO_PLAN = "등록된 고객정보가 없습니다."
KEY_NOT_ISSUED = "카드정보 인증 및 빌키 발급에 실패하였습니다."
PLANNED_ALREADY = "이미 예약된 merchant_uid 입니다."
NOTHING_PLANNED = "취소할 예약결제 기록이 존재하지 않습니다."
NO_PLAN = "존재하지 않는 예약결제입니다."
TOO_EARLY = "schedule_at 은 현재 시각 이후여야 합니다."
PLAN_ENDED = "이미 실행되었거나 취소된 예약입니다."
NOT_RETRYABLE = "결제에 실패한 예약만 다시 시도할 수 있습니다."
NO_QUICK_KEY = "등록된 자동결제 키를 찾을 수 없습니다."
CARD_NOT_GOOD = "카드정보 확인에 실패하였습니다."
NEVER_ASKED_FOR_KEY = "PG사에 빌링키 발급 요청이 전달되지 않았습니다."
CHECK_GIVEN_BACK = "카드 확인 결제 자동취소"

LATE_BY_MAX, LOOK_AGAIN = 3_600, 15
TOKEN_LIFE, LAST_MINUTE, EXTENSION = 1_800, 60, 300
KEY_LIFE = 15 * 86_400
# What becomes of a question to the PG whose answer does not come: did it do what it was asked?
DONE_UNSEEN = {"lost": True, "garbage": True, "never": False}

Words = tuple[int, int, str | None]
DONE: Words = (200, 0, None)


@dataclass
class Deposit:
    """Money that arrived in an account, by the PG's notice."""

    key: str
    amount: int
    at: int
    meaning: str


@dataclass
class Cancel:
    """Money given back. `at` is the PG's time, known once it did it."""

    amount: int
    reason: str
    at: int
    webhook: bool


@dataclass
class Doubt:
    """A question whose answer is not known: what it was, and whether the PG did it."""

    kind: str  # approve | issue | cancel | close
    done: bool
    at: int
    cancel: Cancel | None = None
    silences: int = 1


@dataclass
class Payment:
    """One try at paying an order."""

    merchant: int
    order: str
    amount: int
    method: str
    started_at: int
    by_api: bool = False
    due: int = 0
    pg: str = "kcp"
    customer: str | None = None
    usage: str | None = None  # issue | payment | payment.scheduled
    card: str | None = None  # what a onetime payment keeps for its customer
    unheard: bool = False  # nobody gave an address for its webhooks
    imp_uid: str = ""
    pg_order: str = ""
    step: str = "opened"
    flagged: bool = False
    fail_reason: str | None = None
    failed_at: int = 0
    paid_at: int = 0
    cancels: list[Cancel] = field(default_factory=list)
    deposits: list[Deposit] = field(default_factory=list)
    doubt: Doubt | None = None
    events: list[tuple[str, str, int]] = field(default_factory=lambda: [("opened", "opened", 0)])
    webhooks: list[tuple[int, str]] = field(default_factory=list)

    @property
    def cancelled(self) -> int:
        """What was given back."""
        return sum(each.amount for each in self.cancels)

    @property
    def balance(self) -> int:
        """What may still be given back."""
        return self.amount - self.cancelled

    @property
    def status(self) -> str:
        """V1's word. After a part was given back it is `cancelled` already."""
        if self.step in ("paid", "cancelled"):
            return "cancelled" if self.cancels else "paid"
        return "failed" if self.step == "failed" else "ready"

    def become(self, event: str, step: str, webhook: str | None = None) -> None:
        """One change: one numbered event, and a webhook where it earns one."""
        self.step = step
        self.events.append((event, step, self.cancelled))
        if webhook is not None and not self.unheard:
            self.webhooks.append((len(self.events), webhook))

    def fail(self, event: str, reason: str, now: int) -> None:
        """It ended without money."""
        self.fail_reason, self.failed_at = reason, now
        # Nobody was there to see how a schedule's attempt failed.
        self.become(event, "failed", "failed" if self.usage == "payment.scheduled" else None)

    def annotation(self) -> dict[str, Any]:
        """The fields of the answer that the model knows."""
        known: dict[str, Any] = {
            "imp_uid": self.imp_uid,
            "merchant_uid": self.order,
            "amount": self.amount,
            "currency": "KRW",
            "status": self.status,
            "pay_method": self.method,
            "pg_provider": self.pg,
            "channel": "api" if self.by_api else "pc",
            "started_at": self.started_at,
            "paid_at": self.paid_at,
            "failed_at": self.failed_at,
            "fail_reason": self.fail_reason,
            "cancel_amount": self.cancelled,
            "cancelled_at": self.cancels[-1].at if self.cancels else 0,
            "cancel_reason": self.cancels[-1].reason if self.cancels else None,
            "cancel_history": [(each.amount, each.reason, each.at) for each in self.cancels],
            "customer_uid": self.customer,
            "customer_uid_usage": self.usage,
        }
        if any(event == "account_issued" for event, _, _ in self.events):
            known["vbank_date"] = self.due
            known["vbank_code"] = "CVS" if self.method == "cvs" else "004"
        return known


@dataclass
class Key:
    """What an Idempotency-Key belongs to: one content, and its answer once that is known for good.

    Until then `recall` compares an answer with what became of the effect: is it the one for good?
    """

    body: str
    expires_at: int
    raw: bytes | None = None
    recall: Callable[[Any], bool] | None = None


@dataclass(eq=False)
class Kept:
    """A card that a PG keeps for a customer."""

    card: str
    pg: str = "kcp"


@dataclass
class Asking:
    """A question for a billing key whose answer is not known; what became of it."""

    kept: Kept
    done: bool
    silences: int = 1
    ended: str | None = None  # live | refused


@dataclass
class Check:
    """A charge that finds out whether a card can be charged, until its money is back."""

    kept: Kept
    payment: Payment


@dataclass
class Plan:
    """An order that is charged later, and the last payment that tried it."""

    merchant: int
    order: str
    customer: str
    amount: int
    at: int
    looked_at: int = 0
    state: str = "scheduled"
    executed_at: int = 0
    revoked_at: int = 0
    payment: Payment | None = None
    pg: str = "kcp"

    def annotation(self) -> dict[str, Any]:
        """The fields of the answer that the model knows."""
        paid = self.payment
        known = None if paid is None or paid.status == "ready" else paid.status
        return {
            "merchant_uid": self.order,
            "customer_uid": self.customer,
            "amount": self.amount,
            "schedule_at": self.at,
            "schedule_status": self.state,
            "executed_at": self.executed_at,
            "revoked_at": self.revoked_at,
            "imp_uid": None if paid is None else paid.imp_uid,
            "payment_status": known,
            "fail_reason": None if paid is None or paid.step != "failed" else paid.fail_reason,
        }

    def due_at(self, at: int) -> None:
        """It waits (again) for this time."""
        self.at = self.looked_at = at
        self.state, self.executed_at, self.revoked_at, self.payment = "scheduled", 0, 0, None


@dataclass
class Merchant:
    """A merchant's token and announced amounts."""

    token: str = ""
    token_dies_at: int = 0
    prepared: dict[str, int] = field(default_factory=dict)


class V1:
    """Everything that the gateway should know, and what it should say."""

    def __init__(self) -> None:
        # Two merchants, and one for whom the first one's token acts.
        self.merchants = [Merchant(), Merchant(), Merchant()]
        self.payments: list[Payment] = []
        self.customers: dict[tuple[int, str], Kept] = {}  # the living billing keys
        self.checks: list[Check] = []
        self.asking: dict[tuple[int, str], Asking] = {}
        self.plans: list[Plan] = []
        self.keys: dict[tuple[int, str, str, str], Key] = {}

    # --- reading -------------------------------------------------------------------------------

    def holder(self, merchant: int, order: str, *, flagged: bool = False) -> Payment | None:
        """The payment that has the order's one approval (with `flagged` also a second one)."""
        for each in self.payments:
            ours = (each.merchant, each.order) == (merchant, order)
            holds = each.step in ("approving", "paid", "cancelled")
            if ours and holds and (flagged or not each.flagged):
                return each
        return None

    def differs(self, merchant: int, order: str, amount: int) -> str | None:
        """The sentence for an amount that is not the announced one."""
        announced = self.merchants[merchant].prepared.get(order)
        if announced is None or announced == amount:
            return None
        return f"사전등록된 결제금액({announced:,}원)과 요청한 결제금액({amount:,}원)이 다릅니다."

    def key_of(self, name: tuple[int, str, str, str], now: int) -> Key | None:
        """The living key of this name."""
        key = self.keys.get(name)
        return key if key is not None and key.expires_at > now else None

    # --- tokens --------------------------------------------------------------------------------

    def sign_in(self, merchant: int, now: int) -> tuple[str | None, int]:
        """The token that must be answered (None: a new one), and until when it lives."""
        had = self.merchants[merchant]
        if not had.token or had.token_dies_at <= now:
            had.token_dies_at = now + TOKEN_LIFE
            return None, had.token_dies_at
        if had.token_dies_at - now < LAST_MINUTE:
            had.token_dies_at += EXTENSION
        return had.token, had.token_dies_at

    # --- announced amounts ---------------------------------------------------------------------

    def announce(self, merchant: int, order: str, amount: int, *, again: bool) -> Words:
        """POST or PUT payments/prepare."""
        prepared = self.merchants[merchant].prepared
        if again and order not in prepared:
            return 404, -1, "사전등록된 결제정보가 존재하지 않습니다."
        if not again and order in prepared:
            return 200, 1, "결제정보 사전등록에 실패하였습니다(이미 등록된 merchant_uid입니다)."
        if again and self.holder(merchant, order, flagged=True):
            return 200, 1, ALREADY_PAID
        prepared[order] = amount
        return DONE

    # --- approvals -----------------------------------------------------------------------------

    def open(self, merchant: int, order: str, amount: int) -> str | None:
        """Why no window opens, if so."""
        if self.holder(merchant, order):
            return ALREADY_PAID
        return self.differs(merchant, order, amount)

    def claim(self, payment: Payment, now: int) -> bool:
        """May this payment be approved? If not, it ends here."""
        why = self.differs(payment.merchant, payment.order, payment.amount)
        if why is None and self.holder(payment.merchant, payment.order):
            why = ALREADY_PAID
        if why is not None:
            payment.fail("abandoned", why, now)
            return False
        payment.become("authenticated", "approving")
        return True

    def settle(self, payment: Payment, fate: str, at: int, now: int, declined: str) -> None:
        """The PG's answer, given `at`, to an approval or to the asking for an account."""
        kind = "issue" if payment.method in ("vbank", "cvs") else "approve"
        match fate:
            case "ok" | "late":
                self.approved(payment, at)
            case "declined":
                payment.fail("declined", declined, now)
            case "mismatch":
                payment.fail("undone", MISMATCH, now)
            case "too_late":
                payment.fail("undone", UNFINISHED, now)
            case _:
                payment.doubt = Doubt(kind, DONE_UNSEEN[fate], at)

    def approved(self, payment: Payment, at: int) -> None:
        """The money was taken, or an account waits for it."""
        if payment.method not in ("vbank", "cvs"):
            payment.paid_at = at
            payment.become("approved", "paid", "paid")
            if payment.card is not None and payment.customer is not None:
                self.customers[payment.merchant, payment.customer] = Kept(payment.card)
            return
        payment.become("account_issued", "waiting_deposit", "ready")
        self._pay(payment)

    # --- deposits ------------------------------------------------------------------------------

    def arrived(self, payment: Payment) -> int:
        """What was deposited in time."""
        return sum(each.amount for each in payment.deposits if each.at <= payment.due)

    def deposit(self, payment: Payment, key: str, amount: int, at: int) -> str:
        """A notice of the PG: booked once, whatever it means."""
        if any(each.key == key for each in payment.deposits):
            return "repeated"
        total = self.arrived(payment) + amount
        if payment.step in ("opened", "approving"):
            meaning = "early"
        elif payment.step != "waiting_deposit":
            meaning = "after_end"
        elif at > payment.due:
            meaning = "late"
        else:
            order = (total > payment.amount) - (total < payment.amount)
            meaning = {0: "exact", -1: "short", 1: "over"}[order]
        payment.deposits.append(Deposit(key, amount, at, meaning))
        if meaning == "exact":
            self._pay(payment)
        return meaning

    def _pay(self, payment: Payment) -> None:
        if payment.deposits and self.arrived(payment) == payment.amount:
            payment.flagged = self.holder(payment.merchant, payment.order) is not None
            payment.paid_at = max(each.at for each in payment.deposits if each.at <= payment.due)
            payment.become("deposited", "paid", "paid")

    # --- giving back ---------------------------------------------------------------------------

    def refuse_cancel(
        self,
        payment: Payment | None,
        merchant: int,
        amount: int,
        checksum: int | None,
        tax_free: int,
        vat: int | None,
    ) -> Words | None:
        """Why nothing is given back, if so: in i'mport's order."""
        if payment is None or payment.merchant != merchant:
            return 200, 1, NOTHING_TO_CANCEL
        if payment.doubt is not None:
            return 200, 1, BUSY
        if payment.step == "cancelled":
            return 200, 1, "이미 전액취소된 주문입니다."
        if payment.step != "paid":
            return 200, 1, NOTHING_TO_CANCEL
        if checksum is not None and checksum != payment.balance:
            return 200, 1, "취소 가능금액이 요청하신 checksum 과 일치하지 않습니다."
        asked = amount or payment.balance
        if asked > payment.balance:
            return 200, 1, "취소 요청금액이 취소 가능금액을 초과하였습니다."
        if tax_free > asked:
            return 400, -1, "tax_free 가 취소 금액보다 클 수 없습니다."
        if vat is not None and vat + tax_free > asked:
            return 400, -1, "vat_amount 가 취소 금액보다 클 수 없습니다."
        return None

    def cancelled(self, payment: Payment, cancel: Cancel) -> None:
        """So much was given back."""
        payment.cancels.append(cancel)
        whole = payment.balance == 0
        payment.become(
            "fully_cancelled" if whole else "partly_cancelled",
            "cancelled" if whole else "paid",
            "cancelled" if cancel.webhook else None,
        )

    def refuse_close(self, payment: Payment | None, merchant: int, path: str) -> Words | None:
        """Why an account or a barcode is not closed, if so."""
        if payment is None or payment.merchant != merchant:
            return 404, -1, NO_PAYMENT
        if payment.step != "waiting_deposit" or path != PATH_OF[payment.method]:
            return 400, -1, NOT_WAITING[path]
        if payment.doubt is not None:
            return 200, 1, BUSY
        return None

    def closed(self, payment: Payment, now: float) -> None:
        """The account or the barcode takes no deposit any more."""
        by_hand, by_time = CLOSED[payment.method]
        payment.fail("account_closed", by_time if now > payment.due else by_hand, int(now))

    # --- cards that are kept, and charged without a window -----------------------------------

    def refuse_charge(
        self, merchant: int, order: str, customer: str | None, pg: str | None = None
    ) -> Words | None:
        """Why nobody is charged (by the key of `customer`, if one is told; at `pg` alone), if so."""
        if customer is not None:
            kept = self.customers.get((merchant, customer))
            if kept is None or pg not in (None, kept.pg):
                return 200, 1, NO_BUYER
        holder = self.holder(merchant, order)
        if holder is None:
            return None
        return 200, 1, CHECKING if holder.step == "approving" else ALREADY_PAID

    def end_asking(self, *, silent: bool) -> None:
        """The worker asks about the keys that nobody knows of."""
        for owner, asking in list(self.asking.items()):
            if silent:
                asking.silences += 1
                continue
            asking.ended = "live" if asking.done else "refused"
            if asking.done:
                self.customers[owner] = asking.kept
            del self.asking[owner]

    def check_of(self, kept: Kept) -> Check | None:
        """The check of this key whose money is not back."""
        return next((each for each in self.checks if each.kept is kept), None)

    def end_checks(self, now: int, *, silent: bool) -> None:
        """The worker gives back what checks of cards took."""
        for check in self.checks:
            payment = check.payment
            if payment.step != "paid" or payment.doubt is not None:
                continue
            back = Cancel(payment.balance, CHECK_GIVEN_BACK, now, webhook=False)
            if silent:
                payment.doubt = Doubt("cancel", False, now, back)
            else:
                self.cancelled(payment, back)
        self.checks = [each for each in self.checks if each.payment.step in ("approving", "paid")]

    # --- orders that are charged later --------------------------------------------------------

    def plan_of(self, merchant: int, order: str) -> Plan | None:
        """The plan of an order."""
        mine = (each for each in self.plans if (each.merchant, each.order) == (merchant, order))
        return next(mine, None)

    def refuse_plan(self, new: Plan, now: int, *, card: bool) -> Words | None:
        """Why no PG is asked about the card of this plan, if so."""
        if self.plan_of(new.merchant, new.order):
            return 200, 1, PLANNED_ALREADY
        if (new.merchant, new.customer) not in self.customers and not card:
            return 200, 1, NO_CUSTOMER_TO_PLAN
        if new.at < now - LATE_BY_MAX:
            return 400, -1, TOO_EARLY
        return None

    def plan(self, new: Plan) -> Words:
        """POST subscribe/payments/schedule of one order, whose card is known to be good."""
        if self.holder(new.merchant, new.order):
            return 200, 1, ALREADY_PAID
        new.due_at(new.at)
        new.pg = self.customers[new.merchant, new.customer].pg
        self.plans.append(new)
        return DONE

    def unplan(
        self, merchant: int, order: str | None, customer: str | None, now: int
    ) -> list[Plan]:
        """What this call revokes, in the order in which it was made."""
        revoked = [
            each
            for each in self.plans
            if each.merchant == merchant
            and each.state == "scheduled"
            and order in (None, each.order)
            and customer in (None, each.customer)
        ]
        for each in revoked:
            each.state, each.revoked_at = "revoked", now
        return revoked

    def move(self, plan: Plan | None, at: int, now: int) -> Words:
        """PUT: another time for what waits."""
        if plan is None:
            return 404, -1, NO_PLAN
        if at <= now:
            return 400, -1, TOO_EARLY
        if plan.state != "scheduled" or plan.at <= now:
            return 400, -1, PLAN_ENDED
        plan.due_at(at)
        return DONE

    def plan_again(self, plan: Plan | None, at: int, now: int) -> Words:
        """POST reschedule: what failed or was revoked."""
        if plan is None:
            return 404, -1, NO_PLAN
        if at <= now:
            return 400, -1, TOO_EARLY
        if plan.state != "revoked" and not self._failed(plan):
            return 400, -1, NOT_RETRYABLE
        if self.holder(plan.merchant, plan.order):
            return 200, 1, ALREADY_PAID
        plan.due_at(at)
        return DONE

    def refuse_retry(self, plan: Plan | None) -> Words | None:
        """Why what failed is not attempted again, if so."""
        if plan is None:
            return 404, -1, NO_PLAN
        if not self._failed(plan):
            return 400, -1, NOT_RETRYABLE
        why = self.refuse_charge(plan.merchant, plan.order, plan.customer)
        return (404, -1, NO_BUYER) if why == (200, 1, NO_BUYER) else why

    @staticmethod
    def _failed(plan: Plan) -> bool:
        return (
            plan.state == "executed" and plan.payment is not None and plan.payment.step == "failed"
        )

    def due_plans(self, now: int) -> list[Plan]:
        """What the worker would run, in its order."""
        waiting = [each for each in self.plans if each.state == "scheduled"]
        return sorted(
            (each for each in waiting if each.looked_at <= now), key=lambda each: each.looked_at
        )

    def attempt(self, plan: Plan, now: int) -> Payment:
        """A payment for a plan, opened."""
        kept = self.customers.get((plan.merchant, plan.customer))
        payment = Payment(
            plan.merchant,
            plan.order,
            plan.amount,
            "card",
            now,
            by_api=True,
            pg=plan.pg if kept is None else kept.pg,
            customer=plan.customer,
            usage="payment.scheduled",
        )
        plan.state, plan.executed_at, plan.payment = "executed", now, payment
        return payment

    # --- the worker ----------------------------------------------------------------------------

    def find_out(self, payment: Payment, now: int, *, silent: bool) -> None:
        """One try to end a doubt."""
        doubt = payment.doubt
        assert doubt is not None
        if silent:
            doubt.silences += 1
            return
        payment.doubt = None
        kept = self.customers.get((payment.merchant, payment.customer or ""))
        # Nobody waits behind a schedule: what never arrived is asked for again, by its key.
        by_key = kept is not None and kept.pg == payment.pg
        if not doubt.done and payment.usage == "payment.scheduled" and by_key:
            doubt.done, doubt.at = True, now
        match doubt.kind:
            case "approve" | "issue" if doubt.done:
                self.approved(payment, doubt.at)
            case "approve" | "issue":
                payment.fail("undone", UNFINISHED, now)
            case "cancel":
                assert doubt.cancel is not None
                if not doubt.done:
                    doubt.cancel.at = now
                self.cancelled(payment, doubt.cancel)
            case "close" if payment.step == "waiting_deposit":
                self.closed(payment, now)
