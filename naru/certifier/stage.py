"""Where a program is performed: a private gateway, the buyer, the thief, the staff, and the shop.

All webhooks of the shop are held back; the program says when which arrives. In the end the weather
is fine, every webhook that was not lost has been told until the shop took it, and cron has run if
something was lost: what the orders say then is judged.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING, Any
from urllib.parse import parse_qs, parse_qsl, urlencode, urlsplit

from naru.certifier import steps as do
from naru.certifier.adapter import Adapter, HttpCall, fill
from naru.certifier.browser import Asked, Browser, PageTrouble, Visit
from naru.certifier.result import OrderSeen, Party, Words
from naru.certifier.shop import Answer, Shop, ShopTrouble, Visitor
from naru.certifier.steps import Program, Step
from naru.certifier.tape import Tape
from naru.kit import KitError, NotFound
from naru.kit.types import Payment
from naru.testing.buyer import Refused, Result, Stuck, Window
from naru.testing.postman import Letter, signed_anew
from naru.testing.private_gateway import PrivateGateway

if TYPE_CHECKING:
    from naru.testing.imp import Imp

WEBHOOK_SECONDS = 15.0  # when it is sent again, i'mport waits no longer (protocol: webhook.md §5)
NUMBER_LENGTH_MAX = 40  # what every PG takes (protocol: flows.md §16)
TELLINGS_MAX = 6  # as often as the gateway itself would try within half a day
STRANGERS_SECRET = "whsec_c3RyYW5nZXJzLXN0cmFuZ2Vycy1zdHJhbmdlcnMtMDE="  # noqa: S105 - nobody's


@dataclass
class Order:
    """An order that the program placed. `follows` is the payment that the shop heard of while no
    other payment of it had had money: what paid it, for sure.
    """

    name: str
    merchant_uid: str
    amount: int
    visitor: Visitor
    follows: Try | None = None


@dataclass
class Try:
    """A payment window, and what the shop was told about it.

    `told_paid`: some news reached the shop while the order's whole price was at the gateway;
    `heard_paid`: such news was true, and enough that the shop must have finished. `told_returned`: it
    took the webhook that says that all of the money went back; nothing else has to say so.
    """

    name: str
    order: Order
    window: Window
    at: Imp
    by: Party  # who pays: an honest buyer, or somebody whose page was made to lie
    truth: Payment | None = None
    result: Result | None = None
    lost: bool = False
    reworded: tuple[str, ...] = ()
    told_paid: bool = False
    heard_paid: bool = False
    told_returned: bool = False
    brought: dict[str, int] = field(default_factory=dict)  # webhook-id → the last answer
    answered: dict[do.Door, int | None] = field(default_factory=dict)  # the last one at each door
    left_when_returned: int | None = None  # how often goods had left when it took that webhook

    @property
    def is_paid(self) -> bool:
        """The price of its order, as it now stands, is at the gateway, to the last won."""
        truth = self.truth
        return (
            truth is not None
            and truth.status == "paid"
            and truth.amount == self.order.amount
            and not truth.cancel_amount
        )

    @property
    def is_returned(self) -> bool:
        """All of its money has gone back."""
        truth = self.truth
        return truth is not None and bool(truth.cancel_amount) and left_of(truth) == 0


@dataclass
class Scene:
    """Everything that one performance left behind."""

    people: dict[str, Visitor] = field(default_factory=dict)
    orders: dict[str, Order] = field(default_factory=dict)
    tries: dict[str, Try] = field(default_factory=dict)
    warnings: list[Words] = field(default_factory=list)


class Stage:
    """One shop at one private gateway, for one program after the other."""

    def __init__(self, gateway: PrivateGateway, shop_imp: Imp, shop: Shop, tape: Tape) -> None:
        self.imp, self.shop, self.tape = shop_imp, shop, tape
        self.adapter: Adapter = shop.adapter
        self._gateway = gateway
        self._thiefs: Imp | None = None
        self._browser: Browser | None = None
        self._spells: list[int] = []
        self._scene = Scene()
        self._lock = threading.RLock()

    def close(self) -> None:
        """Let go of the merchants, and of the browser."""
        if self._browser is not None:
            self._browser.close()
        self.imp.close()
        if self._thiefs is not None:
            self._thiefs.close()

    def perform(self, program: Program) -> Scene:
        """Everything from the first step to the calm after the last. Raises ShopTrouble, NoBrowser."""
        self._scene = scene = Scene()
        self.tape.take()
        try:
            try:
                for step in program:
                    self._do(step)
            finally:
                self._calm()
            self._tell_everything()
            self._learn_truth()
            self._hear_pages()
        finally:
            if self._browser is not None:
                self._browser.forget()
        return scene

    # One step.

    def _do(self, step: Step) -> None:
        scene = self._scene
        match step:
            case do.Place():
                self._place(step)
            case do.Change():
                if (order := scene.orders.get(step.order)) is None or self.adapter.change is None:
                    return
                if self.shop.change(order.merchant_uid, step.amount).accepted:
                    order.amount = step.amount
            case do.Open():
                self._open(step)
            case do.Press():
                self._press(step)
            case do.Calm():
                self._calm()
            case do.Weather():
                self._spells.append(
                    self._gateway.ask(
                        "weather",
                        kind=step.kind,
                        path=step.path,
                        times=step.times,
                        seconds=step.seconds,
                    )["number"]
                )
                self.tape.record("certifier", "gateway", f"weather: {step.kind} at {step.path}")
            case do.Advance():
                self.imp.advance(step.length)
                self.tape.record("certifier", "gateway", f"{step.length} later")
            case do.Sweep():
                if self.adapter.sweep is not None:
                    self._sweep()
            case do.Together():
                self._together(step.steps)
            case do.Throw():
                self._throw(step)
            case _:
                if (payment := scene.tries.get(step.payment)) is None:
                    return
                self._do_with(step, payment)

    def _do_with(self, step: Step, payment: Try) -> None:
        """Steps that speak of a payment whose window did open."""
        match step:
            case do.Approve():
                with self._buying(payment, "pays"):
                    payment.result = payment.at.approve(payment.window, scenario=step.scenario)
            case do.Decline():
                with self._buying(payment, f"is declined: {step.reason}"):
                    payment.result = payment.at.decline(step.reason, payment.window)
            case do.Close():
                with self._buying(payment, "closes the window"):
                    payment.result = payment.at.close_window(payment.window)
            case do.Deposit():
                shown = "all" if step.amount is None else f"{step.amount:,} KRW"
                with self._buying(payment, f"deposits {shown}"):
                    payment.at.deposit(step.amount, payment.window.imp_uid)
            case do.Refund():
                self._refund(step, payment)
            case do.CloseAccount():
                self._close_account(payment)
            case do.Callback():
                self._callback(step, payment)
            case do.Redirect():
                self._redirect(step, payment)
            case do.Webhook():
                for letter in self._letters(payment):
                    if step.status is None and letter.headers["webhook-id"] in payment.brought:
                        continue
                    if step.status in (None, letter.status):
                        for _ in range(step.times):
                            self._bring(payment, letter)
            case do.Reword():
                payment.reworded = (*payment.reworded, step.how)
            case do.Lose():
                payment.lost = True
                self.tape.record("gateway", "shop", "webhooks are lost")
            case do.Forge():
                self._forge(step, payment)

    def _place(self, step: do.Place) -> None:
        party: Party = "thief" if step.by == "thief" else "buyer"
        with self._lock:
            visitor = self._scene.people.setdefault(step.by, Visitor(party))
        try:
            number, amount = self.shop.place(visitor, step.amount)
        except ShopTrouble:
            if not self._spells:
                raise
            return  # A shop that announces its prices may sell nothing while nobody hears it.
        self._keep_order(Order(step.order, number, amount, visitor))

    def _keep_order(self, order: Order) -> None:
        number = order.merchant_uid
        with self._lock:
            known = {each.merchant_uid for each in self._scene.orders.values()}
            self._scene.orders[order.name] = order
        if number in known:
            raise ShopTrouble(f"[order]: two orders have one number, {number!r}.")
        if len(number) > NUMBER_LENGTH_MAX or not (number.isascii() and number.isprintable()):
            self._warn(
                f"주문번호가 {NUMBER_LENGTH_MAX}자를 넘거나 ASCII가 아니면 거절하는 PG가 있습니다: {number[:60]!r}",
                f"some PGs refuse an order number of more than {NUMBER_LENGTH_MAX} characters or one "
                f"that is not ASCII: {number[:60]!r}",
            )

    def _open(self, step: do.Open) -> None:
        order = self._scene.orders.get(step.order)
        if order is None:
            return
        at, number = self.imp, order.merchant_uid
        if step.at == "thief":
            at = self._thiefs = self._thiefs or self._gateway.open_shop("도둑의 상점")
        if step.merchant_uid is not None:
            number = _numbered(step.merchant_uid, order)
        param: dict[str, Any] = {"pay_method": step.method, "pg": step.pg}
        if step.currency is not None:
            param["currency"] = step.currency
        if self.adapter.redirect_path is not None:
            param["m_redirect_url"] = self.shop.url + self.adapter.redirect_path
        amount = order.amount if step.amount is None else step.amount
        title = f"opens a window for {amount:,} {step.currency or 'KRW'}, order {number}"
        honest = number == order.merchant_uid and amount == order.amount and at is self.imp
        who: Party = "buyer" if honest and step.currency is None else "thief"
        try:
            window = at.pay(number, amount, surface=step.surface, origin=self.shop.url, **param)
        except Refused as refused:
            self.tape.record(who, "gateway", title, response=str(refused))
            return
        self.tape.record(who, "gateway", title, response=window.imp_uid)
        self._scene.tries[step.payment] = Try(step.payment, order, window, at, who)

    def _press(self, step: do.Press) -> None:
        order, page = self._scene.orders.get(step.order), self.adapter.page
        if order is None or page is None:
            return
        changes: dict[str, str | int] = {}
        if step.amount is not None:
            changes["amount"] = step.amount
        if step.currency is not None:
            changes["currency"] = step.currency
        if (other := self._scene.orders.get(step.pays_for or "")) is not None:
            changes["merchant_uid"] = other.merchant_uid
        who: Party = "thief" if changes else "buyer"
        path = fill(page.url, {"merchant_uid": order.merchant_uid}, quoted=True)
        asked = Asked(
            self.shop.url + path,
            page.pay,
            step.surface,
            step.times,
            step.ending,
            changes,
            order.visitor.cookies,
        )
        self._browser = self._browser or Browser(self.shop.url, self.imp.url, self.imp.sandbox_url)
        self.tape.record(who, "shop", f"opens {path} in a browser, and presses {page.pay}")
        try:
            visit = self._browser.press(asked)
        except PageTrouble as trouble:
            raise ShopTrouble(f"[page] {trouble}") from None
        order.visitor.cookies |= visit.cookies
        self.imp.settle()
        self._hear_pages(visit.said_before)
        self._keep_visit(step, order, visit, who)
        self._hear_pages()

    def _keep_visit(self, step: do.Press, order: Order, visit: Visit, who: Party) -> None:
        """Every window that the page opened is a payment; the last of them was in sight."""
        for refusal in visit.refusals:
            self.tape.record(who, "gateway", "asks for a window", response=refusal)
        for number, window in enumerate(reversed(visit.windows), 1):
            name = step.payment if number == 1 else f"{step.payment}-{number}"
            payment = self._scene.tries[name] = Try(name, order, window, self.imp, who)
            self._look(payment, who, f"{step.ending} in the window" if number == 1 else "let go")
        if visit.stuck:
            self.tape.record(who, "gateway", "cannot go on", response=visit.stuck)
        elif visit.windows and step.ending == "pays" and not visit.reported:
            # To tell is the shop's own page's part: nobody kept it from doing so.
            payment = self._scene.tries[step.payment]
            payment.heard_paid |= payment.is_paid and not self._spells
            self._warn(
                "결제가 끝났는데 페이지가 서버에 알리지 않았습니다.",
                "the payment ended, and the page did not tell its server.",
            )

    def _hear_pages(self, many: int | None = None) -> None:
        """What pages have told the shop of their own accord, as `_news` keeps what was sent here."""
        if self._browser is None:
            return
        for each in self._browser.take_said(many):
            answer = Answer(each.status)
            self.tape.record(
                "buyer",
                "shop",
                f"{each.method} {each.path.partition('?')[0]}",
                request=f"{each.method} {each.path}\n\n{each.body}",
                status=each.status,
            )
            for payment in self._scene.tries.values():
                if each.names(payment.window.imp_uid):
                    self._learn(payment, answer, payment.is_paid)

    def _refund(self, step: do.Refund, payment: Try) -> None:
        account: dict[str, str] = {}
        if payment.truth is not None and payment.truth.pay_method == "vbank":
            account = {
                "refund_holder": "홍길동",
                "refund_bank": "004",
                "refund_account": "12345678901",
            }
        if payment.is_paid and not payment.told_paid:
            # A shop that asks by itself may have sent the goods before anybody told it.
            payment.told_paid = self.shop.read(payment.order.merchant_uid).fulfilled > 0
        try:
            payment.at.cancel(step.amount, payment.window.imp_uid, **account)
        except KitError as error:
            self.tape.record("staff", "gateway", "refund", response=str(error))
            return
        shown = "everything" if step.amount is None else f"{step.amount:,} KRW"
        self._look(payment, "staff", f"gives back {shown}")

    def _close_account(self, payment: Try) -> None:
        try:
            payment.at.client.close_virtual_account(payment.window.imp_uid)
        except KitError as error:
            self.tape.record("staff", "gateway", "closes the account", response=str(error))
            return
        self._look(payment, "staff", "closes the account")

    def _callback(self, step: do.Callback, payment: Try) -> None:
        if self.adapter.callback is None:
            return
        claimed = self._scene.orders.get(step.claims or "", payment.order)
        visitor = self._visitor(step, payment)
        amounts = [claimed.amount]
        if payment.truth is not None and payment.truth.currency == "KRW":
            # A page reports what was paid; a thief may as well report what it should have been.
            amounts = list(dict.fromkeys([int(payment.truth.amount or 0), claimed.amount]))
        said = self._claim(step, payment)
        for amount in amounts if self._says_amount else amounts[-1:]:
            names: dict[str, str | int] = {"amount": amount, "success": "true", **said}
            told = partial(self.shop.callback, visitor, names)
            self._news(payment, "callback", told, _is_honest(step))
        if _is_honest(step) or not isinstance(self.adapter.callback, HttpCall):
            return
        # Where the number is said in several places, each of them may lie alone.
        for call in lying_in_one_place(self.adapter.callback):
            lying: dict[str, str | int] = {"amount": amounts[-1], "success": "true"}
            lying |= {**said, "merchant_uid": payment.window.merchant_uid}
            lying["lie"] = said["merchant_uid"]
            told = partial(self.shop.callback, visitor, lying, call)
            self._news(payment, "callback", told, true=False)

    def _redirect(self, step: do.Redirect, payment: Try) -> None:
        if self.adapter.redirect_path is None:
            return
        query = self._claim(step, payment)
        query["imp_success"] = "true" if step.success else "false"
        honest = _is_honest(step)
        if honest and payment.result is not None and payment.result.redirect_url:
            # What the gateway itself made, error words and all.
            given = parse_qs(urlsplit(payment.result.redirect_url).query)
            query = {name: texts[-1] for name, texts in given.items()} or query
        path, _, fixed = self.adapter.redirect_path.partition("?")
        search = "&".join(
            part for part in (fixed, urlencode(query, errors="surrogatepass")) if part
        )
        visitor = self._visitor(step, payment)
        told = partial(self.shop.request, visitor, "GET", f"{path}?{search}")
        self._news(payment, "redirect", told, honest and step.success)

    @property
    def _says_amount(self) -> bool:
        """Does the page's callback tell an amount?"""
        callback = self.adapter.callback
        told = (
            (callback.path, callback.json, callback.form)
            if isinstance(callback, HttpCall)
            else callback
        )
        return "{amount}" in repr(told)

    def _visitor(self, step: do.Callback | do.Redirect, payment: Try) -> Visitor:
        """Who tells: the owner of the order that is meant, with their own cookies. A lie is a thief's."""
        claimed = self._scene.orders.get(step.claims or "", payment.order)
        party: Party = payment.by if _is_honest(step) else "thief"
        return Visitor(party, claimed.visitor.cookies)

    def _claim(self, step: do.Callback | do.Redirect | do.Forge, payment: Try) -> dict[str, str]:
        """The numbers that somebody says of this payment."""
        claimed = self._scene.orders.get(step.claims or "", payment.order)
        number = claimed.merchant_uid
        if step.claims is None and step.says is None:
            number = payment.window.merchant_uid
        if step.says is not None:
            number = _numbered(step.says, claimed)
        imp_uid = payment.window.imp_uid
        if step.imp_uid is not None:
            imp_uid = _numbered(step.imp_uid, claimed).replace("{imp_uid}", imp_uid)
        return {"imp_uid": imp_uid, "merchant_uid": number}

    def _forge(self, step: do.Forge, payment: Try) -> None:
        if self.adapter.webhook_path is None:
            return
        said = self._claim(step, payment) | {"status": step.status}
        form = self.adapter.webhook_format == "form" if step.form is None else step.form
        body = (urlencode(said, errors="surrogatepass") if form else json.dumps(said)).encode()
        kind = "application/x-www-form-urlencoded" if form else "application/json"
        headers = {"content-type": kind}
        blank = Letter("", "", "", "", body, {"webhook-id": "msg_forged"})
        if step.signature == "wrong":
            headers |= signed_anew(STRANGERS_SECRET, blank)
        elif step.signature == "stolen":
            headers |= signed_anew(self.imp.webhook_secret, replace(blank, body=b"{}"))
        if step.address is not None:
            headers |= {"x-forwarded-for": step.address, "x-real-ip": step.address}
        told = partial(self._post_webhook, "thief", headers, body)
        self._news(payment, "webhook", told, true=False)

    def _throw(self, step: do.Throw) -> None:
        thief, body = Visitor("thief"), step.body.encode("utf-8", "surrogatepass")
        headers = {"Content-Type": step.content_type}
        adapter = self.adapter
        if step.door == "webhook" and adapter.webhook_path is not None:
            answer = self._post_webhook("thief", headers, body)
        elif step.door == "redirect" and adapter.redirect_path is not None:
            query = urlencode({"imp_uid": step.body}, errors="surrogatepass")
            answer = self.shop.request(thief, "GET", f"{adapter.redirect_path}?{query}")
        elif step.door == "callback" and isinstance(adapter.callback, HttpCall):
            method, path = adapter.callback.method, adapter.callback.path
            answer = self.shop.request(thief, method, path, body=body, headers=headers)
        else:
            return
        if answer.status is None or answer.status >= 500:
            says = answer.status or "nothing"
            self._warn(
                f"{step.door}: 망가진 요청에 {f'{answer.status}로 답했습니다' if answer.status else '대답하지 않았습니다'}.",
                f"{step.door}: a hostile request was answered {says}.",
            )

    def _together(self, steps: tuple[Step, ...]) -> None:
        group, barrier = self.tape.new_group(), threading.Barrier(len(steps))
        errors: list[Exception] = []

        def one(step: Step) -> None:
            self.tape.join_group(group)
            barrier.wait()
            try:
                self._do(step)
            except Exception as error:
                errors.append(error)

        threads = [threading.Thread(target=one, args=(step,), daemon=True) for step in steps]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        if errors:
            raise errors[0]

    # News, and who knows what of it.

    def _news(
        self, payment: Try, door: do.Door, tell: Callable[[], Answer], true: bool = True
    ) -> Answer:
        """Something about this payment reaches the shop; keeps what the shop can know from it.

        Who is told a lie may look into it, and finish the order that is meant; nobody must.
        """
        paid = payment.is_paid
        answer = tell()
        payment.answered[door] = answer.status
        self._learn(payment, answer, paid, true)
        return answer

    def _learn(self, payment: Try, answer: Answer, paid: bool, true: bool = True) -> None:
        fine = not self._spells
        # In bad weather the shop may not have been able to ask: then it must say no, to be told again.
        taken = true and fine and answer.status is not None and answer.status < 400
        with self._lock:
            payment.told_paid |= paid
            payment.heard_paid |= paid and taken
            if payment.heard_paid and payment.order.follows is None and self._is_alone(payment):
                payment.order.follows = payment
        if fine and answer.status is not None and answer.status >= 500:
            self._warn(
                f"{answer.status}로 답했습니다: 알림을 받는 곳이 무너집니다.",
                f"answered {answer.status} to news of a payment.",
            )

    def _bring(self, payment: Try, letter: Letter) -> None:
        if self.adapter.webhook_path is None:
            return
        number, letter = letter.headers["webhook-id"], _reworded(letter, payment.reworded)
        headers = signed_anew(self.imp.webhook_secret, letter)
        if "headers" in payment.reworded:
            headers = {name.upper(): text for name, text in headers.items()}
        began = time.monotonic()
        told = partial(self._post_webhook, "gateway", headers, letter.body)
        answer = self._news(payment, "webhook", told)
        self._judge_manners(answer, time.monotonic() - began)
        with self._lock:
            payment.brought[number] = answer.status or 0
            if answer.accepted:  # nobody tells it again, whatever the weather was
                payment.heard_paid |= payment.is_paid
                returned = payment.is_returned and letter.status == "cancelled"
                payment.told_returned |= returned
        if answer.accepted and payment.told_returned and payment.left_when_returned is None:
            state = self.shop.read(payment.order.merchant_uid)
            payment.left_when_returned = state.fulfilled

    def _judge_manners(self, answer: Answer, seconds: float) -> None:
        if answer.accepted and answer.status != 200:
            self._warn(
                f"웹훅에 {answer.status}로 답했습니다: 게이트웨이는 200만 받은 것으로 칩니다.",
                f"a webhook was answered {answer.status}: only 200 means that the shop has it.",
            )
        if seconds > WEBHOOK_SECONDS:
            self._warn(
                f"웹훅에 {WEBHOOK_SECONDS:.0f}초 안에 답하지 않았습니다: 게이트웨이는 실패로 칩니다.",
                f"a webhook was not answered within {WEBHOOK_SECONDS:.0f} s, which counts as a failure.",
            )

    def _post_webhook(self, sender: Party, headers: dict[str, str], body: bytes) -> Answer:
        assert self.adapter.webhook_path is not None
        return self.shop.request(
            Visitor(sender), "POST", self.adapter.webhook_path, body=body, headers=headers
        )

    def _letters(self, payment: Try) -> list[Letter]:
        """Every webhook of this payment so far; a thief's merchant tells its own server only."""
        if payment.at is not self.imp:
            return []
        held = list(self.imp.webhooks.held)
        return [letter for letter in held if letter.imp_uid == payment.window.imp_uid]

    def _sweep(self) -> None:
        fine = not self._spells
        answer = self.shop.sweep()
        for payment in self._scene.tries.values():
            payment.told_paid |= payment.is_paid
            payment.heard_paid |= fine and answer.accepted and payment.is_paid

    def _tell_everything(self) -> None:
        """The calm after the last step."""
        scene = self._scene
        self.imp.settle()
        if self.adapter.webhook_path is not None:
            for payment in scene.tries.values():
                for letter in [] if payment.lost else self._letters(payment):
                    number = letter.headers["webhook-id"]
                    for _ in range(TELLINGS_MAX):
                        if 200 <= payment.brought.get(number, 0) < 300:
                            break
                        self._bring(payment, letter)
                    else:
                        payment.heard_paid |= payment.is_paid
                        self._warn(
                            f"진짜 웹훅을 {TELLINGS_MAX}번 알렸지만 끝내 2xx로 답하지 않았습니다.",
                            f"a true webhook was told {TELLINGS_MAX} times and never answered 2xx.",
                        )
        if self.adapter.sweep is not None and any(each.lost for each in scene.tries.values()):
            self._sweep()

    def _is_alone(self, payment: Try) -> bool:
        """Has no other payment of its order had money so far?"""
        return not any(
            other.truth is not None and other.truth.paid_at is not None
            for other in self._scene.tries.values()
            if other.order is payment.order and other is not payment
        )

    def _learn_truth(self) -> None:
        for payment in self._scene.tries.values():
            payment.truth = payment.at.payment(payment.window.imp_uid)

    def _look(self, payment: Try, who: Party, what: str) -> None:
        """After money may have moved: what is true now, unless the weather hides it."""
        if not self._spells:
            payment.truth = payment.at.payment(payment.window.imp_uid)
        truth = payment.truth
        shown = f"{truth.amount:,} {truth.currency}, {truth.status}" if truth is not None else "?"
        self.tape.record(who, "gateway", what, response=f"{payment.window.imp_uid}: {shown}")

    def _calm(self) -> None:
        for number in self._spells:
            self._gateway.ask("weather", ends=number)
        if self._spells:
            self._spells = []
            self.tape.record("certifier", "gateway", "the weather is fine")
            self._learn_truth()

    def _warn(self, ko: str, en: str) -> None:
        words = Words(ko, en)
        with self._lock:
            if words not in self._scene.warnings:
                self._scene.warnings.append(words)

    @contextlib.contextmanager
    def _buying(self, payment: Try, what: str) -> Iterator[None]:
        """The buyer does something; who cannot go on stops there, and what follows finds it so."""
        try:
            yield
        except (Stuck, KitError) as stuck:
            self.tape.record(payment.by, "gateway", f"{what}: cannot", response=str(stuck))
        else:
            self._look(payment, payment.by, what)

    # For the judge.

    def payments_of(self, order: Order) -> list[Payment]:
        """Every payment of this number at the shop's own merchant."""
        try:
            page = self.imp.client.find_payments(order.merchant_uid, limit=100)
        except (NotFound, ValueError):
            return []
        return list(page.payments)

    def see(self, order: Order) -> OrderSeen:
        """The order at the end, by the shop's own books."""
        state = self.shop.read(order.merchant_uid)
        paid = {payment.imp_uid: payment for payment in self.payments_of(order)}
        for each in self._scene.tries.values():
            # Also what was paid for it under another number, or in another currency.
            if each.order is order and each.at is self.imp and each.truth is not None:
                paid.setdefault(each.window.imp_uid, each.truth)
        received = sum(
            left_of(payment)
            for payment in paid.values()
            if payment.currency == "KRW" and payment.status in ("paid", "cancelled")
        )
        return OrderSeen(
            order.name,
            order.merchant_uid,
            order.amount,
            state.word,
            state.fulfilled,
            state.paid_amount,
            received,
        )


def left_of(payment: Payment) -> int:
    """What of its money is still with the merchant, in its own currency's major unit."""
    return int((payment.amount or 0) - (payment.cancel_amount or 0))


def lying_in_one_place(call: HttpCall) -> Iterator[HttpCall]:
    """The same call with `{lie}` for one `{merchant_uid}` after the other, if there are several."""
    parts = {"path": call.path, "json": call.json, "form": call.form, "headers": call.headers}
    text = json.dumps(parts)
    many = text.count("{merchant_uid}")
    for number in range(many if many > 1 else 0):
        pieces = text.split("{merchant_uid}")
        before = "{merchant_uid}".join(pieces[: number + 1])
        after = "{merchant_uid}".join(pieces[number + 1 :])
        yield HttpCall(call.method, **json.loads(f"{before}{{lie}}{after}"))


def _is_honest(step: do.Callback | do.Redirect) -> bool:
    """Does it say of the payment what the gateway itself would?"""
    return step.claims is step.says is step.imp_uid is None


def _reworded(letter: Letter, how: tuple[str, ...]) -> Letter:
    """The same news as a webhook that is longer, stands in an event, or comes from another program."""
    kind, *_ = letter.headers.get("content-type", "").split(";")
    is_form = kind == "application/x-www-form-urlencoded"
    fields: dict[str, Any] = (
        dict(parse_qsl(letter.body.decode())) if is_form else json.loads(letter.body)
    )
    if "fields" in how:
        fields = {"tx_id": "0190-2f4e", "channel": "pc"} | fields | {"a_field_of_next_year": "?"}
    if "event" in how:
        extra: dict[str, Any] = {"extra[escrow_status]": "2"}
        extra = extra if is_form else {"extra": {"escrow_status": "2", "changed_at": 1_700_000_000}}
        fields = {"event": "Inicis.Escrow.Changed"} | fields | extra
    headers = dict(letter.headers)
    if "headers" in how:
        headers |= {"user-agent": "okhttp/4.12.0", "content-type": f"{kind}; charset=utf-8"}
    if not {"fields", "event"} & set(how):
        return replace(letter, headers=headers)
    body = urlencode(fields) if is_form else json.dumps(fields, ensure_ascii=False)
    return replace(letter, body=body.encode(), headers=headers)


def _numbered(text: str, order: Order) -> str:
    """`{order}` is its number, `{ORDER}` the number with capitals for small letters and back."""
    number = order.merchant_uid
    return text.replace("{order}", number).replace("{ORDER}", number.swapcase())
