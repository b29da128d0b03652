"""People: codes that prove who somebody is, and members of quick pay whose money is taken by their PIN."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from tests.model.bench import DANAL, NO, QUICK, Answer
from tests.model.machine import (
    HOOK,
    Recall,
    amounts,
    merchants,
    orders,
    owners,
    pg_fates,
    some_key,
    some_payment,
    which_ones,
)
from tests.model.papers import PaperRules
from tests.model.subscriptions import charge_fates
from tests.model.v1 import CHECKING, DONE, DONE_UNSEEN, Payment
from tests.model.v1_people import (
    CODE_DOUBT,
    NO_FIDO,
    NO_MEMBER,
    NOBODY,
    QUICK_ANNOUNCED,
    QUICK_NOT_ANNOUNCED,
    TOO_MANY_CODES,
    Code,
    Member,
    People,
    Question,
)
from tests.support.stand_in_pg import CODE

PERSONS = {"01012345678": "김나루", "01087654321": "이여울"}
MONEY = "/kcpquick/payment/money"

phones = st.sampled_from(["01012345678", "01012345678", "01087654321"])
members = st.sampled_from(["gildong", "cheolsu"])
question_fates = st.sampled_from([*pg_fates, "declined"])
some_code = precondition(lambda self: any(each.told for each in self.v1.codes))


class PeopleRules(PaperRules):
    """The gateway beside its model, with all of it."""

    model = People
    v1: People

    # --- rules: certifications -----------------------------------------------------------------

    @rule(
        merchant=merchants,
        phone=phones,
        order=orders,
        fates=st.tuples(question_fates, st.sampled_from(["ok", "lost", "never"])),
        key=some_key,
    )
    def ask_for_code(
        self, merchant: int, phone: str, order: str, fates: tuple[str, str], key: str | None = None
    ) -> None:
        """A code is sent to a phone; a company that is silent once is asked once more."""
        path = "/certifications/otp/request"
        name = (merchant, "POST", path, key or "")
        body = {"name": PERSONS[phone], "phone": phone, "birth": "900720", "gender_digit": "2"}
        body |= {"carrier": "SKT", "merchant_uid": order}
        if key is not None and self.v1.key_of(name, self.now) is not None:
            assert self._replayed(name, body, self._ask(merchant, "POST", path, body, key))
            return
        at = self.now
        rings = self.v1.rings(phone, at)
        if rings:
            for fate in fates if fates[0] in DONE_UNSEEN else fates[:1]:
                self._fate("certification_codes", fate)
        answer = self._ask(merchant, "POST", path, body, key)
        assert not any(self.bench.pg.next.values())
        if not rings:
            assert answer.words == (429, -1, TOO_MANY_CODES)
            return
        code = Code(merchant, phone, order, at)
        known = self.v1.settle_code(code, fates, NO)
        self.run(self._learn_code(code))
        recall = None
        if known == "declined":
            assert answer.words == (200, -1, NO)
        elif known == "unknown" and key is None:
            assert answer.words == (200, 1, CODE_DOUBT)
        elif known == "unknown":
            recall = self._recall_code(code)
            recall = None if recall(answer) else recall
        else:
            self._told(answer, code)
        self._remember(name, body, answer, at, recall)

    async def _learn_code(self, code: Code) -> None:
        known = [each.imp_uid for each in self.v1.codes]
        [code.imp_uid] = [
            row["imp_uid"]
            for row in await self.bench.sql.fetch(
                "SELECT imp_uid FROM certifications WHERE merchant_id = $1 AND imp_uid <> ALL ($2)",
                self.bench.shops[code.merchant].merchant.id,
                known,
            )
        ]

    @staticmethod
    def _told(answer: Answer, code: Code) -> None:
        assert answer.words == DONE
        assert answer.body["response"] == {"imp_uid": code.imp_uid}
        code.told = True

    def _recall_code(self, code: Code) -> Recall:
        """Who repeats the question hears whether a code was sent, and has none sent again."""

        def recall(answer: Answer) -> bool:
            if code.stage == "asking" and code.company is None:
                assert answer.words == (409, 1, CHECKING)
                return False
            if code.stage == "failed":
                assert answer.words == (200, -1, code.fail_reason)
                return True
            if code.stage == "asking":
                self.v1.sent(code)
            if code.stage == "failed":
                assert answer.words == (200, -1, code.fail_reason)
            else:
                self._told(answer, code)
            return True

        return recall

    def _pick_code(self, which: int) -> Code:
        told = [each for each in self.v1.codes if each.told]
        return told[which % len(told)]

    @some_code
    @rule(
        asks=owners,
        which=which_ones,
        right=st.booleans(),
        fate=st.sampled_from(["ok", "ok", "ok", "ok", "lost", "never", "garbage"]),
    )
    def confirm_code(self, asks: int, which: int, right: bool, fate: str) -> None:
        """The person tells the code; the other merchant tries it as well."""
        code = self._pick_code(which)
        merchant = (code.merchant + asks) % 3
        why = self.v1.refuse_code(code, merchant, self.now)
        if why is None:
            self._fate("POST certifications", fate)
        body = {"otp": CODE if right else "000000"}
        answer = self._ask(merchant, "POST", f"/certifications/otp/confirm/{code.imp_uid}", body)
        assert not any(self.bench.pg.next.values())
        if why is None:
            why = self.v1.compared(code, right=right, fate=fate, now=self.now)
        self._is_person(answer, code, why)

    def _is_person(self, answer: Answer, code: Code, why: Any = None) -> None:
        if why is not None:
            assert answer.words == why, (answer.words, why)
            return
        assert answer.words == DONE
        said = answer.body["response"]
        person = PERSONS[code.phone]
        known: dict[str, Any] = {
            "imp_uid": code.imp_uid,
            "merchant_uid": code.order,
            "name": person,
            "birthday": "1990-07-20",
            "gender": "female",
            "certified": True,
            "certified_at": code.certified_at,
            # The same everywhere, and the same at this site only.
            "unique_key": f"ci-{person}",
            "unique_in_site": f"di-T0000-{person}",
            "pg_provider": DANAL,
        }
        if code.merchant == 1:  # Whose contract says so.
            known |= {"phone": code.phone, "carrier": "SKT"}
        else:
            assert not {"phone", "carrier"} & set(said)
        assert {name: said[name] for name in known} == known

    @some_code
    @rule(asks=owners, which=which_ones)
    def look_at_person(self, asks: int, which: int) -> None:
        """GET one; what the company knows and did not say is asked for."""
        code = self._pick_code(which)
        merchant = (code.merchant + asks) % 3
        if not asks and code.open and code.promised_at:
            self.v1.look(code)
        answer = self._ask(merchant, "GET", f"/certifications/{code.imp_uid}")
        seen = not asks and code.stage == "certified"
        self._is_person(answer, code, None if seen else (404, -1, NOBODY))

    @some_code
    @rule(asks=owners, which=which_ones)
    def forget_person(self, asks: int, which: int) -> None:
        """DELETE one: it says once more who that was, and never again."""
        code = self._pick_code(which)
        merchant = (code.merchant + asks) % 3
        answer = self._ask(merchant, "DELETE", f"/certifications/{code.imp_uid}")
        seen = not asks and code.stage == "certified"
        self._is_person(answer, code, None if seen else (404, -1, NOBODY))
        if seen:
            code.stage = "deleted"

    # --- rules: members of quick pay -----------------------------------------------------------

    @rule(member=members)
    def join(self, member: str) -> None:
        """A person joins at the PG's own page; who is a member has their phone's FIDO again."""
        known = self.v1.members.setdefault(member, Member(self.now, self.now))
        known.fido, known.updated = True, self.now
        [mid] = {each.channels[QUICK].mid for each in self.bench.shops}
        self.bench.pg.members[mid, member] = {  # type: ignore[index]
            "inserted": known.inserted,
            "updated": known.updated,
            "fido": True,
        }

    @some_payment
    @rule(which=which_ones, member=members)
    def enter_pin(self, which: int, member: str) -> None:
        """A person enters their PIN at the PG, for an order of the quick channel."""
        payment = self._pick(which)
        if payment.pg == QUICK and member in self.v1.members:
            self.v1.pins[payment.imp_uid] = member
            self.bench.pg.pins[payment.pg_order] = member

    @some_payment
    @rule(
        merchant=merchants,
        order=orders,
        amount=amounts,
        member=members,
        which=which_ones,
        fate=charge_fates,
        key=some_key,
    )
    def pay_money(
        self,
        merchant: int,
        order: str,
        amount: int,
        member: str,
        which: int,
        fate: str,
        key: str | None = None,
    ) -> None:
        """A member's money is taken for the PIN that they entered, once."""
        pin = self._pick(which)
        channel_key = self.bench.shops[merchant].channels[QUICK].channel_key
        body: dict[str, Any] = {"member_id": member, "channel_key": channel_key, "amount": amount}
        body |= {"merchant_uid": order, "name": "당근", "imp_uid": pin.imp_uid, "notice_url": HOOK}
        name = (merchant, "POST", MONEY, key or "")
        if key is not None and self.v1.key_of(name, self.now) is not None:
            assert self._replayed(name, body, self._ask(merchant, "POST", MONEY, body, key))
            return
        why, at = self.v1.refuse_money(merchant, order, amount, pin), self.now
        proven = member in self.v1.members and self.v1.pins.get(pin.imp_uid) == member
        if why is None and not proven and fate != "ok":
            return
        asked = self.bench.pg.count("charges")
        if why is None:
            self._fate("charges", fate)
            key = None if why == (200, 1, CHECKING) else key
        answer = self._ask(merchant, "POST", MONEY, body, key)
        if why is not None:
            assert answer.words == why, (answer.words, why)
            assert self.bench.pg.count("charges") == asked
            return
        payment = Payment(merchant, order, amount, "point", at, by_api=True, pg=QUICK)
        self._begun(payment)
        self.v1.wallets[payment.imp_uid] = member
        fate = fate if proven else "declined"
        self._charged(payment, fate, at, NO if proven else "PIN 인증이 확인되지 않습니다.")
        if proven and fate not in ("never", "declined"):
            del self.v1.pins[pin.imp_uid]
        if fate in DONE_UNSEEN:
            self._unknown(answer, payment, key)
        elif payment.step == "failed":
            assert answer.words == (200, -1, payment.fail_reason)
        else:
            assert answer.words == DONE
            self._same(answer.body["response"], payment)
        recall = self._recall(name, payment) if fate in DONE_UNSEEN else None
        self._remember(name, body, answer, at, recall)

    @rule(
        merchant=merchants,
        order=orders,
        amount=st.one_of(st.none(), amounts),
        again=st.booleans(),
        key=some_key,
    )
    def announce_quick(
        self, merchant: int, order: str, amount: int | None, again: bool, key: str | None = None
    ) -> None:
        """POST, or PUT when it is announced again; an amount binds what is taken from a wallet."""
        method, path = "PUT" if again else "POST", f"/kcpquick/prepare/{order}"
        body: dict[str, Any] = {"btid": "b1", "cust_ip": "10.0.0.1", "code_verifier": "word"}
        if amount is not None:
            body |= {"prepaid_auth_yn": "Y", "prepaid_amount": amount}
        name = (merchant, method, path, key or "")
        fresh = key is None or self.v1.key_of(name, self.now) is None
        answer = self._ask(merchant, method, path, body, key)
        if not fresh:
            assert self._replayed(name, body, answer)
            return
        known = (merchant, order) in self.v1.quick_prepared
        if known and not again:
            assert answer.words == (409, -1, QUICK_ANNOUNCED)
        elif again and not known:
            assert answer.words == (404, -1, QUICK_NOT_ANNOUNCED)
        else:
            assert answer.words == DONE
            self.v1.quick_prepared[merchant, order] = amount
            self._remember(name, body, answer, self.now)

    @rule(
        merchant=merchants,
        kind=st.sampled_from(["delete", "release"]),
        member=members,
        fate=question_fates,
        key=some_key,
    )
    def ask_about_member(
        self, merchant: int, kind: str, member: str, fate: str, key: str | None = None
    ) -> None:
        """The PG forgets a member, or their phone's FIDO; of another merchant's it does not hear."""
        channel = self.bench.shops[merchant].channels[QUICK]
        path, query, method = f"/kcpquick/members/{member}", "", "DELETE"
        body: dict[str, Any] | None = None
        if kind == "delete":
            query = f"?site_code={channel.mid}&partner_type=IX99&partner_subtype=99IX"
        else:
            path, method, body = (
                f"{path}/fido/release",
                "POST",
                {"channel_key": channel.channel_key},
            )
        name = (merchant, method, path, key or "")
        if key is not None and self.v1.key_of(name, self.now) is not None:
            assert self._replayed(name, body, self._ask(merchant, method, path + query, body, key))
            return
        no = (404, -1, NO_MEMBER) if kind == "delete" else (200, -1, NO_FIDO)
        at = self.now
        if self.v1.owner(member) != merchant:
            asked = self.bench.pg.count("quick")
            answer = self._ask(merchant, method, path + query, body, key)
            assert answer.words == no
            assert self.bench.pg.count("quick") == asked
            return
        question = self.v1.question_of(merchant, kind, member)
        if question.answer is not None and fate == "declined":
            fate = "ok"  # The PG does not say that it did not do what it did.
        self._fate("quick", fate)
        answer = self._ask(merchant, method, path + query, body, key)
        assert not any(self.bench.pg.next.values())
        if fate not in ("never", "declined"):
            self.v1.hear(question, at)
        recall = None
        if fate in DONE_UNSEEN:
            if question not in self.v1.questions:
                self.v1.questions.append(question)
            assert answer.words == (200 if key is None else 409, 1, CHECKING)
            recall = self._recall_question(question, member, channel.mid)
        else:
            question.ended = True
            if fate == "declined":
                assert answer.words == (200, -1, NO)
            else:
                self._member_told(answer, question, member, channel.mid)
        self._remember(name, body, answer, at, recall)

    @staticmethod
    def _member_told(answer: Answer, question: Question, member: str, mid: str) -> None:
        assert question.answer is not None
        what, inserted, updated = question.answer
        if what == "refused":
            deletes = question.kind == "delete"
            assert answer.words == ((404, -1, NO_MEMBER) if deletes else (200, -1, NO_FIDO))
            return
        assert answer.words == DONE
        known: dict[str, Any] = {"member_id": member}
        if question.kind == "delete":
            known |= {"inserted": inserted, "updated": updated, "pg_id": mid, "pg_provider": QUICK}
        assert answer.body["response"] == known

    def _recall_question(self, question: Question, member: str, mid: str) -> Recall:
        def recall(answer: Answer) -> bool:
            if not question.ended:
                assert answer.words == (409, 1, CHECKING)
            else:
                self._member_told(answer, question, member, mid)
            return question.ended

        return recall

    # --- the worker ----------------------------------------------------------------------------

    def _ends(self, now: int, *, silent: bool) -> None:
        super()._ends(now, silent=silent)
        self.v1.end_questions(now, silent=silent)
        self.v1.end_codes(now, silent=silent)

    def _open(self) -> list[Any]:
        return [*super()._open(), *(each for each in self.v1.questions if not each.ended)]

    def _doubts_there_are(self) -> bool:
        return super()._doubts_there_are() or any(each.promised_at for each in self._open_codes())

    def _open_codes(self) -> list[Code]:
        return [each for each in self.v1.codes if each.open]

    # --- after every step ----------------------------------------------------------------------

    def _written_papers(self) -> dict[str, Any]:
        known = super()._written_papers()
        if self.v1.codes:
            # Nothing of a person is kept but of who is certified.
            known["certifications"] = [
                [each.imp_uid, each.stage, each.tries, each.stage == "certified"]
                for each in sorted(self.v1.codes, key=lambda each: each.imp_uid)
            ]
        return known

    def teardown(self) -> None:
        """Nobody waits for ever for a code; the PG's members are ours."""
        super().teardown()
        if self._open_codes():
            self.bench.clock.advance(2 * 86_400)
            self.run(self.bench.work(silent=False))
            self.v1.end_codes(self.now, silent=False)
            assert self._open_codes() == []
            expected = self._written_papers()
            papers = self.run(self.bench.papers())
            assert papers["certifications"] == expected["certifications"]
        assert self.bench.pg.members is not None
        theirs = {name: kept["fido"] for (_, name), kept in self.bench.pg.members.items()}
        assert theirs == {name: kept.fido for name, kept in self.v1.members.items()}
