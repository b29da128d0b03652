"""The machine: Hypothesis chooses what happens, the gateway does it, the model says what must come.

A rule is one step. After every step the payment that it touched is read through the door, and the
events, webhooks, deposits and books of all payments are compared with the model's, and audited.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, ClassVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from naru.domain.errors import AlreadyPaid, ForgedReturn, PreparedDiffers
from naru.domain.ids import MerchantUid
from naru.domain.money import Money
from naru.domain.payment import Surface
from naru.payments.approve import approve
from naru.payments.start import Opening, start
from tests.model import v1
from tests.model.bench import QUICK, SETTLE, Answer, Bench
from tests.model.v1 import CHECKING, DONE, DONE_UNSEEN, V1, Cancel, Doubt, Key, Payment

Recall = Callable[[Answer], bool]

HOOK = "https://shop.example/hook"
# What these began and was undone is answered by why it was.
BEGINS = frozenset(
    [
        *("/vbanks", "/cvs", "/benepia/payment", "/kcpquick/payment/money"),
        *("/kcpquick/payment/autopay", "/subscribe/payments/again"),
        *("/subscribe/payments/onetime", "/subscribe/payments/foreign"),
    ]
)
# What the PG calls the numbers that are paid later.
PG_NAMES = {"/vbanks": "virtual_accounts", "/cvs": "barcodes"}

# Two merchants, and a tier of the first: it is asked for by the first one's token and a header.
SIGNERS, TIER, TIER_CODE = (0, 1), 2, "NRU"
merchants = st.sampled_from([0, 0, 1, 1, TIER])
owners = st.sampled_from([0, 0, 0, 1])  # who asks: mostly who should
orders = st.sampled_from(["order-a", "order-b"])
amounts = st.sampled_from([1_000, 1_004, 64_900])
which_ones = st.integers(0, 5)
some_key = st.sampled_from([None, None, None, "key-1", "key-2"])
pg_fates = ["ok", "ok", "ok", "ok", "lost", "never", "garbage"]
approval_fates = st.sampled_from([*pg_fates, "declined", "mismatch", "late", "too_late"])
cancel_fates = st.sampled_from([*pg_fates, "refused", "late", "too_late"])
number_paths = st.sampled_from(["/vbanks", "/vbanks", "/cvs"])
close_fates = st.sampled_from(pg_fates)
some_payment = precondition(lambda self: self.v1.payments)


class Gateways(RuleBasedStateMachine):
    """The gateway beside its model. `bench` and `steps` belong to the run, not to an example."""

    bench: ClassVar[Bench]
    steps: ClassVar[int] = 0
    model: ClassVar[type[V1]] = V1

    def __init__(self) -> None:
        super().__init__()
        self.v1 = self.model()
        self.touched: Payment | None = None
        self.written: dict[str, dict[str, Any]] = {}

    @initialize()
    def two_merchants(self) -> None:
        """Signed in."""
        self.run(self.bench.fresh(TIER_CODE))
        for merchant in SIGNERS:
            self._sign_in(merchant)

    def run(self, work: Any) -> Any:
        """Do this at the gateway."""
        return self.bench.run(work)

    @property
    def now(self) -> int:
        """UNIX seconds."""
        return self.bench.clock.seconds

    # --- asking --------------------------------------------------------------------------------

    def _sign_in(self, merchant: int) -> None:
        shop = self.bench.shops[merchant]
        token, dies_at = self.v1.sign_in(merchant, self.now)
        pair = {"imp_key": shop.imp_key, "imp_secret": shop.imp_secret}
        answer = self.run(self.bench.ask("POST", "/users/getToken", pair))
        said = answer.body["response"]
        had = self.v1.merchants[merchant].token
        if token is None:
            assert said["access_token"] != had
            self.v1.merchants[merchant].token = said["access_token"]
        else:
            assert said["access_token"] == token
        assert (said["expired_at"], said["now"]) == (dies_at, self.now)

    def _ask(
        self,
        merchant: int,
        method: str,
        path: str,
        body: dict[str, Any] | None = None,
        key: str | None = None,
    ) -> Answer:
        """One request with a living token."""
        signer, tier = (0, TIER_CODE) if merchant == TIER else (merchant, None)
        if self.v1.merchants[signer].token_dies_at <= self.now:
            self._sign_in(signer)
        token = self.v1.merchants[signer].token
        answer: Answer = self.run(
            self.bench.ask(method, path, body, token=token, key=key, tier=tier)
        )
        return answer

    def _who(self, payment: Payment, asks: int) -> int:
        """Whose payment it is; with `asks` another one, for a tier's its agency."""
        return (payment.merchant + asks) % len(self.v1.merchants)

    def _fate(self, operation: str, fate: str, **more: Any) -> None:
        doubtful = {each.imp_uid for each in self.v1.payments if each.doubt is not None}
        self.bench.fate(operation, fate, doubtful=doubtful, **more)

    def _pick(self, which: int) -> Payment:
        return self.v1.payments[which % len(self.v1.payments)]

    def _same(self, said: dict[str, Any], payment: Payment) -> None:
        known = payment.annotation()
        said = dict(said) | {
            "cancel_history": [
                (each["amount"], each["reason"], each["cancelled_at"])
                for each in said["cancel_history"]
            ]
        }
        differs = {name: (said[name], known[name]) for name in known if said[name] != known[name]}
        assert differs == {}, differs

    def _replayed(
        self, name: tuple[int, str, str, str], body: dict[str, Any] | None, answer: Answer
    ) -> bool:
        """Was this the repetition of a key, and was it answered as such?"""
        key = self.v1.key_of(name, self.now)
        if key is None:
            return False
        if key.body != json.dumps(body, sort_keys=True):
            assert answer.words == (422, -1, v1.OTHER_REQUEST)
        elif key.raw is not None:
            assert (answer.raw, answer.replayed) == (key.raw, True)
        elif key.recall is not None and key.recall(answer):
            key.raw = answer.raw
        return True

    def _recall(
        self, name: tuple[int, str, str, str], payment: Payment, cancel: Cancel | None = None
    ) -> Recall:
        """What a repetition must hear of the doubt of this payment, or of this cancel."""

        def recall(answer: Answer) -> bool:
            doubt = payment.doubt
            its_own = doubt is not None and (
                doubt.kind != "cancel" if cancel is None else doubt.cancel is cancel
            )
            if its_own:
                assert answer.words == (409, 1, CHECKING)
                self._same(answer.body["response"], payment)
            else:
                self._recalled(name, payment, answer)
            return not its_own

        return recall

    def _recalled(self, name: tuple[int, str, str, str], payment: Payment, answer: Answer) -> None:
        """The doubt ended meanwhile: the answer is what became of it."""
        if name[1] == "DELETE" and payment.step != "failed":
            what = "수납번호" if payment.method == "cvs" else "가상계좌"
            assert answer.words == (200, -1, f"PG사에서 {what} 말소를 거절하였습니다.")
        elif name[2] in BEGINS and payment.step == "failed" and len(payment.events) == 3:
            assert answer.words == (200, -1, payment.fail_reason)
        else:
            assert answer.words == DONE
            self._same(answer.body["response"], payment)

    def _remember(
        self,
        name: tuple[int, str, str, str],
        body: dict[str, Any] | None,
        answer: Answer,
        at: int,
        recall: Recall | None = None,
    ) -> None:
        """This key belongs to this request; with `recall` its answer is not the one for good."""
        if name[3]:
            raw = answer.raw if recall is None else None
            expires_at = at + v1.KEY_LIFE
            self.v1.keys[name] = Key(json.dumps(body, sort_keys=True), expires_at, raw, recall)

    # --- rules: time and tokens ----------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 59, 61, 600, 1_741, 1_800, 86_400, 16 * 86_400]))
    def advance(self, seconds: int) -> None:
        """Time goes by, and nobody looks. Not while something is in doubt for hours: that is `work`."""
        if seconds > 61 and self._doubts_there_are():
            seconds = 1
        self.bench.clock.advance(seconds)

    @rule(merchant=st.sampled_from(SIGNERS))
    def sign_in(self, merchant: int) -> None:
        """The same token until it dies, a little longer in its last minute."""
        self._sign_in(merchant)

    @rule()
    def knock_with_a_dead_token(self) -> None:
        """401, whatever is asked; and whoever acts for a tier that is another one's."""
        for signer in SIGNERS:
            each = self.v1.merchants[signer]
            dead = each.token_dies_at <= self.now
            for tier in (None, TIER_CODE):
                if dead or (tier is not None and signer != 0):
                    answer = self.run(
                        self.bench.ask("GET", "/users/pg", token=each.token, tier=tier)
                    )
                    assert answer.words == (401, -1, "Unauthorized")

    # --- rules: windows ------------------------------------------------------------------------

    @rule(
        merchant=merchants,
        order=orders,
        amount=amounts,
        method=st.sampled_from(["card", "card", "vbank"]),
        pg=st.sampled_from(["kcp", "kcp", "kcp", SETTLE, QUICK]),
    )
    def open_window(
        self, merchant: int, order: str, amount: int, method: str, pg: str = "kcp"
    ) -> None:
        """A buyer presses 결제하기."""
        shop = self.bench.shops[merchant]
        opening = Opening(
            merchant=shop.merchant,
            channel=shop.channels[pg],
            merchant_uid=MerchantUid(order),
            amount=Money(amount),
            surface=Surface.PC,
            pay_method=method,
            webhook_urls=(HOOK,),
        )
        why = self.v1.open(merchant, order, amount)
        try:
            opened, _ = self.run(start(self.bench.gateway, opening))
        except (AlreadyPaid, PreparedDiffers) as refused:
            said = refused.sentence
        else:
            said = None
        assert said == why
        if said is not None:
            return
        payment = Payment(merchant, order, amount, method, self.now, pg=pg)
        payment.imp_uid, payment.pg_order = opened.imp_uid, opened.pg_order_no
        self.v1.payments.append(payment)
        self.touched = payment

    @some_payment
    @rule(which=which_ones, fate=approval_fates)
    def come_back(self, which: int, fate: str) -> None:
        """The browser brings the PG's proof; the first time the money is asked for."""
        payment = self._pick(which)
        self.touched = payment
        fields = self._proof(payment)
        if payment.step == "opened" and self.v1.claim(payment, self.now):
            payment.due = self.now + 86_400
            at = self.now
            declined = "한도초과"
            account_due = payment.due if payment.method == "vbank" else None
            if fate == "declined":
                words = {"result": "declined", "code": "LIMIT", "message": declined}
                self.bench.pg.answer("approvals", words)
            else:
                self._fate("approvals", fate, account_due=account_due)
            self.run(approve(self.bench.gateway, payment.imp_uid, fields))
            self.v1.settle(payment, fate, at, self.now, declined)
        else:
            self.run(approve(self.bench.gateway, payment.imp_uid, fields))
        assert not any(self.bench.pg.next.values())

    def _proof(self, payment: Payment, **changes: str) -> dict[str, str]:
        return self.bench.pg.returned(
            payment.pg_order,
            amount=str(payment.amount),
            pay_method=payment.method,
            mid=self.bench.shops[payment.merchant].channels[payment.pg].mid,
            expires_at=str(self.now + 600),
            **changes,
        )

    @some_payment
    @rule(which=which_ones)
    def come_back_forged(self, which: int) -> None:
        """Somebody else's signature changes nothing."""
        payment = self._pick(which)
        self.touched = payment
        try:
            self.run(
                approve(
                    self.bench.gateway,
                    payment.imp_uid,
                    self._proof(payment) | {"amount": "1"},
                )
            )
        except ForgedReturn:
            return
        raise AssertionError("a forged return was believed")

    @some_payment
    @rule(which=which_ones)
    def give_up(self, which: int) -> None:
        """The buyer closes the PG's window."""
        payment = self._pick(which)
        self.touched = payment
        said = {"status": "abandoned", "code": "F0005", "message": "사용자가 취소"}
        self.run(approve(self.bench.gateway, payment.imp_uid, self._proof(payment, **said)))
        if payment.step == "opened":
            payment.fail("abandoned", "사용자가 취소", self.now)

    # --- rules: announced amounts --------------------------------------------------------------

    @rule(merchant=merchants, order=orders, amount=amounts, again=st.booleans(), key=some_key)
    def announce(
        self, merchant: int, order: str, amount: int, again: bool, key: str | None
    ) -> None:
        """POST, or PUT when it is announced again."""
        method, path = "PUT" if again else "POST", "/payments/prepare"
        body = {"merchant_uid": order, "amount": amount}
        answer = self._ask(merchant, method, path, body, key)
        name = (merchant, method, path, key or "")
        if self._replayed(name, body, answer):
            return
        words = self.v1.announce(merchant, order, amount, again=again)
        assert answer.words == words
        if words == DONE:
            said = {"amount": amount, "currency": None, "merchant_uid": order}
            assert answer.body["response"] == said
            self._remember(name, body, answer, self.now)

    @rule(merchant=merchants, order=orders)
    def look_at_announced(self, merchant: int, order: str) -> None:
        """GET what was announced."""
        answer = self._ask(merchant, "GET", f"/payments/prepare/{order}")
        amount = self.v1.merchants[merchant].prepared.get(order)
        if amount is None:
            assert answer.words == (404, -1, "사전등록된 결제정보가 존재하지 않습니다.")
        else:
            assert answer.body["response"]["amount"] == amount

    # --- rules: giving back --------------------------------------------------------------------

    @some_payment
    @rule(
        asks=owners,
        which=which_ones,
        amount=st.sampled_from([0, 0, 1, 400, 1_000, 70_000]),
        checksum=st.sampled_from([None, None, "right", "wrong"]),
        tax_free=st.sampled_from([0, 0, 0, 1, 500]),
        vat=st.sampled_from([None, None, 0, 399]),
        webhook=st.booleans(),
        fate=cancel_fates,
        key=some_key,
    )
    def cancel(
        self,
        asks: int,
        which: int,
        amount: int,
        checksum: str | None,
        tax_free: int,
        vat: int | None,
        webhook: bool,
        fate: str,
        key: str | None,
    ) -> None:
        """Give back all or a part; the other merchant tries it as well."""
        payment = self._pick(which)
        self.touched = payment
        merchant = self._who(payment, asks)
        body: dict[str, Any] = {"imp_uid": payment.imp_uid, "reason": f"변심 {amount}"}
        expected = None
        if checksum is not None:
            expected = payment.balance if checksum == "right" else payment.balance + 1
            body["checksum"] = expected
        for name, value in (("amount", amount), ("tax_free", tax_free), ("vat_amount", vat)):
            if value:
                body[name] = value
        if webhook:
            body["enable_webhook"] = True
        why = self.v1.refuse_cancel(payment, merchant, amount, expected, tax_free, vat or None)
        name_of_key = (merchant, "POST", "/payments/cancel", key or "")
        fresh = key is None or self.v1.key_of(name_of_key, self.now) is None
        begins = fresh and why is None
        at = self.now
        if begins:
            if fate == "refused":
                self.bench.pg.answer(
                    "cancels", {"result": "refused", "code": "NO", "message": "취소 불가"}
                )
            else:
                self._fate("cancels", fate)
        answer = self._ask(merchant, "POST", "/payments/cancel", body, key)
        if not fresh:
            assert self._replayed(name_of_key, body, answer)
            return
        if why is not None:
            assert answer.words == why
            return
        assert not any(self.bench.pg.next.values())
        cancel = Cancel(
            amount or payment.balance,
            body["reason"],
            self.now if fate == "too_late" else at,
            webhook,
        )
        if fate == "refused":
            assert answer.words == (200, -1, "취소 불가")
        elif fate in DONE_UNSEEN:
            payment.doubt = Doubt("cancel", DONE_UNSEEN[fate], at, cancel)
            self._unknown(answer, payment, key)
        else:
            self.v1.cancelled(payment, cancel)
            assert answer.words == DONE
            self._same(answer.body["response"], payment)
        recall = self._recall(name_of_key, payment, cancel) if fate in DONE_UNSEEN else None
        self._remember(name_of_key, body, answer, at, recall)

    def _unknown(self, answer: Answer, payment: Payment, key: str | None) -> None:
        """The PG's answer did not come: nobody says that it failed."""
        if key is None:
            assert answer.words == (200, 1, CHECKING)
        else:
            assert answer.words == (409, 1, CHECKING)
            self._same(answer.body["response"], payment)

    # --- rules: virtual accounts ---------------------------------------------------------------

    @rule(
        merchant=merchants,
        order=orders,
        amount=amounts,
        days=st.sampled_from([1, 30]),
        fate=approval_fates,
        key=some_key,
        path=number_paths,
        pg=st.sampled_from(["kcp", SETTLE]),
    )
    def issue(
        self,
        merchant: int,
        order: str,
        amount: int,
        days: int,
        fate: str,
        key: str | None,
        path: str = "/vbanks",
        pg: str = "kcp",
    ) -> None:
        """An account without a window, or a barcode."""
        # The same day gives the same content, as a server that repeats itself sends it.
        due = (self.now // 86_400 + 1 + days) * 86_400
        body: dict[str, Any] = {"merchant_uid": order, "amount": amount, "notice_url": HOOK}
        if path == "/cvs":
            body |= {"name": "당근", "expired_at": due}
        else:
            body |= {"vbank_code": "004", "vbank_due": due, "vbank_holder": "나루"}
            body["channel_key"] = self.bench.shops[merchant].channels[pg].channel_key
        name = (merchant, "POST", path, key or "")
        fresh = key is None or self.v1.key_of(name, self.now) is None
        # An announced amount binds windows and accounts, not barcodes.
        paid = self.v1.holder(merchant, order) is not None
        why = self.v1.open(merchant, order, amount) if path == "/vbanks" or paid else None
        at = self.now
        declined = "계좌 발급 불가"
        if fresh and why is None:
            if fate == "declined":
                words = {"result": "declined", "code": "NO", "message": declined}
                self.bench.pg.answer(PG_NAMES[path], words)
            else:
                self._fate(PG_NAMES[path], fate)
        answer = self._ask(merchant, "POST", path, body, key)
        if not fresh:
            assert self._replayed(name, body, answer)
            return
        if why is not None:
            assert answer.words == (200, 1, why)
            return
        assert not any(self.bench.pg.next.values())
        method = "cvs" if path == "/cvs" else "vbank"
        pg = "kcp" if path == "/cvs" else pg
        payment = Payment(merchant, order, amount, method, at, by_api=True, due=due, pg=pg)
        self._begun(payment)
        self.v1.settle(payment, fate, at, self.now, declined)
        if fate in DONE_UNSEEN:
            self._unknown(answer, payment, key)
        elif payment.step == "failed":
            assert answer.words == (200, -1, payment.fail_reason)
        else:
            assert answer.words == DONE
            self._same(answer.body["response"], payment)
        recall = self._recall(name, payment) if fate in DONE_UNSEEN else None
        self._remember(name, body, answer, at, recall)

    def _begun(self, payment: Payment) -> None:
        """The gateway began this payment by itself, and asked for its money."""
        self.run(self._learn(payment))
        self.v1.payments.append(payment)
        self.touched = payment
        payment.become("authenticated", "approving")

    async def _learn(self, payment: Payment) -> None:
        """The names that the gateway gave to the newest payment."""
        known = [each.imp_uid for each in self.v1.payments]
        [row] = await self.bench.sql.fetch(
            "SELECT imp_uid, pg_order_no, merchant_uid FROM payments"
            " WHERE merchant_id = $1 AND imp_uid <> ALL ($2)",
            self.bench.shops[payment.merchant].merchant.id,
            known,
        )
        payment.imp_uid, payment.pg_order = row["imp_uid"], row["pg_order_no"]
        payment.order = payment.order or row["merchant_uid"]

    @some_payment
    @rule(
        which=which_ones,
        how=st.sampled_from(["rest", "rest", "rest", "short", "over", "late", "repeated"]),
    )
    def deposit(self, which: int, how: str) -> None:
        """Money arrives in an account, and the PG tells of it."""
        payment = self._pick(which)
        order = self.bench.pg.orders.get(payment.pg_order)
        if order is None or payment.method not in ("vbank", "cvs"):
            return
        if order["state"] not in ("waiting_deposit", "deposited"):
            return
        rest = payment.amount - self.v1.arrived(payment)
        amount = {"short": rest - 1, "over": rest + 1}.get(how, rest)
        if how == "repeated" and payment.deposits:
            self.touched, last = payment, payment.deposits[-1]
            self._notice(payment, last.key, last.amount, last.at)
        elif amount > 0:
            late = how == "late"
            self._deposit(payment, amount, payment.due + 1 if late else min(self.now, payment.due))

    def _deposit(self, payment: Payment, amount: int, at: int) -> None:
        """Money arrives for the first time."""
        self.touched = payment
        self._notice(payment, f"n{payment.imp_uid}-{len(payment.deposits)}", amount, at)

    def _notice(self, payment: Payment, key: str, amount: int, at: int) -> None:
        if self.v1.deposit(payment, key, amount, at) != "repeated":
            self.bench.pg.deposit(payment.pg_order, key, amount, at)
        notice = {
            "notice_id": key,
            "order_no": payment.pg_order,
            "tid": self.bench.pg.orders[payment.pg_order]["approval"]["tid"],
            "amount": amount,
            "currency": "KRW",
            "deposited_at": at,
        }
        channel = self.bench.shops[payment.merchant].channels[payment.pg]
        answer = self.run(self.bench.notice(channel, notice))
        assert (answer.status, answer.raw) == (200, b"OK")

    @some_payment
    @rule(asks=owners, which=which_ones, fate=close_fates, key=some_key, path=number_paths)
    def close(
        self, asks: int, which: int, fate: str, key: str | None, path: str = "/vbanks"
    ) -> None:
        """The merchant closes an account or a barcode; the other one tries it as well."""
        payment = self._pick(which)
        self.touched = payment
        merchant = self._who(payment, asks)
        why = self.v1.refuse_close(payment, merchant, path)
        path = f"{path}/{payment.imp_uid}"
        name = (merchant, "DELETE", path, key or "")
        fresh = key is None or self.v1.key_of(name, self.now) is None
        at = self.now
        order = self.bench.pg.orders[payment.pg_order] if why is None else {}
        # What was deposited fits the account as the PG has changed it; that is not known here yet.
        deposited = order.get("state") == "deposited"
        if fresh and deposited and fate in DONE_UNSEEN:
            return
        if fresh and why is None:
            self._fate("virtual_accounts", fate)
        answer = self._ask(merchant, "DELETE", path, None, key)
        if not fresh:
            assert self._replayed(name, None, answer)
            return
        if why is not None:
            assert answer.words == why
            return
        if deposited:
            assert answer.words == (200, -1, "이미 입금")
        elif fate in DONE_UNSEEN:
            payment.doubt = Doubt("close", DONE_UNSEEN[fate], at)
            self._unknown(answer, payment, key)
        else:
            self.v1.closed(payment, self.now)
            assert answer.words == DONE
            self._same(answer.body["response"], payment)
        recall = self._recall(name, payment) if fate in DONE_UNSEEN else None
        self._remember(name, None, answer, at, recall)

    # --- rules: the worker ---------------------------------------------------------------------

    @precondition(lambda self: self._doubts_there_are())
    @rule(silent=st.sampled_from([False, False, True]))
    def work(self, silent: bool) -> None:
        """A minute later the worker looks at everything in doubt; the PG may still be silent."""
        # The first three rungs of the ladder lie within a minute.
        silent = silent and all(each.silences < 3 for each in self._open())
        self.bench.clock.advance(61)
        self.run(self.bench.work(silent=silent))
        self._ends(self.now, silent=silent)

    def _ends(self, now: int, *, silent: bool) -> None:
        """What the worker's round ends in the model."""
        for each in [each for each in self.v1.payments if each.doubt is not None]:
            self.v1.find_out(each, now, silent=silent)
        self.v1.end_asking(silent=silent)
        self.v1.end_checks(now, silent=silent)

    def _open(self) -> list[Any]:
        """Everything in doubt, with how often the PG was silent about it."""
        doubts = [each.doubt for each in self.v1.payments if each.doubt is not None]
        return [*doubts, *self.v1.asking.values()]

    def _doubts_there_are(self) -> bool:
        return bool(self._open() or self.v1.checks)

    # --- rules: looking ------------------------------------------------------------------------

    @some_payment
    @rule(asks=owners, which=which_ones)
    def look(self, asks: int, which: int) -> None:
        """GET one payment; the other merchant hears what it hears of an unknown one."""
        payment = self._pick(which)
        answer = self._ask(self._who(payment, asks), "GET", f"/payments/{payment.imp_uid}")
        if asks:
            assert answer.words == (404, -1, v1.NO_PAYMENT)
        else:
            self._same(answer.body["response"], payment)

    @rule(merchant=merchants, order=orders)
    def look_at_order(self, merchant: int, order: str) -> None:
        """All tries of an order, and none of the other merchant's."""
        answer = self._ask(merchant, "GET", f"/payments/findAll/{order}")
        mine = {
            each.imp_uid: each
            for each in self.v1.payments
            if (each.merchant, each.order) == (merchant, order)
        }
        if not mine:
            assert answer.words == (404, -1, v1.NO_PAYMENT)
            return
        found = answer.body["response"]["list"]
        assert {each["imp_uid"] for each in found} == set(mine)
        for each in found:
            self._same(each, mine[each["imp_uid"]])

    # --- after every step ----------------------------------------------------------------------

    @invariant()
    def everything_is_written_as_the_model_says(self) -> None:
        """P1, P4, P10, P16, P24: one answer, all events, webhooks, deposits and books, and the audit."""
        type(self).steps += 1
        payments = self.v1.payments
        if expected := self._written_papers():
            papers = self.run(self.bench.papers())
            assert {name: papers[name] for name in expected} == expected
        if not payments:
            return
        if self.touched is not None:
            path = f"/payments/{self.touched.imp_uid}"
            answer = self._ask(self.touched.merchant, "GET", path)
            assert answer.words == DONE
            self._same(answer.body["response"], self.touched)
            self.touched = None
        ids = [each.imp_uid for each in payments]
        written = self.run(self.bench.written(ids))
        expected = {each.imp_uid: self._as_written(each) for each in payments}
        differs = {
            uid: (written[uid], expected[uid]) for uid in ids if written[uid] != expected[uid]
        }
        assert differs == {}, differs
        if written != self.written:
            self.written = written
            assert self.run(self.bench.broken(ids)) == []

    def _written_papers(self) -> dict[str, Any]:
        """What is written beside payments."""
        return {}

    @staticmethod
    def _as_written(payment: Payment) -> dict[str, Any]:
        taken = payment.step in ("paid", "cancelled")
        doubt = payment.doubt
        reserved = doubt.cancel.amount if doubt is not None and doubt.cancel else 0
        deposited = sum(each.amount for each in payment.deposits)
        spent = payment.amount if ("deposited", "paid", 0) in payment.events else 0
        books = {
            "receivable": payment.balance if taken else 0,
            "refund_pending": -reserved,
            "sales": reserved - (payment.balance if taken else 0),
            "deposited": deposited - spent,
            "suspense": spent - deposited,
        }
        return {
            "events": [list(each) for each in payment.events],
            "webhooks": [list(each) for each in payment.webhooks],
            "deposits": [[each.amount, each.meaning] for each in payment.deposits],
            "books": {account: amount for account, amount in books.items() if amount},
            "flagged": payment.flagged,
        }

    def teardown(self) -> None:
        """The doubts end, and the PG's book is ours."""
        self.bench.pg.next.clear()
        if self._doubts_there_are():
            self.work(silent=False)
        for each in self.v1.payments:
            order = self.bench.pg.orders.get(each.pg_order)
            if each.deposits:
                assert order is not None
                assert order["deposited"] == sum(one.amount for one in each.deposits)
                assert order["cancelled"] == each.cancelled
                continue
            has = order is not None and order["state"] in ("approved", "deposited")
            theirs = order["amount"] - order["cancelled"] if order is not None and has else 0
            assert theirs == (each.balance if each.step in ("paid", "cancelled") else 0)
